//! Paths of the page's views: what mails and webhooks carry is what the page answers.
//!
//! Every path begins with a slash. Messages put it behind `http.external_url`, the page behind a
//! relative root, so that it also works below a path of a reverse proxy.

use std::fmt::Write;

/// All models.
pub const MODELS: &str = "/";
/// Incidents, silences, receipts.
pub const ALERTS: &str = "/alerts";

/// One model.
pub fn model(model: &str) -> String {
    format!("/models/{}", segment(model))
}

/// One window of a model, by the id of its report.
pub fn window(model: &str, id: &str) -> String {
    format!("/models/{}/windows/{}", segment(model), segment(id))
}

/// One subject of a model: in the window of this id, or in the last one.
pub fn finding(model: &str, subject: &str, window: Option<&str>) -> String {
    let mut path = format!("/models/{}/findings/{}", segment(model), segment(subject));
    if let Some(id) = window {
        path.push_str("?window=");
        path.push_str(&segment(id));
    }
    path
}

/// One candidate of a model.
pub fn candidate(model: &str, candidate: &str) -> String {
    format!("/models/{}/candidates/{}", segment(model), segment(candidate))
}

/// One incident.
pub fn incident(id: &str) -> String {
    format!("/alerts/{}", segment(id))
}

/// A text as one segment of a path, or as a value of a query: what is not unreserved is
/// percent-encoded, but for `@` and `:`, which are plain in both.
pub fn segment(text: &str) -> String {
    let mut segment = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~@:".contains(&byte) {
            segment.push(char::from(byte));
        } else {
            // Writing into a string cannot fail.
            let _ = write!(segment, "%{byte:02X}");
        }
    }
    // A segment of dots alone would lead elsewhere.
    if segment.bytes().all(|byte| byte == b'.') { segment.replace('.', "%2E") } else { segment }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_any_kind_are_one_segment() {
        let table = [
            (model("flight-delay"), "/models/flight-delay"),
            (
                window("flight-delay", "flight-delay@20130624T000000Z.7d"),
                "/models/flight-delay/windows/flight-delay@20130624T000000Z.7d",
            ),
            (
                finding("m", "feature:a/b?c#d&e", None),
                "/models/m/findings/feature:a%2Fb%3Fc%23d%26e",
            ),
            (finding("m", "latency", Some("m@1 +")), "/models/m/findings/latency?window=m@1%20%2B"),
            (candidate("m", "<é\">"), "/models/m/candidates/%3C%C3%A9%22%3E"),
            (incident(".."), "/alerts/%2E%2E"),
            (incident(""), "/alerts/"),
        ];
        for (path, expected) in table {
            assert_eq!(path, expected);
        }
    }
}
