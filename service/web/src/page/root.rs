//! The way from a view back to the page's root.

/// How many steps up, relative, so that it holds behind a proxy's path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Root(String);

impl Root {
    /// As many steps up as the path has segments behind its first.
    pub(super) fn of(path: &str) -> Root {
        let above = path.matches('/').count().saturating_sub(1);
        Root(if above == 0 { ".".to_owned() } else { vec![".."; above].join("/") })
    }

    /// A link to a path of [`driftline_alerting::links`].
    pub(super) fn to(&self, path: &str) -> String {
        format!("{}{path}", self.0)
    }

    pub(super) fn as_str(&self) -> &str {
        &self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_root_lies_as_far_up_as_the_path_is_long() {
        let table = [
            ("/", "."),
            ("/alerts", "."),
            ("/models/flight-delay", ".."),
            ("/alerts/abc/accept", "../.."),
            ("/models/a%2Fb/windows/x", "../../.."),
        ];
        for (path, root) in table {
            assert_eq!(Root::of(path).as_str(), root, "{path}");
        }
    }
}
