//! Pictures that parse, say what they show, hold whatever captures may bring, and stay small.

use driftline_analytics::report::{BinShare, CategoryShare, Comparison, Ks, Ordered};
use driftline_analytics::shape::NumericPoint;
use driftline_config::Level;

use super::*;

/// What a capture may bring as a name.
const PLANTED: &str = "<script>alert('1')</script>\u{0}\u{8}\n\"&amp;";
const DAY_US: i64 = 86_400_000_000;
/// 1 April 2013.
const START_US: i64 = 1_364_774_400_000_000;

fn bins(count: usize) -> Vec<BinShare> {
    let bin = |at: usize| BinShare {
        to: (at + 1 < count).then_some(Ordered(at as f64 * 2.5 - 5.0)),
        reference: 1.0 / count as f64,
        window: 2.0 * at as f64 / (count * count) as f64,
        contribution: 0.01 * at as f64,
    };
    (0..count).map(bin).collect()
}

fn categories(count: usize) -> Vec<CategoryShare> {
    let category = |at: usize| CategoryShare {
        category: (at + 1 < count).then(|| format!("{PLANTED}{at}")),
        reference: 1.0 / count as f64,
        window: if at == 0 { 1.0 } else { 0.0 },
        contribution: 0.01 * at as f64,
    };
    (0..count).map(category).collect()
}

fn points(xs: &[f64]) -> Vec<NumericPoint> {
    let count = xs.len() as f64;
    let point = |(at, &x): (usize, &f64)| {
        let share = (at as f64 + 1.0) / count;
        NumericPoint { x: Ordered(x), reference: share.sqrt(), window: share * share }
    };
    xs.iter().enumerate().map(point).collect()
}

fn ks(at: f64) -> Ks {
    Ks {
        value: 0.1634,
        certified: [0.1634, 0.1634],
        bound: 0.08,
        confidence: 0.99,
        tolerance: 0.05,
        tolerance_from: String::new(),
        baseline_error: 0.01,
        detectable: 0.1,
        at: Some(Ordered(at)),
        share_reference: Some(0.41),
        share_window: Some(0.5734),
        p: 0.0,
        p_method: String::new(),
        p_tolerance: 0.0,
        p_adjusted: None,
        comparison: Some(Comparison::Above),
    }
}

fn over_time(count: i64) -> Vec<TimelinePoint> {
    let level = |at: i64| match at % 4 {
        0 => Level::Ok,
        1 => Level::Warn,
        2 => Level::Alarm,
        _ => Level::NotComputable,
    };
    let point = |at: i64| TimelinePoint {
        time_us: START_US + at * DAY_US,
        value: (at != 5).then_some(0.05 + 0.001 * at as f64),
        bound: Some(-0.01),
        tolerance: Some(0.08),
        level: level(at),
    };
    (0..count).map(point).collect()
}

fn latencies(count: i64) -> Vec<PercentilePoint> {
    let point = |at: i64| PercentilePoint {
        time_us: START_US + at * 60_000_000,
        p50_us: 900,
        p90_us: 12_000,
        p99_us: 85_000 + at.unsigned_abs(),
    };
    (0..count).map(point).collect()
}

fn heat_rows(
    rows: usize,
    windows: usize,
    level: impl Fn(usize, usize) -> Option<Level>,
) -> Vec<HeatRow> {
    let row = |row: usize| HeatRow {
        name: format!("feature_of_usual_length_{row}"),
        href: format!("/models/flight-delay/findings/feature:feature_of_usual_length_{row}"),
        levels: (0..windows).map(|window| level(row, window)).collect(),
    };
    (0..rows).map(row).collect()
}

fn starts(count: i64) -> Vec<i64> {
    (0..count).map(|day| START_US + day * DAY_US).collect()
}

