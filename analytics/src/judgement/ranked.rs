//! What ranks say of a window's columns: their levels, since when, and the sentence of each.

use std::borrow::Cow;
use std::collections::BTreeSet;

use driftline_config::time::{DAY_US, HOUR_US, format_duration, format_instant};
use driftline_config::{Level, Subject};

use super::column::Column;
use super::{ALPHA, CONFIDENCE, JudgeInput, sentence};
use crate::budget::{Budget, Maximum, Measured, Number, Peak, ScaleHistory, Standing};
use crate::report::{
    BudgetSection, Check, Finding, MaximumSection, Moved, NameCount, Rank, rounded,
};
use crate::statistics::lower_bound;

/// Columns for which it is looked up since when they moved.
const DATED: usize = 16;

/// What is accepted counts again once it is this many times as large (as incidents do).
const GROWN: f64 = 1.5;

/// A window's place among the own windows of its baseline.
pub(super) struct Ranked<'a> {
    pub(super) budget: &'a Budget,
    pub(super) standing: &'a Standing,
    pub(super) newest: &'a ScaleHistory,
}

/// One column that is judged by ranks, with the number that leads it.
struct Led<'a> {
    /// The farthest of its numbers.
    farthest: &'a Number,
    /// The one that is told.
    number: Cow<'a, Number>,
    threshold: f64,
    level: Level,
    subject: Subject,
    measured: Measured,
}

