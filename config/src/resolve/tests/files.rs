//! Files on disk: what is included, in which order, and where problems in them stand.

use std::path::Path;

use crate::Config;

const MAIN: &str = "kafka: {bootstrap: b}\ninclude: [models.d/*.yaml]\n";

/// Writes `files`, loads the first one, and compares the names of its models, or its problems with
/// the folder cut off.
fn check(files: &[(&str, &str)], expected: Result<&[&str], &[&str]>) {
    let folder = tempfile::tempdir().unwrap();
    for (name, text) in files {
        let path = folder.path().join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    }
    let main = folder.path().join("driftline.yaml");
    let prefix = format!("{}/", folder.path().display());
    let loaded = Config::load(&main, &|_| None)
        .map(|config| config.models.into_iter().map(|model| model.name).collect::<Vec<_>>())
        .map_err(|problems| {
            let lines = problems.to_string().replace(&prefix, "");
            lines.lines().map(str::to_owned).collect::<Vec<_>>()
        });
    match expected {
        Ok(names) => assert_eq!(loaded.unwrap(), names),
        Err(lines) => assert_eq!(loaded.unwrap_err(), lines),
    }
}

fn model(name: &str) -> String {
    format!("models: [{{name: {name}, captures: {{topic: t}}, baseline: b}}]\n")
}

#[test]
fn included_models_follow_in_order_of_their_paths() {
    let main = format!("{MAIN}{}", model("own"));
    check(
        &[
            ("driftline.yaml", &main),
            ("models.d/b.yaml", &model("b")),
            ("models.d/a.yaml", &model("a")),
            ("models.d/.hidden.yaml", "not: read"),
            ("models.d/notes.txt", "not: read"),
        ],
        Ok(&["own", "a", "b"]),
    );
}

#[test]
fn a_file_is_included_once_and_never_by_itself() {
    let main =
        format!("kafka: {{bootstrap: b}}\ninclude: ['*.yaml', a.yaml, ./a.yaml]\n{}", model("own"));
    check(&[("driftline.yaml", &main), ("a.yaml", &model("a"))], Ok(&["own", "a"]));
}

#[test]
fn defaults_of_the_main_file_hold_for_included_models() {
    let main = format!("{MAIN}defaults: {{captures: {{topic: shared}}, baseline: b}}\n");
    check(&[("driftline.yaml", &main), ("models.d/a.yaml", "models: [{name: a}]")], Ok(&["a"]));
}

#[test]
fn problems_say_which_file_they_are_in() {
    check(
        &[
            ("driftline.yaml", MAIN),
            ("models.d/a.yaml", &model("same")),
            ("models.d/b.yaml", &format!("kafka: {{}}\n{}", model("same"))),
            ("models.d/c.yaml", "models: ["),
            ("models.d/d.yaml", "models: [{name: d, captures: {topic: t}, baseline: b, windw: 1}]"),
        ],
        Err(&[
            "models.d/b.yaml:1:1: unknown key `kafka` in an included file: known are models",
            "models.d/b.yaml:2:17: a model named `same` is already at models.d/a.yaml:1:17: names must be unique",
            "models.d/c.yaml:1:9: not valid YAML: unclosed bracket '['",
            "models.d/d.yaml:1:55: unknown key `windw` in model: did you mean `window`?",
        ]),
    );
}

#[test]
fn a_pattern_that_matches_nothing_is_a_problem() {
    let main = format!(
        "kafka: {{bootstrap: b}}\ninclude: [x/*.yaml, y*/a.yaml, z.yaml, '*.yml']\n{}",
        model("own")
    );
    check(
        &[("driftline.yaml", &main)],
        Err(&[
            "driftline.yaml:2:11: cannot list the folder of \"x/*.yaml\": No such file or directory (os error 2)",
            "driftline.yaml:2:21: \"y*/a.yaml\" has a `*` in the name of a folder: `*` may stand in the name of the file only",
            "driftline.yaml:2:32: cannot include \"z.yaml\": No such file or directory (os error 2)",
            "driftline.yaml:2:40: \"*.yml\" matches no file",
        ]),
    );
}

#[test]
fn a_file_that_cannot_be_read_is_one_problem() {
    check(
        &[("other.yaml", "")],
        Err(&["driftline.yaml: cannot read the file: No such file or directory (os error 2)"]),
    );
}

/// A pattern that matched a log of gigabytes took as much memory.
#[test]
fn a_file_that_is_too_large_is_not_read_to_its_end() {
    let large = format!("models: []\n{}", "#".repeat(16 << 20));
    check(
        &[("driftline.yaml", &format!("{MAIN}{}", model("own"))), ("models.d/a.yaml", &large)],
        Err(&[
            "models.d/a.yaml: the file is larger than 16 MiB: a configuration of thousands of models is smaller: is it one?",
        ]),
    );
}

#[test]
fn secret_files_lose_their_last_line_break_and_must_hold_something() {
    let folder = tempfile::tempdir().unwrap();
    let large = "x".repeat(70_000);
    let files = [
        ("line", "s3cret\n"),
        ("dos", "s3cret\r\n"),
        ("bare", "s3cret"),
        ("empty", "\n"),
        ("large", &large),
    ];
    for (name, content) in files {
        std::fs::write(folder.path().join(name), content).unwrap();
    }
    let token = |name: &str| {
        let text =
            format!("kafka: {{bootstrap: b}}\nhttp: {{token: 'file:{name}'}}\n{}", model("m"));
        Config::parse(&text, &folder.path().join("driftline.yaml"), &|_| None)
            .map(|config| config.http.token.unwrap().expose().to_owned())
            .map_err(|problems| problems.0[0].message.clone())
    };
    for name in ["line", "dos", "bare"] {
        assert_eq!(token(name).as_deref(), Ok("s3cret"), "{name}");
    }
    assert_eq!(token("empty").unwrap_err(), "cannot read \"file:empty\": it is empty");
    assert_eq!(
        token("large").unwrap_err(),
        "cannot read \"file:large\": larger than 64 KiB, so no secret"
    );
}

