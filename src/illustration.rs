//! The images of a mail, drawn when it is sent: the findings it is about, and the windows before.

use std::sync::Arc;

use driftline_alerting::mail::{IMAGE_BYTES, IMAGES, Illustrate, Image, Mail, Pictured};
use driftline_analytics::report::{CategoryShare, Check, Finding};
use driftline_analytics::shape::Shape;
use driftline_config::WindowId;
use driftline_config::time::parse_instant_us;
use driftline_plots::{self as plots, Bars, Theme, Timeline, TimelinePoint};
use driftline_store::{Store, StoreError};
use serde::Deserialize;

const WINDOWS: usize = 30;
/// Bytes of reports that are read for one timeline: those of two thousand columns have ten megabytes.
const REPORT_BYTES: usize = 64 << 20;
/// Categories of a histogram in a mail, so that it can be seen at one glance.
const CATEGORIES: usize = 8;
/// Width of every picture that goes into a mail, in pixels of a page.
const WIDTH: u32 = 360;

#[derive(Debug, Deserialize)]
struct Judged {
    window: Started,
    findings: Vec<Finding>,
}

#[derive(Debug, Deserialize)]
struct Started {
    start: String,
}

/// A picture, and what it says to those who do not see it.
struct Picture {
    svg: String,
    alt: String,
}

/// Draws from what the store keeps. What cannot be read or drawn is logged and left out.
pub(crate) fn from_store(store: Arc<Store>) -> Illustrate {
    Illustrate::by(move |mail| match pictures(&store, mail) {
        Ok(pictures) => pictures.into_iter().filter_map(image).collect(),
        Err(error) => {
            tracing::warn!(mail = mail.message_id, %error, "a mail goes without its images");
            Vec::new()
        }
    })
}

/// The distributions of the two strongest findings that have one, and the strongest over time.
fn pictures(store: &Store, mail: &Mail) -> Result<Vec<Picture>, StoreError> {
    let mut pictures = Vec::new();
    for pictured in &mail.pictured {
        if pictures.len() + 1 < IMAGES {
            pictures.extend(distribution(store, pictured)?);
        }
    }
    if let Some(strongest) = mail.pictured.first() {
        pictures.extend(over_time(store, strongest)?);
    }
    Ok(pictures)
}

fn distribution(store: &Store, pictured: &Pictured) -> Result<Option<Picture>, StoreError> {
    let Some((model, start_us)) = WindowId::parse(pictured.window.as_str()) else {
        return Ok(None);
    };
    let Some(stored) = store.report(&model, start_us)? else { return Ok(None) };
    let Some(finding) = finding(&stored.report, pictured).map(|(finding, _)| finding) else {
        return Ok(None);
    };
    if finding.check != Check::Distribution {
        return Ok(None);
    }
    let name = name_of(&finding.subject);
    if let Some(Shape::Numeric { points }) = store.shape(&model, start_us, &finding.subject)? {
        let svg = plots::ecdf(name, &points, finding.ks.as_ref());
        return Ok(Some(Picture { svg, alt: format!("{name}: {}", finding.because) }));
    }
    let drawn = match Bars::of(&finding) {
        Some(Bars::Categories(categories)) => {
            Some(plots::histogram(name, Bars::Categories(&largest(categories))))
        }
        Some(bars) => Some(plots::histogram(name, bars)),
        None => None,
    };
    Ok(drawn.map(|svg| Picture { svg, alt: format!("{name}: {}", finding.because) }))
}

/// The finding in its window and those before.
fn over_time(store: &Store, pictured: &Pictured) -> Result<Option<Picture>, StoreError> {
    let Some((model, start_us)) = WindowId::parse(pictured.window.as_str()) else {
        return Ok(None);
    };
    let (mut before_us, mut bytes) = (start_us.saturating_add(1), 0);
    let mut statistic = "";
    let mut points = Vec::new();
    while points.len() < WINDOWS && bytes < REPORT_BYTES {
        let found = store.reports(&model, i64::MIN..before_us, 1)?;
        let Some(stored) = found.first() else { break };
        // Without its own window it would show another end than the mail is about.
        if points.is_empty() && stored.start_us != start_us {
            break;
        }
        before_us = stored.start_us;
        bytes += stored.report.len();
        let Some((finding, start)) = finding(&stored.report, pictured) else { continue };
        let (Some(effect), Ok(time_us)) = (finding.effect(), parse_instant_us(&start)) else {
            continue;
        };
        statistic = match (&finding.ks, &finding.psi) {
            (Some(_), _) => "KS",
            (None, Some(_)) => "PSI",
            (None, None) => finding.check.name(),
        };
        points.push(TimelinePoint {
            time_us,
            value: Some(effect.value),
            bound: Some(effect.bound),
            tolerance: Some(effect.tolerance),
            level: finding.level,
        });
    }
    // One point is no line; its numbers stand in the mail.
    if points.len() < 2 {
        return Ok(None);
    }
    points.reverse();
    let name = name_of(&pictured.subject);
    let svg = plots::timeline(&Timeline { name, statistic, points: &points });
    let alt = format!("{name}: {statistic} in the last {} windows", points.len());
    Ok(Some(Picture { svg, alt }))
}

/// The finding in a report, and when its window began.
fn finding(report: &str, pictured: &Pictured) -> Option<(Finding, String)> {
    let judged: Judged = serde_json::from_str(report).ok()?;
    let is_it = |finding: &Finding| {
        finding.subject == pictured.subject && finding.check.name() == pictured.check
    };
    Some((judged.findings.into_iter().find(is_it)?, judged.window.start))
}

fn name_of(subject: &str) -> &str {
    subject.split_once(':').map_or(subject, |(_, name)| name)
}

/// The categories that contribute most, in their order, and all others together.
fn largest(categories: &[CategoryShare]) -> Vec<CategoryShare> {
    if categories.len() <= CATEGORIES + 1 {
        return categories.to_vec();
    }
    let mut contributions: Vec<f64> =
        categories.iter().map(|category| category.contribution).collect();
    contributions.sort_by(|one, other| other.total_cmp(one));
    let least = contributions.get(CATEGORIES - 1).copied().unwrap_or_default();
    let mut rest = CategoryShare { category: None, reference: 0.0, window: 0.0, contribution: 0.0 };
    let mut kept = Vec::with_capacity(CATEGORIES + 1);
    let last = categories.len() - 1;
    for (index, category) in categories.iter().enumerate() {
        if index != last && kept.len() < CATEGORIES && category.contribution >= least {
            kept.push(category.clone());
            continue;
        }
        rest.reference += category.reference;
        rest.window += category.window;
        rest.contribution += category.contribution;
    }
    kept.push(rest);
    kept
}

fn image(picture: Picture) -> Option<Image> {
    match plots::png(&picture.svg, Theme::Light) {
        Ok(png) if png.len() <= IMAGE_BYTES => Some(Image { alt: picture.alt, width: WIDTH, png }),
        Ok(png) => {
            let bytes = png.len();
            tracing::warn!(bytes, "an image is too large for a mail and is left out");
            None
        }
        Err(error) => {
            tracing::warn!(%error, "an image of a mail cannot be drawn and is left out");
            None
        }
    }
}

#[cfg(test)]
mod tests;
