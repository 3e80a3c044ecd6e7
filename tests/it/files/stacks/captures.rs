//! Captures of a week that was calm and of a day that was not, as each stack writes them.

use driftline_config::time::{HOUR_US, MINUTE_US, format_instant, parse_instant_us};

/// How one stack writes a request and its answer.
pub(super) trait Stack: Sync {
    /// The records of a request.
    fn written(&self, request: &Request) -> Vec<String>;

    /// Whether a request and its answer are one record, so that files of them can be read.
    fn has_files(&self) -> bool {
        true
    }

    /// Further files that its page reads.
    fn further(&self) -> Vec<(&'static str, String)> {
        Vec::new()
    }

    /// What the page's files hold.
    fn files(&self) -> Vec<(&'static str, String)> {
        let mut files = self.further();
        if self.has_files() {
            for (name, moved) in [("reference.jsonl", false), ("today.jsonl", true)] {
                let lines = requests(moved).flat_map(|request| self.written(&request));
                files.push((name, lines.map(|line| line + "\n").collect()));
            }
        }
        files
    }

    /// The records of a topic.
    fn halves(&self, moved: bool) -> Vec<Half> {
        let written = |request: Request| {
            let (key, time_us) = (request.id.clone(), request.time_us);
            let records = self.written(&request).into_iter();
            records.map(move |value| Half { key: key.clone(), value, time_us })
        };
        requests(moved).flat_map(written).collect()
    }
}

/// A record.
pub(super) struct Half {
    pub(super) key: String,
    pub(super) value: String,
    pub(super) time_us: i64,
}

/// What was asked and answered.
pub(super) struct Request {
    id: String,
    time_us: i64,
    amount: f64,
    age: i64,
    country: &'static str,
    score: f64,
}

impl Request {
    fn ts(&self) -> String {
        format_instant(self.time_us)
    }
}

/// Twelve hours that are calm, or the six behind them in which amounts are larger.
fn requests(moved: bool) -> impl Iterator<Item = Request> {
    let first_us = parse_instant_us("2026-03-02T00:00:00Z").unwrap();
    let (from, to) = if moved { (720, 1080) } else { (0, 720) };
    let shift = if moved { 70.0 } else { 0.0 };
    (2 * from..2 * to).map(move |index| Request {
        id: format!("r{index}"),
        time_us: first_us + index * MINUTE_US / 2,
        amount: (index * 7919 % 997) as f64 / 10.0 + shift,
        age: 18 + index * 31 % 60,
        country: ["FR", "DE", "IT"][(index * 17 % 3) as usize],
        score: (index * 104_729 % 991) as f64 / 991.0,
    })
}

const _: () = assert!(12 * HOUR_US == 720 * MINUTE_US);

/// Each page, with what its records look like.
pub(super) const STACKS: &[(&str, &dyn Stack)] = &[
    ("sagemaker", &SageMaker),
    ("mlflow", &MlFlow),
    ("bentoml", &BentoMl),
    ("databricks", &Databricks),
    ("fastapi", &FastApi),
    ("kserve", &KServe),
    ("seldon", &Seldon),
    ("azureml", &AzureMl),
];

struct SageMaker;

impl Stack for SageMaker {
    fn written(&self, request: &Request) -> Vec<String> {
        let Request { id, amount, age, country, score, .. } = request;
        // Whole seconds, as SageMaker has them.
        let ts = format_instant(request.time_us / 1_000_000 * 1_000_000);
        vec![format!(
            r#"{{"captureData":{{"endpointInput":{{"observedContentType":"text/csv","mode":"INPUT","data":"{amount},{age},{country}","encoding":"CSV"}},"endpointOutput":{{"observedContentType":"text/csv","mode":"OUTPUT","data":"{score}","encoding":"CSV"}}}},"eventMetadata":{{"eventId":"{id}","inferenceTime":"{ts}"}},"eventVersion":"0"}}"#
        )]
    }

    fn further(&self) -> Vec<(&'static str, String)> {
        let amounts: Vec<f64> = requests(false).map(|request| request.amount).collect();
        let n = amounts.len();
        let statistics = format!(
            r#"{{"version":0.0,"dataset":{{"item_count":{n}}},"features":[{{"name":"amount","inferred_type":"Fractional","numerical_statistics":{{"common":{{"num_present":{n},"num_missing":0}},"mean":49.8,"sum":1.0,"std_dev":28.8,"min":0.0,"max":99.6,"distribution":{{"kll":{{"buckets":[],"sketch":{{"parameters":{{"c":0.64,"k":2048.0}},"data":[{amounts:?}]}}}}}}}}}}]}}"#
        );
        let constraints = r#"{"version":0.0,"features":[{"name":"amount","inferred_type":"Fractional","completeness":1.0,"num_constraints":{"is_non_negative":true}}]}"#;
        let today: String = requests(true).map(|request| format!("{}\n", request.amount)).collect();
        vec![
            ("statistics.json", statistics),
            ("constraints.json", constraints.to_owned()),
            ("today.csv", format!("amount\n{today}")),
        ]
    }
}

