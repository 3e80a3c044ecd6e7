//! Which outputs of a model are its label and its score.

use driftline_config::CandidateOutput;
use ort::session::SessionOutputs;
use ort::value::{DynValue, Outlet, TensorElementType, ValueType};

use super::Scores;
use crate::error::{ShadowError, one_line};

/// The chosen outputs and how they are read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Outputs {
    label: Option<String>,
    score: Option<String>,
    score_column: Option<usize>,
    classes: Vec<String>,
}

impl Outputs {
    /// The configured outputs, else the first integer or text tensor as label and the first float
    /// tensor as score.
    pub(crate) fn choose(
        outputs: &[Outlet],
        configured: &CandidateOutput,
    ) -> Result<Outputs, ShadowError> {
        let label = named_or_first(outputs, configured.label.as_deref(), is_label)?;
        let score = named_or_first(outputs, configured.score.as_deref(), is_score)?;
        // scikit-learn's converter writes the scores as a sequence of maps unless told not to.
        let maps = outputs.iter().find(|output| is_map(output.dtype()));
        if let (None, Some(maps)) = (&score, maps) {
            return Err(ShadowError::ZipMap { output: maps.name().to_owned() });
        }
        if label.is_none() && score.is_none() {
            let found: Vec<&str> = outputs.iter().map(Outlet::name).collect();
            return Err(refused(format!(
                "of {found:?} none is a tensor of integers, texts or floats"
            )));
        }
        Ok(Outputs {
            label,
            score,
            score_column: configured.score_column,
            classes: configured.classes.clone(),
        })
    }

    pub(crate) fn has_label(&self) -> bool {
        self.label.is_some()
    }

    pub(crate) fn has_score(&self) -> bool {
        self.score.is_some()
    }

    /// Appends the predictions of the first `rows` of `padded` rows.
    pub(crate) fn read(
        &self,
        results: &SessionOutputs<'_>,
        rows: usize,
        padded: usize,
        scores: &mut Scores,
    ) -> Result<(), ShadowError> {
        if let (Some(name), Some(labels)) = (&self.label, &mut scores.labels) {
            let value = get(results, name)?;
            if width(name, value, padded)? != 1 {
                return Err(shape(name, padded, value));
            }
            let texts = label_texts(value, &self.classes)?;
            labels.extend(texts.into_iter().take(rows));
        }
        if let (Some(name), Some(values)) = (&self.score, &mut scores.scores) {
            let value = get(results, name)?;
            let width = width(name, value, padded)?;
            let numbers = floats(value)?;
            let column = self.score_column.unwrap_or(width - 1);
            if column >= width {
                return Err(refused(format!(
                    "score_column is {column}, the output {name} has {width} columns"
                )));
            }
            values.extend(numbers.iter().skip(column).step_by(width).take(rows));
        }
        Ok(())
    }
}

fn named_or_first(
    outputs: &[Outlet],
    name: Option<&str>,
    fits: fn(&ValueType) -> bool,
) -> Result<Option<String>, ShadowError> {
    let Some(name) = name else {
        let first = outputs.iter().find(|output| fits(output.dtype()));
        return Ok(first.map(|output| output.name().to_owned()));
    };
    let found: Vec<&str> = outputs.iter().map(Outlet::name).collect();
    let Some(output) = outputs.iter().find(|output| output.name() == name) else {
        return Err(refused(format!("there is no output {name}, only {found:?}")));
    };
    if is_map(output.dtype()) {
        return Err(ShadowError::ZipMap { output: name.to_owned() });
    }
    if !fits(output.dtype()) {
        return Err(refused(format!("the output {name} is {}", output.dtype())));
    }
    Ok(Some(name.to_owned()))
}

fn is_label(output: &ValueType) -> bool {
    use TensorElementType::{Bool, Int32, Int64, String};
    matches!(output, ValueType::Tensor { ty: Int64 | Int32 | Bool | String, .. })
}

fn is_score(output: &ValueType) -> bool {
    use TensorElementType::{Float32, Float64};
    matches!(output, ValueType::Tensor { ty: Float32 | Float64, .. })
}

fn is_map(output: &ValueType) -> bool {
    match output {
        ValueType::Map { .. } => true,
        ValueType::Sequence(element) => is_map(element),
        _ => false,
    }
}

fn get<'a>(results: &'a SessionOutputs<'_>, name: &str) -> Result<&'a DynValue, ShadowError> {
    results.get(name).ok_or_else(|| refused(format!("the run gave no {name}")))
}

fn label_texts(value: &DynValue, classes: &[String]) -> Result<Vec<String>, ShadowError> {
    let text = |class: i64| {
        let name = usize::try_from(class).ok().and_then(|index| classes.get(index));
        name.cloned().unwrap_or_else(|| class.to_string())
    };
    if let Ok((_, labels)) = value.try_extract_tensor::<i64>() {
        return Ok(labels.iter().map(|class| text(*class)).collect());
    }
    if let Ok((_, labels)) = value.try_extract_tensor::<i32>() {
        return Ok(labels.iter().map(|class| text(i64::from(*class))).collect());
    }
    if let Ok((_, labels)) = value.try_extract_tensor::<bool>() {
        let name = |truth: bool| match classes.get(usize::from(truth)) {
            Some(class) => class.clone(),
            None => truth.to_string(),
        };
        return Ok(labels.iter().map(|truth| name(*truth)).collect());
    }
    let (_, labels) = value.try_extract_strings().map_err(run_failed)?;
    Ok(labels)
}

fn floats(value: &DynValue) -> Result<Vec<f64>, ShadowError> {
    if let Ok((_, numbers)) = value.try_extract_tensor::<f32>() {
        return Ok(numbers.iter().map(|number| f64::from(*number)).collect());
    }
    let (_, numbers) = value.try_extract_tensor::<f64>().map_err(run_failed)?;
    Ok(numbers.to_vec())
}

fn run_failed(error: ort::Error) -> ShadowError {
    ShadowError::Run { reason: one_line(error) }
}

fn refused(reason: String) -> ShadowError {
    ShadowError::Outputs { reason }
}

/// How many values an output has for each of the rows: its first dimension are the rows, whatever else there
/// is stands beside each other.
fn width(name: &str, value: &DynValue, padded: usize) -> Result<usize, ShadowError> {
    let width = value.dtype().tensor_shape().and_then(|shape| {
        let (rows, rest) = shape.split_first()?;
        let width = rest.iter().try_fold(1_i64, |width, columns| width.checked_mul(*columns))?;
        (usize::try_from(*rows) == Ok(padded)).then(|| usize::try_from(width).ok())?
    });
    width.filter(|width| *width > 0).ok_or_else(|| shape(name, padded, value))
}

fn shape(name: &str, padded: usize, value: &DynValue) -> ShadowError {
    refused(format!("the output {name} is {} for {padded} rows", value.dtype()))
}