/// A pattern that caught a file of somebody else printed what stood in it.
#[test]
fn nothing_of_a_file_that_is_none_of_ours_is_quoted() {
    let secret = "hunter2";
    for text in [
        format!("root:{secret}:19000:0:99999:7:::\nPASSWORD={secret}\n"),
        format!("{secret}\n"),
        format!("password: {secret}\n{secret}: x\nkafka: {secret}\n"),
        format!("- {secret}: [\n"),
        format!("&{secret} *{secret}"),
        format!("\"{secret}"),
        format!("a: *{secret}"),
        format!("{secret}: 1\n{secret}: 2\nmodels: []\n"),
    ] {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("a"), &text).unwrap();
        let main = format!("kafka: {{bootstrap: b}}\ninclude: [a]\n{}", model("own"));
        let place = folder.path().join("driftline.yaml");
        let problems = Config::parse(&main, &place, &|_| None).unwrap_err().to_string();
        assert!(!problems.contains(secret), "{text}: {problems}");
    }
}

/// Opening a pipe waited for whoever would write into it.
#[test]
fn pipes_and_devices_are_no_files() {
    let folder = tempfile::tempdir().unwrap();
    let pipe = folder.path().join("pipe");
    assert!(std::process::Command::new("mkfifo").arg(&pipe).status().unwrap().success());
    let socket = folder.path().join("socket");
    let _bound = std::os::unix::net::UnixListener::bind(&socket).unwrap();
    for path in [&pipe, &socket, Path::new("/dev/zero"), Path::new("/dev/tty"), folder.path()] {
        let refused = crate::read_file(path, 1 << 20).unwrap_err();
        assert_eq!(refused.to_string(), "it is not a regular file", "{}", path.display());
    }
    let sparse = folder.path().join("sparse");
    std::fs::File::create(&sparse).unwrap().set_len(2 << 30).unwrap();
    let refused = crate::read_file(&sparse, 1 << 20).unwrap_err();
    assert_eq!(refused.to_string(), "it is larger than 1 MiB");
}

#[test]
fn a_file_of_thousands_of_unknown_keys_is_told_in_a_few_lines() {
    let keys: String = (0..3000).map(|at| format!("k{at}: 1\n")).collect();
    let twice = "name: n\n".repeat(3000);
    let text = format!("kafka: {{bootstrap: b}}\n{}\n{keys}{twice}", model("m"));
    let problems = Config::parse(&text, Path::new("driftline.yaml"), &|_| None).unwrap_err();
    let said = problems.to_string();
    assert!((40..50).contains(&problems.0.len()), "{}", problems.0.len());
    assert!(said.contains("more unknown keys in"), "{said}");
}

#[test]
fn a_token_is_one_line_that_is_not_blank() {
    let folder = tempfile::tempdir().unwrap();
    for (content, refused) in [
        ("   \n", true),
        ("\t\n", true),
        ("one\ntwo\n", true),
        (" one\n", true),
        ("o\u{7f}ne\n", true),
        ("one two\n", false),
        ("one\r\n", false),
    ] {
        std::fs::write(folder.path().join("token"), content).unwrap();
        let text =
            format!("kafka: {{bootstrap: b}}\nhttp: {{token: 'file:token'}}\n{}", model("m"));
        let place = folder.path().join("driftline.yaml");
        let found = Config::parse(&text, &place, &|_| None);
        assert_eq!(found.is_err(), refused, "{content:?}");
    }
}

#[test]
fn tokens_have_names_and_scopes() {
    let parse = |http: &str| {
        let text = format!("kafka: {{bootstrap: b}}\nhttp: {{{http}}}\n{}", model("m"));
        Config::parse(&text, Path::new("driftline.yaml"), &|_| None)
            .map(|config| config.http)
            .map_err(|problems| problems.0[0].message.clone())
    };
    let http = parse(
        "listen: '0.0.0.0:1', tokens: [{name: a, token: t, scopes: [read, hooks]}], user: {header: X-User, from: ['10.0.0.1']}",
    );
    let http = http.unwrap();
    assert_eq!((http.tokens.len(), http.tokens[0].scopes.len()), (1, 2));
    assert_eq!(http.user.unwrap().header, "x-user");
    for (http, says) in [
        ("tokens: [{name: a, token: t, scopes: []}]", "a token without a scope is for nothing"),
        ("tokens: [{name: a, token: t, scopes: [all]}]", "\"all\" is not a scope"),
        ("tokens: [{name: a, token: ' ', scopes: [read]}]", "a token must not be blank"),
        (
            "tokens: [{name: a, token: t, scopes: [read]}, {name: a, token: u, scopes: [read]}]",
            "two tokens have the same name",
        ),
        ("listen: '0.0.0.0:1'", "listening beyond this machine needs a token"),
        ("user: {header: 'X User', from: []}", "\"X User\" is not the name of a header"),
    ] {
        assert_eq!(parse(http).unwrap_err(), says, "{http}");
    }
}

#[test]
fn relative_paths_start_at_a_bare_file_name_too() {
    let text = format!("kafka: {{bootstrap: b}}\n{}", model("m"));
    let config = Config::parse(&text, Path::new("driftline.yaml"), &|_| None).unwrap();
    assert_eq!(config.state, Path::new("state"));
    assert_eq!(config.models[0].baseline["default"], Path::new("b"));
}
