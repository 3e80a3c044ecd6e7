//! Tests of whole configurations.

use std::path::Path;

use crate::Config;

#[test]
fn the_smallest_configuration_has_the_defaults_of_the_contract() {
    let text = "kafka: {bootstrap: 'localhost:9092'}\nmodels:\n  - {name: m, captures: {topic: t}, baseline: b.json}\n";
    let config = Config::parse(text, Path::new("driftline.yaml"), &|_| None).unwrap();
    assert_eq!(config.models.len(), 1);
}