impl Ranked<'_> {
    /// Gives the findings that are judged by ranks their levels, figures and sentences.
    pub(super) fn apply(
        &self,
        input: &JudgeInput<'_>,
        columns: &[Column<'_>],
        findings: &mut Vec<Finding>,
    ) -> BudgetSection {
        self.add_new_numbers(columns, findings);
        let mut moved: Vec<(usize, Led<'_>)> = Vec::new();
        for (place, finding) in findings.iter_mut().enumerate() {
            let Some(column) = columns.iter().find(|column| column.subject == finding.subject)
            else {
                continue;
            };
            let Some(index) = self.index(input, column) else { continue };
            if self.is_judged_with_another(columns, column) {
                if self.ranks(finding.check) {
                    finding.level = Level::Ok;
                    finding.notes.push("judged together with all versions".to_owned());
                }
                continue;
            }
            let Some(led) = self.led(index, finding) else {
                self.calm(index, finding);
                continue;
            };
            self.say(input, column, &led, finding);
            if matches!(led.level, Level::Alarm | Level::Warn) {
                moved.push((place, led));
            }
        }
        let moved = self.date(moved, findings);
        self.section(input, moved)
    }

    /// The place of a column in the default baseline; `None` where its version has its own.
    fn index(&self, input: &JudgeInput<'_>, column: &Column<'_>) -> Option<usize> {
        let default = &input.baselines.default;
        let place =
            default.columns.iter().position(|known| column.subject.is_of(known.subject()))?;
        let own = default.columns.get(place).is_some_and(|of| std::ptr::eq(of, column.baseline));
        own.then_some(place)
    }

    /// Predictions of all versions that are compared with one baseline are one column; the version
    /// with the most rows speaks for it.
    fn is_judged_with_another(&self, columns: &[Column<'_>], column: &Column<'_>) -> bool {
        let alike = columns.iter().filter(|other| std::ptr::eq(other.baseline, column.baseline));
        let first = alike.reduce(
            |most, next| {
                if next.cell.rows() > most.cell.rows() { next } else { most }
            },
        );
        first.is_some_and(|first| first.subject != column.subject)
    }

    /// Whether a rank was dealt for what this check looks at.
    fn ranks(&self, check: Check) -> bool {
        let of_drift = check == Check::Distribution;
        let dealt = if of_drift { Budget::ranks_drift } else { Budget::ranks_broken_input };
        ranked_checks(check) && dealt(self.budget)
    }

    /// Where tolerances decide: a window with fewer rows than the own ones have differs by more, so that
    /// what is over the largest own value warns only if it is so by the yardstick of its rows too.
    fn calm(&self, index: usize, finding: &mut Finding) {
        let own = self.standing.numbers.iter().filter(|number| {
            number.column == index
                && number.maximum == Maximum::ShortDrift
                && number.own_largest > 0.0
                && check_of(number.measured, finding.check)
        });
        let mut own = own.peekable();
        let within = own.peek().is_some() && own.all(|number| number.value <= number.own_largest);
        if finding.level == Level::Warn && within {
            finding.level = Level::Ok;
        }
    }

    fn led(&self, index: usize, finding: &Finding) -> Option<Led<'_>> {
        // What has no value in the window, or none in the baseline, has no distribution.
        let compared = finding.n > 0 && finding.m > 0;
        if !ranked_checks(finding.check) || !compared {
            return None;
        }
        let over = |number: &Number, threshold: f64| number.value / threshold.max(1e-300);
        let of_check =
            self.standing.numbers.iter().filter(|number| {
                number.column == index && check_of(number.measured, finding.check)
            });
        let ranked = of_check
            .filter_map(|number| Some((number, self.budget.threshold(number.maximum)?)))
            .collect::<Vec<_>>();
        let (number, threshold) = ranked.iter().copied().reduce(|most, next| {
            if over(next.0, next.1) > over(most.0, most.1) { next } else { most }
        })?;
        let level = if !finding.judged {
            Level::Ok
        } else if ranked.iter().any(|(number, threshold)| number.value > *threshold) {
            Level::Alarm
        } else if ranked.iter().any(|(number, _)| number.value > number.own_largest) {
            Level::Warn
        } else {
            Level::Ok
        };
        let subject = finding.subject.clone();
        let (farthest, mut number, mut threshold) = (number, Cow::Borrowed(number), threshold);
        if number.value > threshold
            && let Some(shortest) = self.budget.shortest(self.standing, farthest)
        {
            threshold = self.budget.threshold(shortest.maximum).unwrap_or(threshold);
            number = Cow::Owned(shortest);
        }
        Some(Led { farthest, number, threshold, level, subject, measured: farthest.measured })
    }

    fn say(
        &self,
        input: &JudgeInput<'_>,
        column: &Column<'_>,
        led: &Led<'_>,
        finding: &mut Finding,
    ) {
        let Led { number, threshold, level, .. } = led;
        finding.level = *level;
        finding.needed = None;
        finding.because = self.because(input, column, led, finding);
        finding.rank = Some(Rank {
            measured: number.measured,
            scale: number.scale,
            rows: number.rows,
            effect: rounded(number.effect),
            bound: rounded(self.bound(number)),
            yardstick: rounded(number.yardstick),
            value: rounded(number.value),
            threshold: rounded(*threshold),
            own_largest: rounded(number.own_largest),
            since: None,
            since_at_the_latest: false,
            returned: matches!(level, Level::Alarm | Level::Warn)
                && self.budget.returned(self.standing, number),
        });
    }

    /// What the effect is at least: by Dvoretzky, Kiefer and Wolfowitz for numbers, by McDiarmid for
    /// categories, by Clopper and Pearson for shares.
    fn bound(&self, number: &Number) -> f64 {
        let rows = number.rows as f64;
        match number.measured {
            Measured::Distribution | Measured::OtherPart => {
                number.effect - libm::sqrt(libm::log(2.0 / ALPHA) / (2.0 * rows))
            }
            _ => match self.budget.shares(self.standing, number) {
                Some((counted, reference)) => {
                    lower_bound(counted.0, counted.1, CONFIDENCE) - reference
                }
                None => 0.0,
            },
        }
    }

    fn because(
        &self,
        input: &JudgeInput<'_>,
        column: &Column<'_>,
        led: &Led<'_>,
        finding: &Finding,
    ) -> String {
        let number = &*led.number;
        let units = units(input.model.window.every_us);
        let over = match number.scale {
            1 => String::new(),
            scale => format!("over the last {scale} {units} "),
        };
        let part = self.budget.part(self.standing, number, column.baseline);
        let what = what(column, &part.of, finding);
        let mut text = format!(
            "{over}{} % of requests {what}, in the baseline {} %: {}",
            sentence::percent(part.window),
            sentence::percent(part.reference),
            sentence::more_or_fewer(part.window - part.reference),
        );
        if part.of_others {
            text =
                text.replacen("of requests", &format!("of the other values of {}", column.name), 1);
        }
        let beyond = self.budget.beyond(number.maximum, number.value);
        let own = self.budget.own_of(number.maximum);
        text.push_str(&match led.level {
            Level::Alarm => format!("; differs more than {beyond} of the baseline's {own} {units} did"),
            Level::Warn => format!("; this column differs more than on any of the baseline's {own} {units}, with others it does not stand out"),
            _ => format!("; as the baseline's own {units} do"),
        });
        text
    }

    /// Says since when each column that moved has been so; the first mover comes first.
    fn date(&self, mut moved: Vec<(usize, Led<'_>)>, findings: &mut [Finding]) -> Vec<Moved> {
        let over = |led: &Led<'_>| led.number.value / led.threshold.max(1e-300);
        moved.sort_by(|(_, one), (_, other)| over(other).total_cmp(&over(one)));
        let numbers: Vec<&Number> = moved.iter().take(DATED).map(|(_, led)| led.farthest).collect();
        let since = self.budget.since(self.standing, &numbers, self.newest);
        let mut dated: Vec<(i64, Moved)> = Vec::new();
        for (order, (place, led)) in moved.into_iter().enumerate() {
            let since = since.get(order).copied().flatten();
            let text = since.map(|(since_us, _)| format_instant(since_us));
            let at_the_latest = since.is_some_and(|(_, at_the_latest)| at_the_latest);
            if let Some(rank) = findings.get_mut(place).and_then(|finding| finding.rank.as_mut()) {
                rank.since.clone_from(&text);
                rank.since_at_the_latest = at_the_latest;
            }
            let Led { subject, measured, .. } = led;
            let since_us = since.map_or(i64::MAX, |(since_us, _)| since_us);
            dated.push((since_us, Moved { subject, measured, since: text, at_the_latest }));
        }
        dated.sort_by_key(|(since_us, _)| *since_us);
        dated.into_iter().map(|(_, moved)| moved).collect()
    }

    fn section(&self, input: &JudgeInput<'_>, moved: Vec<Moved>) -> BudgetSection {
        let (budget, model) = (self.budget, input.model);
        let complete = input.window.incomplete.is_empty();
        let maxima: Vec<MaximumSection> =
            self.standing.extremes.iter().map(|extreme| self.maximum(input, extreme)).collect();
        BudgetSection {
            at_most: budget.at_most(),
            per: format_duration(model.false_alarms.per_us),
            windows: rounded(budget.windows()),
            own: budget.own_windows() as u64,
            lag: budget.lag(),
            expected: rounded(budget.expected()),
            bound: rounded(budget.bound()),
            pages: complete && maxima.iter().any(|maximum| maximum.pages),
            says: self.says(input, &maxima),
            maxima,
            moved,
            accepted: self.accepted(input),
        }
    }

    /// The columns that lead no maximum because somebody accepted them.
    fn accepted(&self, input: &JudgeInput<'_>) -> Vec<Subject> {
        let numbers = self.standing.numbers.iter().filter(|number| is_accepted(input, number));
        let columns: BTreeSet<usize> = numbers.map(|number| number.column).collect();
        let all = &input.baselines.default.columns;
        columns.iter().filter_map(|&column| Some(all.get(column)?.subject().clone())).collect()
    }

    fn maximum(&self, input: &JudgeInput<'_>, extreme: &Peak) -> MaximumSection {
        let (budget, maximum) = (self.budget, extreme.maximum);
        let leading = extreme.leading.and_then(|place| self.standing.numbers.get(place));
        let subject = leading.and_then(|number| {
            let column = input.baselines.default.columns.get(number.column)?;
            Some(column.subject().clone())
        });
        let scales = budget.scales();
        MaximumSection {
            of: maximum.name().to_owned(),
            scales: scales.get(maximum.scales()).unwrap_or_default().to_vec(),
            own: budget.own_of(maximum) as u64,
            rank: budget.rank(maximum) as u64,
            threshold: rounded(extreme.threshold),
            value: rounded(extreme.value),
            beyond: extreme.beyond as u64,
            pages: extreme.pages(),
            leading: subject,
            scale: leading.map(|number| number.scale),
        }
    }

    fn says(&self, input: &JudgeInput<'_>, maxima: &[MaximumSection]) -> String {
        let units = units(input.model.window.every_us);
        let pages = maxima.iter().filter(|maximum| maximum.pages);
        let most = pages.max_by_key(|maximum| (maximum.beyond, maximum.own));
        match most {
            Some(maximum) => format!(
                "differs more than {} of the baseline's {} {units} did; {}",
                maximum.beyond,
                maximum.own,
                self.budget.promise(input.model)
            ),
            None => self.budget.promise(input.model),
        }
    }

    /// Constant and discrete numbers with values that the baseline does not have.
    fn add_new_numbers(&self, columns: &[Column<'_>], findings: &mut Vec<Finding>) {
        for column in columns {
            let has = |check| {
                let mut of_column = findings.iter().filter(|f| f.subject == column.subject);
                of_column.any(|finding| finding.check == check)
            };
            let new = self.budget.new_numbers(column.baseline, &column.cell);
            if new == 0 || has(Check::NewCategory) {
                continue;
            }
            let mut finding = Finding::new(column.subject.clone(), Check::NewCategory);
            finding.kind = Some(column.kind.into());
            finding.n = column.cell.n();
            finding.m = column.baseline.n();
            finding.judged = column.judged;
            finding.private = column.private;
            let share = new as f64 / finding.n.max(1) as f64;
            finding.because = format!(
                "{} % of requests have a value of {} that the baseline does not know",
                sentence::percent(share),
                column.name
            );
            findings.push(finding);
        }
    }
}

impl Budget {
    /// What the operator is told of the ranks, in a sentence.
    pub fn promise(&self, model: &driftline_config::Model) -> String {
        let per = format_duration(model.false_alarms.per_us);
        let units = units(model.window.every_us);
        let own = self.own_windows();
        if !self.ranks_drift() && !self.ranks_broken_input() {
            let needed = self.own_windows_needed();
            return match own {
                0 => format!(
                    "no stated number of false alarms: the baseline has no windows of its own of {}",
                    format_duration(model.window.every_us)
                ),
                _ if matches!(model.tolerance, driftline_config::Tolerance::Fixed(_)) => {
                    "no stated number of false alarms: tolerances are set for this model".to_owned()
                }
                _ => format!(
                    "{} false alarms in {per} cannot be promised: the baseline has {own} {units}, {needed} are needed; reachable are {} in {}",
                    self.at_most(),
                    self.at_most(),
                    format_duration(
                        ((own + 1) as f64 * self.at_most()) as i64 * model.window.every_us
                    )
                ),
            };
        }
        let without: Vec<&str> = Maximum::ALL
            .into_iter()
            .filter(|maximum| self.own_of(*maximum) > 0 && self.rank(*maximum) == 0)
            .map(Maximum::text)
            .collect();
        let mut text = format!(
            "{} false alarms in {per} are to be expected at most, over baselines {} in nine of ten",
            sentence::statistic(self.expected()),
            sentence::statistic(self.bound()),
        );
        if self.lag() > 1 {
            text.push_str(&format!(
                " if {units} were independent, but {} following one another are alike, so that it may be more",
                self.lag()
            ));
        }
        if !without.is_empty() {
            text.push_str(&format!("; not within reach: {}", without.join(", ")));
        }
        text
    }
}

impl Maximum {
    /// As reports name it.
    pub fn name(self) -> &'static str {
        match self {
            Maximum::LongDrift => "long_drift",
            Maximum::BrokenInput => "broken_input",
            Maximum::ShortDrift => "short_drift",
        }
    }

    /// In words.
    pub fn text(self) -> &'static str {
        match self {
            Maximum::LongDrift => "drift over several windows",
            Maximum::BrokenInput => "broken input",
            Maximum::ShortDrift => "drift within one or two windows",
        }
    }
}

/// Windows of this length in the plural.
fn units(every_us: i64) -> String {
    match every_us {
        HOUR_US => "hours".to_owned(),
        DAY_US => "days".to_owned(),
        every_us if every_us == 7 * DAY_US => "weeks".to_owned(),
        every_us => format!("windows of {}", format_duration(every_us)),
    }
}

/// Whether a number is of a column that somebody accepted, and has not grown by half since.
pub(super) fn is_accepted(input: &JudgeInput<'_>, number: &Number) -> bool {
    let Some(column) = input.baselines.default.columns.get(number.column) else { return false };
    input.history.accepted.iter().any(|accepted| {
        accepted.subject.is_of(column.subject())
            && CHECKS
                .iter()
                .any(|check| check.name() == accepted.check && check_of(number.measured, *check))
            && number.effect < GROWN * accepted.effect
    })
}

/// Checks that ranks decide where they are dealt.
const CHECKS: [Check; 5] =
    [Check::Distribution, Check::Missing, Check::WrongType, Check::NewCategory, Check::Absent];

fn ranked_checks(check: Check) -> bool {
    CHECKS.contains(&check)
}

fn check_of(measured: Measured, check: Check) -> bool {
    match measured {
        Measured::Distribution | Measured::OtherPart | Measured::Class(_) => {
            check == Check::Distribution
        }
        Measured::Missing => matches!(check, Check::Missing | Check::Absent),
        Measured::WrongType => check == Check::WrongType,
        Measured::NewValues => check == Check::NewCategory,
    }
}

/// What follows "of requests".
fn what(column: &Column<'_>, part: &crate::budget::PartOf, finding: &Finding) -> String {
    use crate::budget::PartOf;
    let name = column.name;
    let named = match part {
        PartOf::Above(value) => format!("have {name} > {}", sentence::value(*value)),
        PartOf::AtOrAbove(value) => format!("have {name} >= {}", sentence::value(*value)),
        PartOf::Value(value) => format!("have {name} {}", sentence::value(*value)),
        PartOf::Category(category) if category.is_empty() => format!("have an empty {name}"),
        PartOf::Category(category) => format!("have {name} {}", sentence::plain(category)),
        PartOf::Pool(judged) => format!("have another {name} than the baseline's {judged} largest"),
        PartOf::Missing => return format!("lack {name}"),
        PartOf::WrongType => {
            return format!("have a value of {name} of the wrong type{}", such_as(finding));
        }
        PartOf::NewValues => {
            return format!(
                "have a value of {name} that the baseline does not know{}",
                such_as(finding)
            );
        }
        PartOf::Nothing => return format!("have another {name}"),
    };
    if column.private { format!("have some values of {name}, which are private") } else { named }
}

fn such_as(finding: &Finding) -> String {
    let first: Option<&NameCount> = finding.share.as_ref().and_then(|share| share.names.first());
    first.map_or_else(String::new, |first| format!(", such as {}", sentence::quoted(&first.name)))
}
