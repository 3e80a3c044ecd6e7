//! What can go wrong with the runtime, a model or a row batch; each says what to do.

use std::path::PathBuf;

/// Why the runtime could not be loaded, a model was refused, or rows could not be scored.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ShadowError {
    /// No candidate path led to a usable ONNX Runtime.
    #[error(
        "no usable ONNX Runtime library ({reasons}); name one with --onnxruntime or ORT_DYLIB_PATH"
    )]
    Runtime {
        /// Each path that was tried, with its reason.
        reasons: String,
    },
    /// The model's file could not be read.
    #[error("cannot read the model {}: {reason}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// The system's words.
        reason: String,
    },
    /// The model is larger than `limits.onnx_bytes`.
    #[error(
        "the model has {bytes} bytes, the limit is {limit}: raise limits.onnx_bytes if it is meant"
    )]
    TooLarge {
        /// Size of the model.
        bytes: u64,
        /// The limit.
        limit: u64,
    },
    /// The bytes are not those that the operator declared.
    #[error("the model's sha256 is {found}, declared is {declared}")]
    Sha256 {
        /// sha256 of the bytes.
        found: String,
        /// sha256 of the configuration.
        declared: String,
    },
    /// The bytes are no ONNX model.
    #[error("not an ONNX model: {reason}")]
    Malformed {
        /// What the reader stumbled over.
        reason: &'static str,
    },
    /// The model keeps weights in other files.
    #[error(
        "the model refers to external data: save it as one file (onnx.save with save_as_external_data=False)"
    )]
    ExternalData,
    /// The model needs operators that ONNX Runtime does not bring along.
    #[error(
        "the model uses the operator {operator} of the domain \"{domain}\": custom operators are refused"
    )]
    Operator {
        /// Name of the operator.
        operator: String,
        /// Its domain.
        domain: String,
    },
    /// ONNX Runtime refused the model.
    #[error("ONNX Runtime refuses the model: {reason}")]
    Refused {
        /// ONNX Runtime's words.
        reason: String,
    },
    /// The model's inputs do not take the configured features.
    #[error("the model's inputs do not fit: {reason}")]
    Inputs {
        /// What was found and what would be right.
        reason: String,
    },
    /// The model's outputs are not the configured ones.
    #[error("the model's outputs do not fit: {reason}")]
    Outputs {
        /// What was found and what would be right.
        reason: String,
    },
    /// An output is a sequence of maps.
    #[error(
        "the output {output} is a sequence of maps: convert the model with options={{\"zipmap\": False}}"
    )]
    ZipMap {
        /// Name of the output.
        output: String,
    },
    /// A batch lacks a column that the model takes.
    #[error("the feature {feature} is not monitored: add it to the baseline or to `features`")]
    Feature {
        /// Name of the feature.
        feature: String,
    },
    /// A batch lacks every prediction column that the candidate could be compared with.
    #[error(
        "the captures hold neither the prediction {label} nor {score}: name the champion's columns in `output`"
    )]
    Champion {
        /// The champion's label column.
        label: String,
        /// The champion's score column.
        score: String,
    },
    /// A run of the model failed.
    #[error("scoring failed: {reason}")]
    Run {
        /// ONNX Runtime's words.
        reason: String,
    },
}

/// ONNX Runtime's message on one line, at most 300 characters of it.
pub(crate) fn one_line(error: impl std::fmt::Display) -> String {
    let words: Vec<String> = error.to_string().split_whitespace().map(str::to_owned).collect();
    words.join(" ").chars().take(300).collect()
}