/// Every picture, small and large and of next to nothing, under a planted name.
fn pictures() -> Vec<(String, String)> {
    let mut all = Vec::new();
    let mut add = |name: &str, picture: String| all.push((name.to_owned(), picture));
    for count in [1, 2, 10, 21] {
        let (bins, categories) = (bins(count), categories(count));
        for (kind, bars) in
            [("bins", Bars::Bins(&bins)), ("categories", Bars::Categories(&categories))]
        {
            add(&format!("histogram of {count} {kind}"), histogram(PLANTED, bars));
            add(&format!("contributions of {count} {kind}"), contributions(PLANTED, bars));
        }
    }
    for xs in
        [&[][..], &[3.0], &[f64::NEG_INFINITY, 1.0, 1.0, 2.0, f64::INFINITY], &[-1e300, 1e300]]
    {
        add(&format!("distributions over {xs:?}"), ecdf(PLANTED, &points(xs), Some(&ks(1.0))));
        add(
            &format!("distributions over {xs:?} without distance"),
            ecdf(PLANTED, &points(xs), None),
        );
    }
    for count in [0, 1, 2, 7, 90, 400] {
        let points = over_time(count);
        let series = Timeline { name: PLANTED, statistic: "KS", points: &points };
        add(&format!("timeline of {count}"), timeline(&series));
        add(&format!("sparkline of {count}"), sparkline(&series));
        add(
            &format!("percentiles of {count}"),
            percentiles(PLANTED, &latencies(count), Some(50_000)),
        );
    }
    let mut rows = heat_rows(3, 5, |_, _| Some(Level::Warn));
    rows.push(HeatRow { name: PLANTED.to_owned(), href: PLANTED.to_owned(), levels: Vec::new() });
    add("heat map", heat_map(PLANTED, &starts(5), &rows));
    add("heat map of nothing", heat_map(PLANTED, &[], &[]));
    all
}

#[test]
fn every_picture_parses_and_says_what_it_shows() {
    for (name, picture) in pictures() {
        let document = resvg::usvg::roxmltree::Document::parse(&picture)
            .unwrap_or_else(|error| panic!("{name}: {error}\n{picture}"));
        let root = document.root_element();
        assert!(matches!(root.attribute("role"), Some("img" | "group")), "{name}");
        let says: Vec<_> = root.children().take(2).map(|child| child.tag_name().name()).collect();
        assert_eq!(says, ["title", "desc"], "{name}");
        for child in root.children().take(2) {
            assert!(child.text().is_some_and(|text| !text.is_empty()), "{name}: {picture}");
        }
        for node in document.descendants().filter(|node| node.is_element()) {
            let tag = node.tag_name().name();
            let ours = ["svg", "title", "desc", "rect", "path", "text", "circle", "a"];
            assert!(ours.contains(&tag), "{name} has <{tag}>");
            for attribute in node.attributes() {
                let (key, value) = (attribute.name(), attribute.value());
                assert!(!matches!(key, "style" | "id"), "{name}: {key}");
                assert!(
                    !value.contains("NaN") && !value.contains("inf"),
                    "{name}: {key}=\"{value}\""
                );
            }
        }
        assert!(!picture.contains("<script") && !picture.contains('\u{0}'), "{name}");
    }
}

#[test]
fn what_is_planted_in_names_is_text() {
    let histogram = histogram(PLANTED, Bars::Bins(&bins(3)));
    assert!(
        histogram.contains(
            "&lt;script&gt;alert(&#39;1&#39;)&lt;/script&gt;\u{fffd}\u{fffd} &quot;&amp;amp;"
        ),
        "{histogram}"
    );
    let flips = flip_table(&[PLANTED.to_owned(), "b".to_owned()], &[vec![9, 1], vec![0, 5]]);
    assert!(flips.contains("&lt;script&gt;") && !flips.contains("<script"), "{flips}");
    for cell in ["<td class=\"same\">9", "<td class=\"shade-3\">1", "<td class=\"shade-0\">0"] {
        assert!(flips.contains(cell), "{cell} in {flips}");
    }
}

#[test]
fn every_picture_becomes_a_png_in_both_themes() {
    // One of each: drawing takes a while in an unoptimised build.
    let mut seen = std::collections::BTreeSet::new();
    for (name, picture) in pictures() {
        let kind = name.split(' ').next().unwrap_or_default().to_owned();
        if kind == "heat" || !seen.insert(kind) {
            continue;
        }
        for theme in [Theme::Light, Theme::Dark] {
            let baked = baked(&picture, theme);
            assert!(!baked.contains("var("), "{name}: {baked}");
            let png = png(&picture, theme).unwrap_or_else(|error| panic!("{name}: {error}"));
            assert!(png.starts_with(b"\x89PNG"), "{name}");
        }
    }
    assert!(
        png(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"9999\" height=\"9\"></svg>",
            Theme::Light
        )
        .is_err()
    );
    assert!(png("no picture", Theme::Light).is_err());
}

