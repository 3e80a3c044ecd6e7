//! What can go wrong with the runtime, a model or a row batch; each says what to do.

use std::path::PathBuf;

/// Why the runtime could not be loaded, a model was refused, or rows could not be scored.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ShadowError {
    #[error(
        "no usable ONNX Runtime library ({reasons}); name one with --onnxruntime or ORT_DYLIB_PATH"
    )]
    Runtime { reasons: String },
    /// What the process of a candidate says of the library or the model: one of the others, as text.
    #[error("{says}")]
    Told { says: String },
    #[error(
        "this kernel cannot lock up the process of a candidate ({}): mend that, or set shadow.unsandboxed: true and trust the files",
        lacks.join("; ")
    )]
    Sandbox { lacks: Vec<String> },
    #[error("cannot read the model {}: {reason}", path.display())]
    Read { path: PathBuf, reason: String },
    #[error(
        "the model has {bytes} bytes, the limit is {limit}: raise limits.onnx_bytes if it is meant"
    )]
    TooLarge { bytes: u64, limit: u64 },
    #[error("the model's sha256 is {found}, declared is {declared}")]
    Sha256 { found: String, declared: String },
    #[error("not an ONNX model: {reason}")]
    Malformed { reason: &'static str },
    #[error(
        "the model refers to external data: save it as one file (onnx.save with save_as_external_data=False)"
    )]
    ExternalData,
    #[error(
        "the model uses the operator {operator} of the domain \"{domain}\": custom operators are refused"
    )]
    Operator { operator: String, domain: String },
    #[error("ONNX Runtime refuses the model: {reason}")]
    Refused { reason: String },
    #[error("the model's inputs do not fit: {reason}")]
    Inputs { reason: String },
    #[error("the model's outputs do not fit: {reason}")]
    Outputs { reason: String },
    #[error(
        "the output {output} is a sequence of maps: convert the model with options={{\"zipmap\": False}}"
    )]
    ZipMap { output: String },
    #[error("the feature {feature} is not monitored: add it to the baseline or to `features`")]
    Feature { feature: String },
    /// A batch lacks every prediction column that the candidate could be compared with.
    #[error(
        "the captures hold neither the prediction {label} nor {score}: name the champion's columns in `output`"
    )]
    Champion { label: String, score: String },
    #[error("scoring failed: {reason}")]
    Run { reason: String },
}

/// ONNX Runtime's message on one line, at most 300 characters of it.
pub(crate) fn one_line(error: impl std::fmt::Display) -> String {
    let words: Vec<String> = error.to_string().split_whitespace().map(str::to_owned).collect();
    words.join(" ").chars().take(300).collect()
}