struct MlFlow;

impl Stack for MlFlow {
    fn written(&self, request: &Request) -> Vec<String> {
        let Request { id, amount, age, country, score, time_us } = request;
        vec![format!(
            r#"{{"request_id":"{id}","timestamp_ms":{},"latency_ms":12.5,"status_code":200,"request":{{"dataframe_split":{{"columns":["amount","age","country"],"data":[[{amount},{age},"{country}"]]}}}},"response":{{"predictions":[{score}]}}}}"#,
            time_us / 1000
        )]
    }
}

struct BentoMl;

impl Stack for BentoMl {
    fn written(&self, request: &Request) -> Vec<String> {
        let Request { id, amount, age, country, score, .. } = request;
        let ts = request.ts();
        let ts = ts.trim_end_matches('Z');
        vec![format!(
            r#"{{"amount":{amount},"age":{age},"country":"{country}","score":{score},"timestamp":"{ts}","request_id":"{id}"}}"#
        )]
    }
}

struct Databricks;

impl Stack for Databricks {
    fn written(&self, request: &Request) -> Vec<String> {
        let Request { id, amount, age, country, score, .. } = request;
        let ts = request.ts();
        let body = format!(
            r#"{{\"dataframe_records\":[{{\"amount\":{amount},\"age\":{age},\"country\":\"{country}\"}}]}}"#
        );
        vec![format!(
            r#"{{"databricks_request_id":"{id}","request_time":"{ts}","status_code":200,"execution_duration_ms":12,"request":"{body}","response":"{{\"predictions\":[{score}]}}"}}"#
        )]
    }
}

struct FastApi;

impl Stack for FastApi {
    fn written(&self, request: &Request) -> Vec<String> {
        let Request { id, amount, age, country, score, .. } = request;
        let ts = request.ts();
        vec![format!(
            r#"{{"v":1,"model":"rides","id":"{id}","ts":"{ts}","latency_us":900,"status":200,"features":{{"amount":{amount},"age":{age},"country":"{country}"}},"prediction":{{"score":{score}}}}}"#
        )]
    }
}

/// A CloudEvent in JSON.
fn event(request: &Request, kind: &str, more: &str, data: &str) -> String {
    let (id, ts) = (&request.id, request.ts());
    format!(
        r#"{{"specversion":"1.0","id":"{id}","source":"s","type":"{kind}","time":"{ts}","datacontenttype":"application/json",{more}"data":{data}}}"#
    )
}

struct KServe;

impl Stack for KServe {
    fn written(&self, request: &Request) -> Vec<String> {
        let Request { amount, age, score, .. } = request;
        let kind = |side: &str| format!("org.kubeflow.serving.inference.{side}");
        let more = r#""inferenceservicename":"iris","endpoint":"","#;
        let asked = format!(r#"{{"instances":[[{amount},{age}]]}}"#);
        let answered = format!(r#"{{"predictions":[{score}]}}"#);
        vec![
            event(request, &kind("request"), more, &asked),
            event(request, &kind("response"), more, &answered),
        ]
    }

    fn has_files(&self) -> bool {
        false
    }
}

struct Seldon;

impl Stack for Seldon {
    fn written(&self, request: &Request) -> Vec<String> {
        let Request { id, amount, age, score, .. } = request;
        let kind = |side: &str| format!("io.seldon.serving.inference.{side}");
        let more = format!(r#""requestid":"{id}","#);
        let asked = format!(r#"{{"data":{{"ndarray":[[{amount},{age}]]}}}}"#);
        let answered = format!(r#"{{"data":{{"names":["score"],"ndarray":[[{score}]]}}}}"#);
        vec![
            event(request, &kind("request"), &more, &asked),
            event(request, &kind("response"), &more, &answered),
        ]
    }

    fn has_files(&self) -> bool {
        false
    }
}

struct AzureMl;

impl Stack for AzureMl {
    fn written(&self, request: &Request) -> Vec<String> {
        let Request { id, amount, age, score, .. } = request;
        let kind = |side: &str| format!("azureml.inference.{side}");
        let more = format!(r#""correlationid":"{id}","modelversion":"3","#);
        let asked = format!(r#"[{{"amount":{amount},"age":{age}}}]"#);
        let answered = format!(r#"[{{"score":{score}}}]"#);
        vec![
            event(request, &kind("model_inputs"), &more, &asked),
            event(request, &kind("model_outputs"), &more, &answered),
        ]
    }

    fn has_files(&self) -> bool {
        false
    }
}
