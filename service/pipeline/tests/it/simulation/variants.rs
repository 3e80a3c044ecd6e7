//! What every scenario shares: models with their baselines, built once, in a few variants of settings.

use std::sync::OnceLock;

use driftline_config::Model;
use driftline_world::World;

/// Silence after which a partition is idle, in the variants that have idling.
pub(super) const IDLE_US: i64 = 60_000_000;

/// The topics and the models on them. The third model has a topic of its own.
pub(super) const TOPICS: [(&str, &[&str]); 2] = [("shared", &["one", "two"]), ("own", &["three"])];

/// Own windows of a baseline, rows of each, and cut points of its columns: few, since windows are small.
const BASELINE: (i64, i64, usize) = (40, 10, 16);
/// Scenarios send one larger record.
const RECORD_BYTES: usize = 4096;

/// Windows and panes of a model: `every` with its zone, `lateness`, `at_least`, `at_most`, then of panes
/// `every` and `lateness`.
type Grid = (&'static str, &'static str, u64, &'static str, &'static str, &'static str);

/// The grids of the three models.
const VARIANTS: [[Grid; 3]; 5] = [
    [
        ("1h", "5m", 8, "4h", "10m", "5m"),
        ("2h", "10m", 1, "2h", "5m", "1m"),
        ("1h", "1m", 1, "1h", "30m", "1m"),
    ],
    [
        ("30m", "30m", 20, "3h", "15m", "30m"),
        ("4h", "1m", 4, "8h", "1h", "1m"),
        ("1h", "2h", 12, "6h", "20m", "10m"),
    ],
    [
        ("1d", "1h", 1, "1d", "1h", "1h"),
        ("1h", "5m", 5, "2h", "10m", "5m"),
        ("3h", "5m", 30, "1d", "1h", "10m"),
    ],
    [
        ("10m", "1m", 3, "1h", "10m", "1m"),
        ("15m", "5m", 1, "15m", "5m", "1m"),
        ("20m", "1m", 2, "40m", "10m", "5m"),
    ],
    [
        ("1d, timezone: Europe/Paris", "5m", 8, "3d", "1h", "5m"),
        ("1d", "1h", 1, "1d", "30m", "1m"),
        ("2d, timezone: Europe/London", "10m", 1, "2d", "1h", "10m"),
    ],
];

/// Variants, each drawn as often as another.
pub(super) const COUNT: usize = 2 * VARIANTS.len();

/// The world of a variant; odd ones let partitions be idle.
pub(super) fn world(variant: usize) -> &'static World {
    static WORLDS: OnceLock<Vec<World>> = OnceLock::new();
    let worlds = WORLDS.get_or_init(|| {
        let (windows, rows, cut_points) = BASELINE;
        let baseline = |model: &Model| {
            driftline_world::timed_baseline(windows, rows, model.window.every_us, cut_points)
        };
        let worlds = (0..COUNT).map(|variant| {
            let mut world = World::with(&yaml(variant), &baseline).unwrap();
            world.limits.record_bytes = RECORD_BYTES;
            world
        });
        worlds.collect()
    });
    &worlds[variant % worlds.len()]
}

/// Whether windows of a variant are days of a zone.
pub(super) fn is_zoned(variant: usize) -> bool {
    variant / 2 == VARIANTS.len() - 1
}

/// Whether partitions may be idle in a variant.
pub(super) fn idles(variant: usize) -> bool {
    variant % 2 == 1
}

fn yaml(variant: usize) -> String {
    let grids = VARIANTS[variant / 2];
    let idle = if idles(variant) { "60s" } else { "off" };
    let names = TOPICS.iter().flat_map(|(topic, models)| models.iter().map(move |m| (*topic, *m)));
    let models = names.zip(grids).map(|((topic, model), grid)| {
        let (every, lateness, at_least, at_most, pane, pane_lateness) = grid;
        format!(
            "  - name: {model}\n    captures: {{topic: {topic}}}\n    baseline: b.json\n    \
             window: {{every: {every}, lateness: {lateness}, idle: {idle}, at_least: {at_least}, \
             at_most: {at_most}}}\n    operations: {{every: {pane}, lateness: {pane_lateness}}}\n    \
             latency: {{under: 5ms, objective: 0.9}}\n    errors: {{objective: 0.9}}\n    \
             no_data: {{after: 3650d, partition_after: off}}\n    \
             false_alarms: {{at_most: 12, per: 7d}}\n    min_effect: 0\n"
        )
    });
    let models: String = models.collect();
    format!(
        "state: state\nkafka: {{bootstrap: \"localhost:1\"}}\n\
         alerts: {{max_age: off, for: {{drift: 1 of 2}}, repeat: {{drift: 3650d, operations: 3650d}}}}\nmodels:\n{models}receivers:\n  \
         - {{name: hook, webhook: {{url: \"http://127.0.0.1:9/hook\"}}}}\n"
    )
}
