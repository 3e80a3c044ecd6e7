//! The statistics, pure: counts in, numbers out, the same bits on every machine.
//!
//! Nothing here knows a column, a window or a threshold of the rules. Whatever is transcendental
//! comes from `libm`, so that two machines agree to the last bit.

mod binomial;
mod divergence;
mod false_discovery;
mod gamma;
mod kolmogorov_smirnov;
mod normal;
mod order_statistic;

pub use binomial::{at_least, lower_bound};
pub use divergence::{Divergences, divergences, psi_contributions, psi_of_shares};
pub use false_discovery::benjamini_hochberg;
pub use gamma::chi_square_sf;
pub use kolmogorov_smirnov::{Comparison, KolmogorovSmirnov, Location, kolmogorov_sf};
pub use normal::{normal_quantile, normal_sf};
pub use order_statistic::{QuantileEstimate, quantile_estimate, quantile_ranks};

#[cfg(test)]
mod oracle_tests;
