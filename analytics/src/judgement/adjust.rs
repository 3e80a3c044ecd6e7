//! From single tests to levels: Benjamini-Hochberg per check, then alarm, warn, ok.

use std::collections::BTreeMap;

use driftline_config::Level;

use super::ALPHA;
use crate::report::{Check, Finding, rounded};
use crate::statistics::benjamini_hochberg;

/// A finding whose level depends on the other findings of the window.
#[derive(Debug)]
pub(super) struct Draft {
    /// Everything but the level, `p_adjusted` and `first_over`.
    pub(super) finding: Finding,
    /// How its level comes about.
    pub(super) basis: Basis,
}

/// How the level of a finding comes about.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Basis {
    Fixed(Level),
    /// By a test that could have alarmed.
    Tested {
        p_tolerance: f64,
        /// The effect is over its tolerance, or its bound over half of it.
        warns: bool,
    },
}

/// Gives every finding its level.
pub(super) fn levels(drafts: Vec<Draft>) -> Vec<Finding> {
    let mut families: BTreeMap<Check, Vec<f64>> = BTreeMap::new();
    for draft in &drafts {
        if let Basis::Tested { p_tolerance, .. } = draft.basis {
            families.entry(draft.finding.check).or_default().push(p_tolerance);
        }
    }
    let mut adjusted: BTreeMap<Check, std::vec::IntoIter<f64>> = families
        .into_iter()
        .map(|(check, p_values)| (check, benjamini_hochberg(&p_values).into_iter()))
        .collect();
    drafts
        .into_iter()
        .map(|Draft { mut finding, basis }| {
            finding.level = match basis {
                Basis::Fixed(level) => level,
                Basis::Tested { warns, .. } => {
                    let next = adjusted.get_mut(&finding.check).and_then(Iterator::next);
                    let p_adjusted = next.unwrap_or(1.0);
                    set_adjusted(&mut finding, p_adjusted);
                    match (p_adjusted <= ALPHA, warns) {
                        (true, _) => Level::Alarm,
                        (false, true) => Level::Warn,
                        (false, false) => Level::Ok,
                    }
                }
            };
            finding
        })
        .collect()
}

fn set_adjusted(finding: &mut Finding, p_adjusted: f64) {
    let p_adjusted = Some(rounded(p_adjusted));
    if let Some(ks) = &mut finding.ks {
        ks.p_adjusted = p_adjusted;
    } else if let Some(psi) = &mut finding.psi {
        psi.p_adjusted = p_adjusted;
    } else if let Some(share) = &mut finding.share {
        share.p_adjusted = p_adjusted;
    }
}
