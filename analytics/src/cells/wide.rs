//! Counting a column with the wider instructions that processors since 2013 have, where they are there:
//! the same code, translated a second time. The only `unsafe` of this crate.
#![allow(unsafe_code, reason = "absorb's and check's figures in docs/performance.md need it")]

use arrow::array::Float64Array;

use super::{NumericCell, NumericReference, Scratch, Values};

/// As [`NumericCell::absorb_plainly`], to the bit: whole numbers and single float operations do not
/// depend on the width of the instruction, and none is fused with another.
pub(super) fn absorb(
    cell: &mut NumericCell,
    reference: &NumericReference,
    column: Values<'_, Float64Array>,
    scratch: &mut Scratch,
) {
    #[cfg(target_arch = "x86_64")]
    if is_x86_feature_detected!("avx2")
        && is_x86_feature_detected!("bmi1")
        && is_x86_feature_detected!("bmi2")
        && is_x86_feature_detected!("lzcnt")
        && is_x86_feature_detected!("popcnt")
    {
        // SAFETY: calling the function needs the instructions that it names, no more, and the
        // processor has just said that it has each of them.
        return unsafe { absorb_widely(cell, reference, column, scratch) };
    }
    cell.absorb_plainly(reference, column, scratch);
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2,bmi1,bmi2,lzcnt,popcnt")]
fn absorb_widely(
    cell: &mut NumericCell,
    reference: &NumericReference,
    column: Values<'_, Float64Array>,
    scratch: &mut Scratch,
) {
    cell.absorb_plainly(reference, column, scratch);
}
