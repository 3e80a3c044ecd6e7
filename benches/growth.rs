//! How the cost of decoding and absorbing grows with rows, features and models; prints
//! `axis,size,microseconds` lines, which `bench.py` draws.

mod cases;
mod interleave;

use std::io::Write;

use cases::absorb::Case;
use cases::decode::{self, Numbers};
use cases::{BATCH_ROWS, FEATURES};
use driftline_analytics::window::WindowState;
use interleave::{Contender, by_turns};

const ROUNDS: usize = 7;

fn main() -> std::io::Result<()> {
    let mut out = std::io::stdout().lock();
    let captures = decode::captures(Numbers::Short);
    let case = Case::new(FEATURES, 2);

    let rows = [1, 2, 4, 8, 16, 32, 64].map(|batches| (batches * BATCH_ROWS, batches));
    measure(&mut out, "rows", &rows, |batches| {
        let mut decoder = decode::decoder();
        let mut window = WindowState::default();
        (0..batches).for_each(|batch| {
            decode::ours(&mut decoder, &captures);
            case.absorb(&mut window, batch);
        });
    })?;

    let cases = [5, 10, 20, 40, 80, 160].map(|features| (features, Case::new(features, 2)));
    let features: Vec<(usize, usize)> =
        (0..).zip(&cases).map(|(i, (size, _))| (*size, i)).collect();
    measure(&mut out, "features", &features, |index| {
        let Some((_, case)) = cases.get(index) else { return };
        let mut window = WindowState::default();
        (0..4).for_each(|batch| case.absorb(&mut window, batch));
    })?;

    // Each model has a window of its own, and a batch of 512 rows.
    let models = [1, 4, 16, 64, 256, 1024].map(|models| (models, models));
    measure(&mut out, "models", &models, |models| {
        let mut windows = vec![WindowState::default(); models];
        windows.iter_mut().for_each(|window| case.absorb_first(window, 512));
    })
}

/// Prints one line per size; sizes are measured by turns.
fn measure(
    out: &mut impl Write,
    axis: &str,
    sizes: &[(usize, usize)],
    work: impl Fn(usize),
) -> std::io::Result<()> {
    let mut contenders: Vec<Contender<'_>> = sizes
        .iter()
        .map(|&(size, parameter)| {
            let work = &work;
            Contender::new(axis, move || {
                work(parameter);
                size
            })
        })
        .collect();
    let found = by_turns(ROUNDS, &mut contenders);
    for ((contender, (size, _)), (time, _)) in contenders.iter().zip(sizes).zip(found) {
        writeln!(out, "{},{size},{:.1}", contender.name, time.as_secs_f64() * 1e6)?;
    }
    Ok(())
}
