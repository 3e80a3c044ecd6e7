//! The maps that ship: events that serving systems write, each as a piece of configuration to copy.

use crate::mapping::Encoding;

/// A format that is known by its name.
#[derive(Debug)]
pub struct Preset {
    pub name: &'static str,
    pub encoding: Encoding,
    /// A piece of configuration; the comment on top says what it reads.
    pub text: &'static str,
}

impl Preset {
    /// What it reads: the first line of its text, without the mark of a comment.
    pub fn summary(&self) -> &'static str {
        self.text.lines().next().unwrap_or_default().trim_start_matches(['#', ' '])
    }
}

const fn preset(name: &'static str, encoding: Encoding, text: &'static str) -> Preset {
    Preset { name, encoding, text }
}

/// Every format beside `driftline-json`, in the order in which `driftline formats` lists them.
pub const PRESETS: [Preset; 14] = [
    preset("json", Encoding::Json, include_str!("presets/json.yaml")),
    preset("json-schema", Encoding::JsonSchema, include_str!("presets/json-schema.yaml")),
    preset("avro", Encoding::Avro, include_str!("presets/avro.yaml")),
    preset("protobuf", Encoding::Protobuf, include_str!("presets/protobuf.yaml")),
    preset("sagemaker", Encoding::Json, include_str!("presets/sagemaker.yaml")),
    preset("mlflow", Encoding::Json, include_str!("presets/mlflow.yaml")),
    preset("databricks", Encoding::Json, include_str!("presets/databricks.yaml")),
    preset("bentoml", Encoding::Json, include_str!("presets/bentoml.yaml")),
    preset("debezium", Encoding::Json, include_str!("presets/debezium.yaml")),
    preset("kserve", Encoding::Json, include_str!("presets/kserve.yaml")),
    preset("seldon", Encoding::Json, include_str!("presets/seldon.yaml")),
    preset("seldon2", Encoding::Inference, include_str!("presets/seldon2.yaml")),
    preset("oip", Encoding::Inference, include_str!("presets/oip.yaml")),
    preset("azureml", Encoding::Json, include_str!("presets/azureml.yaml")),
];

/// The format of this name.
pub fn named(name: &str) -> Option<&'static Preset> {
    PRESETS.iter().find(|preset| preset.name == name)
}
