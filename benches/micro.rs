//! The hot path in pieces, each by itself: `cargo bench -p driftline-benches --bench micro`.

mod cases;

use cases::absorb::Case;
use cases::decode::{self, Numbers};
use cases::judge::Full;
use cases::{BATCH_ROWS, FEATURES, floor};
use divan::counter::{BytesCount, ItemsCount};
use divan::{Bencher, black_box};
use driftline_analytics::window::WindowState;

fn main() {
    divan::main();
}

const NUMBERS: [Numbers; 2] = [Numbers::Short, Numbers::Full];

#[divan::bench(args = NUMBERS)]
fn decode_driftline(bencher: Bencher<'_, '_>, numbers: Numbers) {
    let captures = decode::captures(numbers);
    let mut decoder = decode::decoder();
    let bytes = BytesCount::new(decode::bytes_of(&captures));
    bencher.counter(bytes).bench_local(|| decode::ours(&mut decoder, black_box(&captures)));
}

#[divan::bench(args = NUMBERS)]
fn decode_arrow_json(bencher: Bencher<'_, '_>, numbers: Numbers) {
    let captures = decode::captures(numbers);
    let mut decoder = decode::arrow_json();
    let bytes = BytesCount::new(decode::bytes_of(&captures));
    bencher.counter(bytes).bench_local(|| decode::theirs(&mut decoder, black_box(&captures)));
}

#[divan::bench(args = NUMBERS)]
fn decode_floor(bencher: Bencher<'_, '_>, numbers: Numbers) {
    let captures = decode::captures(numbers);
    let bytes = BytesCount::new(decode::bytes_of(&captures));
    let sum = |captures: &[String]| -> f64 {
        captures.iter().map(|capture| floor::sum_of_numbers(capture.as_bytes())).sum()
    };
    bencher.counter(bytes).bench_local(|| sum(black_box(&captures)));
}

#[divan::bench]
fn absorb_driftline(bencher: Bencher<'_, '_>) {
    let case = Case::new(FEATURES, 4);
    let mut window = WindowState::default();
    let mut turn = 0;
    bencher.counter(ItemsCount::new(FEATURES * BATCH_ROWS)).bench_local(|| {
        turn += 1;
        case.absorb(&mut window, turn);
    });
}

#[divan::bench]
fn absorb_partition_point(bencher: Bencher<'_, '_>) {
    let case = Case::new(FEATURES, 4);
    let mut turn = 0;
    bencher.counter(ItemsCount::new(FEATURES * BATCH_ROWS)).bench_local(|| {
        turn += 1;
        case.partition_points(turn)
    });
}

#[divan::bench]
fn judge(bencher: Bencher<'_, '_>) {
    let full = Full::new();
    bencher.bench_local(|| full.judge());
}
