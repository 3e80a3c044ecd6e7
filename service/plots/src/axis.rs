//! From values to places, and the ticks beside them: round numbers, dates and durations.

use driftline_config::time::{ALIGNMENT_US, DAY_US, MINUTE_US};
use jiff::civil::{Date, DateTime};
use jiff::tz::Offset;
use jiff::{Timestamp, ToSpan};

use super::svg::{Anchor, Drawing, at};

/// A straight scale from values to coordinates; what lies outside is put at the nearer end.
#[derive(Debug, Clone, Copy)]
pub(super) struct Scale {
    low: f64,
    high: f64,
    /// The coordinate of `low`, and of `high`.
    from: f64,
    to: f64,
}

#[derive(Debug, Clone, Copy)]
pub(super) struct Panel {
    pub(super) left: f64,
    pub(super) right: f64,
    pub(super) top: f64,
    pub(super) bottom: f64,
}

/// A tick: where on the scale, and what is written there.
pub(super) type Tick = (f64, String);

impl Scale {
    pub(super) fn at(&self, value: f64) -> f64 {
        let Scale { low, high, from, to } = *self;
        let part = if high > low { ((value - low) / (high - low)).clamp(0.0, 1.0) } else { 0.5 };
        from + part * (to - from)
    }
}

impl Panel {
    pub(super) fn across(&self, low: f64, high: f64) -> Scale {
        Scale { low, high, from: self.left, to: self.right }
    }

    pub(super) fn up(&self, low: f64, high: f64) -> Scale {
        Scale { low, high, from: self.bottom, to: self.top }
    }

    /// Lines at the ticks of the upright axis, with their texts on the left.
    pub(super) fn grid(&self, drawing: &mut Drawing, scale: &Scale, ticks: &[Tick]) {
        for (value, text) in ticks {
            let y = scale.at(*value);
            drawing.line("grid", at(self.left, y), at(self.right, y));
            drawing.text("tick", at(self.left - 4.0, y + 4.0), Anchor::End, text);
        }
    }

    /// The lower axis with its ticks; texts at its ends stay inside.
    pub(super) fn floor(&self, drawing: &mut Drawing, scale: &Scale, ticks: &[Tick]) {
        drawing.line("axis", at(self.left, self.bottom), at(self.right, self.bottom));
        for (value, text) in ticks {
            let x = scale.at(*value);
            drawing.line("axis", at(x, self.bottom), at(x, self.bottom + 3.0));
            let (x, anchor) = self.beside(x, text);
            drawing.text("tick", at(x, self.bottom + 15.0), anchor, text);
        }
    }

    fn beside(&self, x: f64, text: &str) -> (f64, Anchor) {
        let half = width_of(text) / 2.0;
        if x + half > self.right + 8.0 {
            return (self.right + 8.0, Anchor::End);
        }
        (x, Anchor::Middle)
    }
}

/// About how wide a text of a tick is.
pub(super) fn width_of(text: &str) -> f64 {
    6.1 * text.chars().count() as f64
}

/// Round values inside `[low, high]`, at most about `about` of them, ascending.
pub(super) fn nice_values(low: f64, high: f64, about: usize) -> Vec<f64> {
    let span = high - low;
    if !(span.is_finite() && span > 0.0) {
        return if low.is_finite() { vec![low] } else { Vec::new() };
    }
    let rough = span / about.max(1) as f64;
    let power = 10_f64.powf(rough.log10().floor());
    let step = [1.0, 2.0, 5.0, 10.0]
        .into_iter()
        .map(|times| times * power)
        .find(|step| *step >= rough * 0.999)
        .unwrap_or(10.0 * power);
    let first = (low / step - 1e-9).ceil();
    let last = (high / step + 1e-9).floor();
    // Large numbers with a small spread have no room for steps between them.
    if !(first.abs() < 1e15 && last.abs() < 1e15) {
        return vec![low, high];
    }
    let mut values = Vec::new();
    let mut count = first;
    while count <= last && values.len() < 64 {
        // Adding zero turns -0 into 0.
        values.push(clean(count * step) + 0.0);
        count += 1.0;
    }
    values
}

pub(super) fn ticks(low: f64, high: f64, about: usize) -> Vec<Tick> {
    nice_values(low, high, about).into_iter().map(|value| (value, number(value))).collect()
}

pub(super) fn percent_ticks(high: f64, about: usize) -> Vec<Tick> {
    let text = |value: f64| format!("{} %", number(clean(100.0 * value)));
    nice_values(0.0, high, about).into_iter().map(|value| (value, text(value))).collect()
}

/// A number as people read it beside a plot: four significant digits, k and M for thousands and
/// millions.
pub(super) fn number(value: f64) -> String {
    if value.is_infinite() {
        return if value > 0.0 { "∞".to_owned() } else { "-∞".to_owned() };
    }
    let size = value.abs();
    if size != 0.0 && !(1e-4..1e13).contains(&size) {
        return format!("{:e}", significant(value, 3));
    }
    let (value, unit) = match size {
        size if size >= 1e10 => (value / 1e9, "G"),
        size if size >= 1e7 => (value / 1e6, "M"),
        size if size >= 1e4 => (value / 1e3, "k"),
        _ => (value, ""),
    };
    // Adding zero turns -0 into 0.
    format!("{}{unit}", significant(value, 4) + 0.0)
}

