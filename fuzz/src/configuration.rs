//! Configurations: read, or refused with sentences that stand at a place of the file.

use std::path::Path;

use driftline_config::Config;

/// Reads the bytes, where they are text, as a configuration.
pub fn check(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let environment = |name: &str| (name.len() < 8).then(|| format!("value of {name}"));
    match Config::parse(text, Path::new("/nowhere/driftline.yaml"), &environment) {
        Ok(config) => {
            assert!(!config.models.is_empty());
            for model in &config.models {
                assert_eq!(model.fingerprint_sha256().len(), 64);
            }
        }
        Err(problems) => {
            assert!(!problems.0.is_empty());
            // To YAML a carriage return alone ends a line, too.
            let lines = text.split(['\n', '\r']).count() + 1;
            for problem in &problems.0 {
                assert!(problem.line <= lines && !problem.message.is_empty(), "{problems}");
            }
        }
    }
}
