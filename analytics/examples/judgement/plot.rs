//! The pictures of docs/judgement.md as plain SVG, light and dark as the reader's page is.

use std::fmt::Write;

use crate::Outcome;
use crate::judges::names;
use crate::null::Line;
use crate::power::Delays;
use crate::stream::CHANGES;

const STYLE: &str = "\
<style>text{font:11px sans-serif;fill:#333}.axis{stroke:#999;fill:none}.grid{stroke:#ddd;fill:none}\
.aim{stroke:#c00;stroke-dasharray:4 3;fill:none}@media(prefers-color-scheme:dark){text{fill:#ddd}\
.grid{stroke:#444}}</style>";
/// Okabe and Ito's colours, which are told apart by most eyes; ours first.
const COLOURS: [&str; 8] =
    ["#0072b2", "#999999", "#e69f00", "#f0e442", "#009e73", "#d55e00", "#cc79a7", "#56b4e9"];
/// Left and right end of the axes.
const LEFT: f64 = 170.0;
const RIGHT: f64 = 620.0;
/// Openings in a period that the axis begins and ends with.
const FEWEST: f64 = 0.1;
const MOST: f64 = 20.0;

/// Openings in 28 windows by stream, a mark for each rule, on a logarithmic axis.
pub(crate) fn openings(lines: &[Line]) -> Outcome<String> {
    const TOP: f64 = 44.0;
    const STEP: f64 = 18.0;
    let height = TOP + STEP * lines.len() as f64 + 36.0;
    let across = |openings: f64| {
        let place = libm::log(openings.clamp(FEWEST, MOST) / FEWEST) / libm::log(MOST / FEWEST);
        LEFT + (RIGHT - LEFT) * place
    };
    let bottom = height - 30.0;
    let mut svg = head(height, "Openings in 28 windows where nothing changed, by stream and rule")?;
    legend(&mut svg)?;
    for tick in [0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 20.0] {
        let x = across(tick);
        let class = if tick == 1.0 { "aim" } else { "grid" };
        write!(svg, "<path class=\"{class}\" d=\"M{x:.1} {TOP}V{bottom:.1}\"/>")?;
        let y = bottom + 14.0;
        write!(svg, "<text x=\"{x:.1}\" y=\"{y:.1}\" text-anchor=\"middle\">{tick}</text>")?;
    }
    let mut y = TOP + STEP / 2.0;
    for line in lines {
        let (name, own) = (line.stream.name, line.stream.own);
        let name =
            if name.contains("own windows") { name.to_owned() } else { format!("{name}, {own}") };
        let (x, base) = (LEFT - 8.0, y + 4.0);
        write!(svg, "<text x=\"{x}\" y=\"{base:.1}\" text-anchor=\"end\">{name}</text>")?;
        for (openings, colour) in line.openings.iter().zip(COLOURS).rev() {
            let x = across(*openings);
            write!(svg, "<circle cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"4\" fill=\"{colour}\"/>")?;
        }
        y += STEP;
    }
    svg.push_str("</svg>\n");
    Ok(svg)
}

/// The middle delay by size of the shift of a mean, a line for each rule.
pub(crate) fn delays(delays: &Delays) -> Outcome<String> {
    const TOP: f64 = 44.0;
    const BOTTOM: f64 = 250.0;
    const FIRST: f64 = 50.0;
    /// Windows at the upper end.
    const LONGEST: f64 = 60.0;
    let shifts: Vec<usize> = (0..CHANGES.len()).filter(|&at| CHANGES[at].mean > 0.0).collect();
    let step = (RIGHT - FIRST) / shifts.len() as f64;
    let up = |windows: f64| BOTTOM - (BOTTOM - TOP) * libm::log(windows) / libm::log(LONGEST);
    let mut svg = head(BOTTOM + 40.0, "Windows until a lasting shift of a mean opens an incident")?;
    legend(&mut svg)?;
    for tick in [1.0, 2.0, 3.0, 5.0, 10.0, 20.0, 60.0] {
        let (y, base) = (up(tick), up(tick) + 4.0);
        write!(svg, "<path class=\"grid\" d=\"M{FIRST} {y:.1}H{RIGHT}\"/>")?;
        write!(svg, "<text x=\"42\" y=\"{base:.1}\" text-anchor=\"end\">{tick}</text>")?;
    }
    let across = |place: usize| FIRST + step * (place as f64 + 0.5);
    for (place, &change) in shifts.iter().enumerate() {
        let (x, y, name) = (across(place), BOTTOM + 18.0, CHANGES[change].name);
        write!(svg, "<text x=\"{x:.1}\" y=\"{y}\" text-anchor=\"middle\">{name}</text>")?;
    }
    for (rule, colour) in COLOURS.iter().enumerate().rev() {
        let mut path = String::new();
        for (place, &change) in shifts.iter().enumerate() {
            // A rule that half of the runs found nothing by has no mark there.
            let Some(windows) = delays.middle(change, rule).windows else { continue };
            let (x, y) = (across(place), up(windows as f64));
            write!(path, "{}{x:.1} {y:.1}", if path.is_empty() { 'M' } else { 'L' })?;
            write!(svg, "<circle cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"4\" fill=\"{colour}\"/>")?;
        }
        if !path.is_empty() {
            write!(
                svg,
                "<path d=\"{path}\" stroke=\"{colour}\" stroke-width=\"2\" fill=\"none\"/>"
            )?;
        }
    }
    svg.push_str("</svg>\n");
    Ok(svg)
}

fn head(height: f64, title: &str) -> Outcome<String> {
    let mut svg = String::new();
    write!(
        svg,
        "<svg xmlns=\"http://www.w3.org/2000/svg\" role=\"img\" viewBox=\"0 0 640 {height}\"><title>{title}</title>{STYLE}"
    )?;
    Ok(svg)
}

fn legend(svg: &mut String) -> Outcome<()> {
    for (rule, (name, colour)) in names().into_iter().zip(COLOURS).enumerate() {
        let name = name.replace("**", "").replace(", any column", "");
        let (x, y) = (10.0 + 158.0 * (rule % 4) as f64, 10.0 + 16.0 * (rule / 4) as f64);
        let (text, base) = (x + 8.0, y + 4.0);
        write!(svg, "<circle cx=\"{x}\" cy=\"{y}\" r=\"4\" fill=\"{colour}\"/>")?;
        write!(svg, "<text x=\"{text}\" y=\"{base}\">{name}</text>")?;
    }
    Ok(())
}