/// A share in percent: `41 %`, `0.3 %`.
pub(super) fn percent(share: f64) -> String {
    let digits = if share.abs() < 0.1 { 2 } else { 3 };
    format!("{} %", significant(100.0 * share, digits))
}

/// A duration: `850 µs`, `12 ms`, `1.5 s`.
pub(super) fn duration(us: f64) -> String {
    match us {
        us if us < 1e3 => format!("{} µs", significant(us, 3)),
        us if us < 1e6 => format!("{} ms", significant(us / 1e3, 3)),
        us if us < 120e6 => format!("{} s", significant(us / 1e6, 3)),
        us => format!("{} min", significant(us / 60e6, 3)),
    }
}

/// A number of which only the size matters: two significant digits.
pub(super) fn rough(value: f64) -> String {
    number(significant(value, 2))
}

fn significant(value: f64, digits: usize) -> f64 {
    format!("{value:.*e}", digits.saturating_sub(1)).parse().unwrap_or(value)
}

/// What the arithmetic of steps leaves behind the twelfth digit is not shown.
fn clean(value: f64) -> f64 {
    significant(value, 12)
}

/// Ticks at round instants of UTC inside `[from_us, to_us]`: hours, days, Mondays, months, years.
pub(super) fn time_ticks(from_us: i64, to_us: i64, about: usize) -> Vec<Tick> {
    let span_us = to_us.saturating_sub(from_us);
    let steps = [1, 5, 15, 30, 60, 180, 360, 720].map(|minutes| minutes * MINUTE_US);
    let days = [1, 2, 7, 14].map(|days| days * DAY_US);
    let fits = |step_us: &i64| span_us / step_us < about as i64;
    let Some(step_us) = steps.into_iter().chain(days).find(fits) else {
        return month_ticks(from_us, to_us, about);
    };
    let origin_us = if step_us >= 7 * DAY_US { ALIGNMENT_US } else { 0 };
    let mut at_us = origin_us + (from_us - origin_us).div_euclid(step_us) * step_us;
    let mut ticks = Vec::new();
    while at_us <= to_us {
        if at_us >= from_us {
            ticks.push((at_us as f64, instant(at_us, step_us < DAY_US, ticks.is_empty())));
        }
        at_us += step_us;
    }
    ticks
}

fn instant(at_us: i64, hours: bool, first: bool) -> String {
    let Some(at) = civil(at_us) else { return String::new() };
    let midnight = at_us.rem_euclid(DAY_US) == 0;
    let form = match (hours, midnight, first) {
        (false, ..) | (true, true, _) => "%-d %b",
        (true, false, true) => "%-d %b %H:%M",
        (true, false, false) => "%H:%M",
    };
    at.strftime(form).to_string()
}

fn month_ticks(from_us: i64, to_us: i64, about: usize) -> Vec<Tick> {
    let (Some(from), Some(to)) = (civil(from_us), civil(to_us)) else { return Vec::new() };
    let months = 12 * (i64::from(to.year()) - i64::from(from.year())) + i64::from(to.month())
        - i64::from(from.month());
    let step = [1, 2, 3, 6, 12, 24, 60, 120, 240, 600, 1200]
        .into_iter()
        .find(|step| months / step < about as i64)
        .unwrap_or(1200);
    let mut ticks = Vec::new();
    let Ok(mut month) = Date::new(from.year(), 1, 1) else { return ticks };
    while month <= to.date() && ticks.len() < 64 {
        if let Some(at_us) = start_us(month).filter(|at_us| *at_us >= from_us) {
            let form = match (step >= 12, month.month() == 1 || ticks.is_empty()) {
                (true, _) => "%Y",
                (false, true) => "%b %Y",
                (false, false) => "%b",
            };
            ticks.push((at_us as f64, month.strftime(form).to_string()));
        }
        match month.checked_add(step.months()) {
            Ok(next) => month = next,
            Err(_) => break,
        }
    }
    ticks
}

fn civil(at_us: i64) -> Option<DateTime> {
    Some(Offset::UTC.to_datetime(Timestamp::from_microsecond(at_us).ok()?))
}

fn start_us(day: Date) -> Option<i64> {
    let at = Offset::UTC.to_timestamp(day.to_datetime(jiff::civil::Time::midnight())).ok()?;
    Some(at.as_microsecond())
}

/// `24 Jun 2013`, or with the time of day where it is not midnight.
pub(super) fn date(at_us: i64) -> String {
    let Some(at) = civil(at_us) else { return String::new() };
    let form = if at_us.rem_euclid(DAY_US) == 0 { "%-d %b %Y" } else { "%-d %b %Y %H:%M" };
    at.strftime(form).to_string()
}

#[cfg(test)]
mod tests;
