//! Baseline files are read once, and come back from the store once it has them.

use driftline_config::Config;

use super::*;

const FILE: &str = r#"{"driftline_baseline":1,
    "provenance":{"source":"train.csv","first_us":null,"last_us":null,"held_out_predictions":false},
    "rows":2,"columns_seen":["feature:age"],"windows":null,
    "columns":[{"kind":"numeric","subject":"feature:age","cut_points":[1.0],"counts":[0,2,0],"n":2,
        "missing":0,"nan":0,"wrong_type":0,"distinct":1,"discrete":true,"exact":true,
        "moments":{"n":2,"mean":1.0,"variance":0.0,"min":1.0,"max":1.0,
            "positive_infinities":0,"negative_infinities":0},
        "psi_bins":[{"to":null,"count":2}],"own_windows":null}]}"#;

/// A folder with a model and its baseline, named `a.json`.
fn configured() -> (tempfile::TempDir, Config) {
    let folder = tempfile::tempdir().unwrap();
    let (config, baseline) = (folder.path().join("driftline.yaml"), folder.path().join("a.json"));
    std::fs::write(baseline, FILE).unwrap();
    let text = "kafka: {bootstrap: \"localhost:9092\"}\nmodels: [{name: m, captures: {topic: t}, baseline: a.json}]\n";
    std::fs::write(&config, text).unwrap();
    let config = Config::load(&config, &|_| None).unwrap();
    (folder, config)
}

#[test]
fn a_file_is_kept_once_wherever_it_is_found_again() {
    let (folder, config) = configured();
    let model = &config.models[0];
    let [first, copy, broken, missing] =
        ["a.json", "b.json", "c.json", "d.json"].map(|name| folder.path().join(name));
    std::fs::write(&copy, FILE).unwrap();
    std::fs::write(&broken, "{").unwrap();
    let mut reader = BaselineReader::default();
    let known = reader.read(model, &first).unwrap();
    assert!(Arc::ptr_eq(&known, &reader.read(model, &first).unwrap()), "by its path");
    assert!(Arc::ptr_eq(&known, &reader.read(model, &copy).unwrap()), "by what is in it");
    assert!(reader.know(&known.baseline.sha256), "by its sha256");
    let refused = |path: &Path| BaselineReader::default().read(model, path).unwrap_err();
    assert!(matches!(refused(&broken), LoadError::Setup(SetupError::Baseline { .. })));
    assert!(matches!(refused(&missing), LoadError::Read { .. }));
    let mut ahead = BaselineReader::default();
    ahead.read_ahead(&config.models);
    assert!(ahead.know(&known.baseline.sha256), "read ahead");
    // Where another one told of it, by its bytes.
    let mut others = BaselineFiles::default();
    let setup = reader.load(model, &config.limits).unwrap();
    setup.share_files(&mut others);
    assert!(Arc::ptr_eq(&known, &others.of(FILE.into()).unwrap()));
}

#[test]
fn what_the_store_has_is_let_go_and_comes_back_from_there() {
    let (_folder, config) = configured();
    let nothing = BTreeSet::new();
    let setup = load_setup(&config.models[0], &config.limits).unwrap();
    let parts: BTreeMap<_, _> = setup.keep(&nothing).unwrap().into_iter().collect();
    assert_eq!(parts.len(), 2, "a baseline and the settings");
    setup.let_go_of_files(&nothing);
    assert_eq!(setup.keep(&nothing).unwrap().len(), 2, "nobody else has the file");
    let stored = parts.keys().cloned().collect();
    setup.let_go_of_files(&stored);
    let again = setup.keep(&stored).unwrap();
    assert_eq!(again, [(setup.sha256().to_owned(), parts[setup.sha256()].clone())]);
    assert!(setup.keep(&nothing).is_err(), "the bytes are gone");
    let (named, mut files) = (|name: &str| parts.get(name).cloned(), BaselineFiles::default());
    let restored = Setup::restore(setup.sha256(), &named, &mut files, &config.limits).unwrap();
    assert_eq!(restored.sha256(), setup.sha256());
}