#[test]
fn letters_are_drawn_without_fonts_of_the_machine() {
    let with = |name: &str| {
        png(&histogram(name, Bars::Bins(&bins(3))), Theme::Light).expect("it is drawn")
    };
    let blank = with(" ");
    for name in ["abc", "Größe", "λ", "Ж", "▲"] {
        assert!(with(name) != blank, "{name} left no trace");
    }
}

#[test]
fn a_heat_map_of_a_wide_model_is_small() {
    let random = |row: usize, window: usize| {
        let mixed = (row * 90 + window + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        match (mixed >> 40) % 5 {
            0 => Some(Level::Ok),
            1 => Some(Level::Warn),
            2 => Some(Level::Alarm),
            3 => Some(Level::NotComputable),
            _ => None,
        }
    };
    let worst = heat_map("m", &starts(90), &heat_rows(200, 90, random)).len();
    assert!(worst < 120_000, "{worst} bytes where every window has another level");
    let usual = |row: usize, window: usize| {
        Some(if row.is_multiple_of(7) && window > 40 { Level::Alarm } else { Level::Ok })
    };
    let usual = heat_map("m", &starts(90), &heat_rows(200, 90, usual)).len();
    assert!(usual < 40_000, "{usual} bytes");
}

#[test]
fn runs_of_a_heat_map_lie_where_their_windows_are() {
    let levels = [Some(Level::Ok), Some(Level::Alarm), Some(Level::Alarm), None, Some(Level::Warn)];
    let rows = heat_rows(1, 5, |_, window| levels.get(window).copied().flatten());
    let map = heat_map("m", &starts(5), &rows);
    for path in [
        "<path class=\"track\" d=\"M0 28h3m1 0h1\"/>",
        "<path class=\"level-warn\" d=\"M1 28h2m1 0h1\"/>",
        "<path class=\"level-alarm\" d=\"M1 28h2\"/>",
    ] {
        assert!(map.contains(path), "{path} in {map}");
    }
    assert!(!map.contains("level-none"), "{map}");
    assert!(map.contains("<a href=\"/models/flight-delay/findings/feature:"), "{map}");
}

#[test]
fn the_distance_is_drawn_where_it_is() {
    let xs: Vec<f64> = (0..=10).map(f64::from).collect();
    let picture = ecdf("delay", &points(&xs), Some(&ks(5.0)));
    // The middle of 44 to 350; shares up to 5 are 0.59 and 0.4266 of the way from 182 to 44.
    assert!(picture.contains("<path class=\"gap\" d=\"M197 100.6L197 123.1\"/>"), "{picture}");
    assert!(picture.contains(">KS 0.1634<"), "{picture}");
    assert!(
        picture.contains(
            "42.7 % of the window and 59 % of the baseline have delay ≤ 5; the distance is 0.1634"
        ),
        "{picture}"
    );
}

#[test]
fn levels_differ_in_shape() {
    let points = over_time(4);
    let picture = timeline(&Timeline { name: "x", statistic: "KS", points: &points });
    for mark in [
        "<circle class=\"ok\"",
        "<path class=\"warn\"",
        "<path class=\"alarm\"",
        "<circle class=\"none\"",
    ] {
        assert!(picture.contains(mark), "{mark} in {picture}");
    }
    // No value breaks the line.
    let broken = timeline(&Timeline { name: "x", statistic: "KS", points: &over_time(9) });
    let line =
        broken.split("<path class=\"window\" d=\"").nth(2).and_then(|rest| rest.split('"').next());
    assert_eq!(line.map(|line| line.matches('M').count()), Some(2), "{broken}");
}

#[test]
fn the_style_sheet_colours_every_class() {
    let sheet = style_sheet();
    for (name, picture) in pictures() {
        for class in picture.split("class=\"").skip(1).filter_map(|rest| rest.split('"').next()) {
            for class in class.split(' ') {
                let known =
                    sheet.contains(&format!(".{class}{{")) || sheet.contains(&format!(".{class},"));
                assert!(
                    known || matches!(class, "plot" | "spark" | "heat" | "label"),
                    "{name}: {class}"
                );
            }
        }
    }
    assert!(sheet.contains("prefers-color-scheme:dark"));
}
