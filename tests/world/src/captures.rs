//! Captures as a model's server would send them: JSON, a line each.

use driftline_config::time::SECOND_US;

/// Capture number `index` of a model. `shift` moves the feature `x`, whose calm values lie within
/// 0 to 1000; `kind` is one of three texts and the prediction `score` lies between 0 and 1. One in fifty
/// failed.
pub fn capture(model: &str, time_us: i64, index: i64, shift: i64) -> String {
    let x = (index * 7919) % 1000 + shift;
    let kind = ["a", "b", "c"][(index % 3) as usize];
    let score = ((index * 104_729) % 997) as f64 / 997.0;
    let status = if index % 50 == 7 { 500 } else { 200 };
    format!(
        r#"{{"v":1,"model":"{model}","version":"1","id":"{model}-{index}","ts":{},"latency_us":{},"status":{status},"features":{{"x":{x},"kind":"{kind}"}},"prediction":{{"score":{score}}}}}"#,
        time_us / 1000,
        1000 + index % 100
    )
}

/// When heartbeats say it is that pass every window before `time_us`: as many as must agree where clocks do
/// not, each of a half minute of its own.
pub fn closing_times_us(time_us: i64) -> impl Iterator<Item = i64> {
    (0..96).map(move |nth| time_us + nth * 30 * SECOND_US)
}

/// A heartbeat of one model, or of all of a topic.
pub fn heartbeat(model: Option<&str>, time_us: i64) -> String {
    let model = model.map(|model| format!(r#""model":"{model}","#)).unwrap_or_default();
    format!(r#"{{"v":1,{model}"ts":{},"heartbeat":true}}"#, time_us / 1000)
}
