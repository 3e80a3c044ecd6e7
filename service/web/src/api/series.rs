//! One subject over the windows of a model.

use std::sync::Arc;

use axum::Json;
use axum::extract::rejection::{PathRejection, QueryRejection};
use axum::extract::{Path, Query, State};
use driftline_analytics::report::Finding;
use driftline_config::Level;
use driftline_config::time::parse_instant_us;
use serde::{Deserialize, Serialize};

use super::known_model;
use super::reports::newest_first;
use crate::board::Board;
use crate::refusal::Refusal;

const MOST_POINTS: usize = 1000;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct SeriesQuery {
    subject: String,
    statistic: Option<String>,
    from: Option<String>,
    to: Option<String>,
}

#[derive(Debug, PartialEq, Serialize)]
pub(crate) struct SeriesPoint {
    /// Start of the window, RFC 3339.
    time: String,
    #[serde(flatten)]
    numbers: Numbers,
    level: Level,
}

/// Missing where nothing was measured or tolerated.
#[derive(Debug, Default, PartialEq, Serialize)]
struct Numbers {
    value: Option<f64>,
    bound: Option<f64>,
    tolerance: Option<f64>,
}

#[derive(Debug, Deserialize)]
struct JudgedWindow {
    window: WindowStart,
    findings: Vec<Finding>,
}

#[derive(Debug, Deserialize)]
struct WindowStart {
    start: String,
}

/// Which numbers of a subject a series shows.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Statistic {
    /// Those that decide about its distribution, or the only ones it has.
    Deciding,
    Ks,
    Psi,
    /// Those of another check, by its name.
    Check(String),
}

/// `GET /api/v1/models/{m}/series`: one subject over the windows that start in `[from, to)`. Without
/// `from` the last thousand.
pub(crate) async fn series(
    State(board): State<Arc<Board>>,
    model: Result<Path<String>, PathRejection>,
    query: Result<Query<SeriesQuery>, QueryRejection>,
) -> Result<Json<Vec<SeriesPoint>>, Refusal> {
    let (Path(model), Query(query)) = (model?, query?);
    known_model(&board.live(), &model)?;
    let statistic = Statistic::parse(query.statistic.as_deref())?;
    let instant = |text: &Option<String>, name: &str, otherwise: i64| match text {
        None => Ok(otherwise),
        Some(text) => parse_instant_us(text).map_err(|why| Refusal::bad(format!("{name}: {why}"))),
    };
    let from_us = instant(&query.from, "from", i64::MIN)?;
    let to_us = instant(&query.to, "to", i64::MAX)?;
    if from_us >= to_us {
        return Err(Refusal::bad("from must lie before to"));
    }
    let subject = query.subject;
    let bounded = query.from.is_some();
    let points = board.read(move |store| {
        let mut points = Vec::new();
        let more = newest_first(store, &model, from_us..to_us, MOST_POINTS, |stored| {
            let judged: JudgedWindow =
                serde_json::from_str(&stored.report).map_err(|_| Refusal::damaged_report())?;
            points.extend(statistic.point(&subject, judged));
            Ok(())
        })?;
        if more && bounded {
            let sentence = format!(
                "more than {MOST_POINTS} windows start there: choose a later from or an earlier to"
            );
            return Err(Refusal::bad(sentence).into());
        }
        points.reverse();
        Ok(points)
    });
    points.await.map(Json)
}

impl Statistic {
    /// The name that a query gives. `value`, `bound` and `tolerance` are what the metrics call the
    /// numbers of the deciding statistic; a point has all three.
    fn parse(name: Option<&str>) -> Result<Statistic, Refusal> {
        match name {
            None | Some("" | "value" | "bound" | "tolerance") => Ok(Statistic::Deciding),
            Some("ks") => Ok(Statistic::Ks),
            Some("psi") => Ok(Statistic::Psi),
            Some(
                check @ ("missing" | "wrong_type" | "new_category" | "absent" | "new_column"
                | "volume" | "latency" | "errors"),
            ) => Ok(Statistic::Check(check.to_owned())),
            Some(_) => Err(Refusal::bad(
                "statistic must be value, ks, psi, missing, wrong_type, new_category, absent, new_column, volume, latency or errors",
            )),
        }
    }

    /// What a report says of a subject; `None` where it says nothing.
    fn point(&self, subject: &str, judged: JudgedWindow) -> Option<SeriesPoint> {
        let of_subject: Vec<&Finding> =
            judged.findings.iter().filter(|finding| finding.subject == *subject).collect();
        let of_check = |name: &str| {
            let mut findings = of_subject.iter();
            findings.find(|finding| finding.check.name() == name).copied()
        };
        let distribution = of_check("distribution");
        let (finding, numbers) = match self {
            Statistic::Deciding => {
                let finding = distribution.or(of_subject.first().copied())?;
                (finding, Numbers::of(finding))
            }
            Statistic::Ks => {
                let ks = distribution?.ks.as_ref()?;
                let (value, bound) = (Some(ks.value), Some(ks.bound));
                (distribution?, Numbers { value, bound, tolerance: Some(ks.tolerance) })
            }
            Statistic::Psi => {
                let psi = distribution?.psi.as_ref()?;
                let (value, bound) = (Some(psi.debiased), Some(psi.bound));
                (distribution?, Numbers { value, bound, tolerance: psi.tolerance })
            }
            Statistic::Check(name) => {
                let finding = of_check(name)?;
                (finding, Numbers::of(finding))
            }
        };
        Some(SeriesPoint { time: judged.window.start, numbers, level: finding.level })
    }
}

impl Numbers {
    fn of(finding: &Finding) -> Numbers {
        match (finding.effect(), &finding.volume) {
            (Some(effect), _) => Numbers {
                value: Some(effect.value),
                bound: Some(effect.bound),
                tolerance: Some(effect.tolerance),
            },
            (None, Some(volume)) => Numbers { value: Some(volume.value), ..Numbers::default() },
            (None, None) => Numbers::default(),
        }
    }
}
