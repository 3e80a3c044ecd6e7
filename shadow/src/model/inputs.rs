//! Which features feed which input tensor of a model.

use std::borrow::Cow;

use ort::session::SessionInputValue;
use ort::value::{Outlet, Tensor, TensorElementType, ValueType};

use super::features::Features;
use crate::error::ShadowError;

/// Most rows that a model may insist on: so many are made of whatever there is to score, by repeating a row.
const MOST_FIXED_ROWS: usize = 16_384;

/// One input tensor and the features that fill its columns.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Binding {
    input: String,
    element: Element,
    rank: usize,
    /// Positions among the configured features.
    features: Vec<usize>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Element {
    Float32,
    Float64,
    Int32,
    Int64,
    Bool,
    Text,
}

/// Binds the configured features to the model's inputs: all to one `[n, d]` tensor, or one to each.
/// Tensors named like the features are bound by name, others by position.
pub(crate) fn bind(inputs: &[Outlet], features: &[String]) -> Result<Vec<Binding>, ShadowError> {
    let found: Vec<&str> = inputs.iter().map(Outlet::name).collect();
    match inputs {
        [only] => Ok(vec![binding(only, (0..features.len()).collect())?]),
        _ if inputs.len() != features.len() => Err(refused(format!(
            "the model has the inputs {found:?}, configured are {features:?}: give one feature per input, or a model with one tensor for all"
        ))),
        _ => {
            let by_name: Option<Vec<usize>> = found
                .iter()
                .map(|name| features.iter().position(|feature| feature == name))
                .collect();
            let misplaced = by_name.is_none()
                && found.iter().zip(features).any(|(name, feature)| {
                    name != feature && features.iter().any(|other| other == name)
                });
            if misplaced {
                return Err(refused(format!(
                    "the model's inputs {found:?} and the configured {features:?} share names in different places"
                )));
            }
            let order = by_name.unwrap_or_else(|| (0..features.len()).collect());
            inputs.iter().zip(order).map(|(input, feature)| binding(input, vec![feature])).collect()
        }
    }
}

/// The number of rows that the model's inputs insist on, where they do.
pub(crate) fn fixed_rows(inputs: &[Outlet]) -> Result<Option<usize>, ShadowError> {
    let fixed = inputs.iter().find_map(|input| match input.dtype() {
        ValueType::Tensor { shape, .. } => {
            shape.first().and_then(|rows| usize::try_from(*rows).ok()).filter(|rows| *rows > 0)
        }
        _ => None,
    });
    match fixed {
        Some(rows) if rows > MOST_FIXED_ROWS => Err(refused(format!(
            "it insists on {rows} rows at a time, {MOST_FIXED_ROWS} are the most: export it with a free first dimension"
        ))),
        fixed => Ok(fixed),
    }
}

fn binding(input: &Outlet, features: Vec<usize>) -> Result<Binding, ShadowError> {
    let name = input.name();
    let ValueType::Tensor { ty, shape, .. } = input.dtype() else {
        return Err(refused(format!("the input {name} is no tensor")));
    };
    let element = match ty {
        TensorElementType::Float32 => Element::Float32,
        TensorElementType::Float64 => Element::Float64,
        TensorElementType::Int32 => Element::Int32,
        TensorElementType::Int64 => Element::Int64,
        TensorElementType::Bool => Element::Bool,
        TensorElementType::String => Element::Text,
        other => {
            return Err(refused(format!("the input {name} holds {other}, which no feature is")));
        }
    };
    let fits = match shape.as_ref() {
        [_] => features.len() == 1,
        [_, columns] => *columns < 0 || usize::try_from(*columns) == Ok(features.len()),
        _ => false,
    };
    if !fits {
        let dimensions: &[i64] = shape.as_ref();
        return Err(refused(format!(
            "the input {name} has the shape {dimensions:?}, configured are {} features",
            features.len()
        )));
    }
    Ok(Binding { input: name.to_owned(), element, rank: shape.len(), features })
}

fn refused(reason: String) -> ShadowError {
    ShadowError::Inputs { reason }
}

impl Binding {
    pub(crate) fn input(&self) -> Cow<'static, str> {
        Cow::Owned(self.input.clone())
    }

    /// Whether the row's values fit the tensor.
    pub(crate) fn takes(&self, features: &Features<'_>, row: usize) -> bool {
        self.features.iter().all(|feature| match self.element {
            Element::Text => features.text(*feature, row).is_some(),
            Element::Float32 | Element::Float64 => features.number(*feature, row).is_some(),
            Element::Int32 => self.whole(features, *feature, row, f64::from(i32::MAX)).is_some(),
            // Beyond 2^53 a float names no single integer.
            Element::Int64 => {
                self.whole(features, *feature, row, 9_007_199_254_740_992.0).is_some()
            }
            Element::Bool => {
                self.whole(features, *feature, row, 1.0).is_some_and(|value| value >= 0)
            }
        })
    }

    fn whole(
        &self,
        features: &Features<'_>,
        feature: usize,
        row: usize,
        limit: f64,
    ) -> Option<i64> {
        let value = features.number(feature, row)?;
        (value.fract() == 0.0 && value.abs() <= limit).then_some(value as i64)
    }

    /// The tensor of the rows, padded by repeating the last one.
    pub(crate) fn tensor(
        &self,
        features: &Features<'_>,
        rows: &[u32],
        padded: usize,
    ) -> Result<SessionInputValue<'static>, ort::Error> {
        let shape: Vec<i64> =
            [padded as i64, self.features.len() as i64].into_iter().take(self.rank).collect();
        let last = rows.last().copied();
        let cells = || {
            (rows.iter().copied().chain(last.into_iter().cycle()).take(padded))
                .flat_map(|row| self.features.iter().map(move |feature| (*feature, row as usize)))
        };
        // Rows that do not fit were left out before, so the fallbacks below are never scored.
        let number = |(feature, row)| features.number(feature, row).unwrap_or(f64::NAN);
        let tensor = match self.element {
            Element::Float32 => {
                let values: Vec<f32> = cells().map(|cell| number(cell) as f32).collect();
                Tensor::from_array((shape, values))?.into_dyn()
            }
            Element::Float64 => {
                let values: Vec<f64> = cells().map(number).collect();
                Tensor::from_array((shape, values))?.into_dyn()
            }
            Element::Int32 => {
                let values: Vec<i32> = cells().map(|cell| number(cell) as i32).collect();
                Tensor::from_array((shape, values))?.into_dyn()
            }
            Element::Int64 => {
                let values: Vec<i64> = cells().map(|cell| number(cell) as i64).collect();
                Tensor::from_array((shape, values))?.into_dyn()
            }
            Element::Bool => {
                let values: Vec<bool> = cells().map(|cell| number(cell) == 1.0).collect();
                Tensor::from_array((shape, values))?.into_dyn()
            }
            Element::Text => {
                let texts: Vec<String> = cells()
                    .map(|(feature, row)| features.text(feature, row).unwrap_or_default())
                    // ONNX Runtime takes texts up to their first NUL.
                    .map(|text| text.replace('\u{0}', ""))
                    .collect();
                Tensor::from_string_array((shape, texts.as_slice()))?.into_dyn()
            }
        };
        Ok(tensor.into())
    }
}
