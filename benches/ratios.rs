//! The figures that the hot path is held to, measured by turns and printed as a Markdown table:
//! `cargo bench -p driftline-benches --bench ratios [-- decode|map|binary|poison|absorb|judge]`.

mod cases;
mod interleave;

use std::io::Write;

use cases::absorb::Case;
use cases::binary::{self, Cut, Format};
use cases::decode::{self, Numbers};
use cases::judge::{self, Full};
use cases::{BATCH_ROWS, FEATURES, floor};
use driftline_analytics::window::WindowState;
use interleave::{Contender, by_turns};

const ROUNDS: usize = 61;

fn main() -> std::io::Result<()> {
    let only = std::env::args().skip(1).find(|argument| !argument.starts_with("--"));
    let wanted = |part: &str| only.as_deref().is_none_or(|only| only == part);
    let mut out = std::io::stdout().lock();
    writeln!(out, "| what | median | beside the first |\n|---|---|---|")?;
    if wanted("decode") {
        decoding(&mut out, Numbers::Short)?;
        decoding(&mut out, Numbers::Full)?;
    }
    if wanted("map") {
        decoding_by_map(&mut out, Numbers::Short)?;
        decoding_by_map(&mut out, Numbers::Full)?;
    }
    if wanted("binary") {
        decoding_binary(&mut out, Numbers::Short)?;
        decoding_binary(&mut out, Numbers::Full)?;
    }
    if wanted("poison") {
        decoding_poison(&mut out)?;
    }
    if wanted("absorb") {
        absorbing(&mut out)?;
    }
    if wanted("judge") {
        judging(&mut out)?;
    }
    Ok(())
}

fn decoding(out: &mut impl Write, numbers: Numbers) -> std::io::Result<()> {
    let captures = decode::captures(numbers);
    let bytes = decode::bytes_of(&captures);
    let (mut ours, mut theirs) = (decode::decoder(), decode::arrow_json());
    let mut contenders = [
        Contender::new("arrow-json", || decode::theirs(&mut theirs, &captures)),
        Contender::new("Driftline", || decode::ours(&mut ours, &captures)),
        Contender::new("floor: the numbers alone", || {
            let sums = captures.iter().map(|capture| floor::sum_of_numbers(capture.as_bytes()));
            sums.sum::<f64>() as usize
        }),
    ];
    let found = by_turns(ROUNDS, &mut contenders);
    for (contender, (time, ratio)) in contenders.iter().zip(found) {
        writeln!(
            out,
            "| decode, {numbers:?} numbers, {} B: {} | {:.0} ns a row, {:.2} GB/s | {ratio:.2} × |",
            bytes / BATCH_ROWS,
            contender.name,
            time.as_secs_f64() * 1e9 / BATCH_ROWS as f64,
            bytes as f64 / time.as_secs_f64() / 1e9,
        )?;
    }
    Ok(())
}

fn decoding_by_map(out: &mut impl Write, numbers: Numbers) -> std::io::Result<()> {
    let captures = decode::captures(numbers);
    let (mut own, mut mapped) = (decode::decoder(), decode::mapped());
    let mut contenders = [
        Contender::new("our own format", || decode::ours(&mut own, &captures)),
        Contender::new("the same by a map", || decode::ours(&mut mapped, &captures)),
    ];
    let found = by_turns(ROUNDS, &mut contenders);
    for (contender, (time, ratio)) in contenders.iter().zip(found) {
        writeln!(
            out,
            "| decode, {numbers:?} numbers: {} | {:.0} ns a row | {ratio:.2} × |",
            contender.name,
            time.as_secs_f64() * 1e9 / BATCH_ROWS as f64,
        )?;
    }
    Ok(())
}

fn decoding_binary(out: &mut impl Write, numbers: Numbers) -> std::io::Result<()> {
    let captures = decode::captures(numbers);
    let formats = [
        ("Avro", Format::Avro, binary::avro(&captures)),
        ("Protobuf", Format::Protobuf, binary::protobuf(&captures)),
        ("requests, one raw tensor", Format::Requests(Cut::Together), Vec::new()),
        ("requests, 20 raw tensors", Format::Requests(Cut::Apart), Vec::new()),
        ("requests, 20 raw tensors of 16 rows", Format::Requests(Cut::Rows(16)), Vec::new()),
    ];
    let formats = formats.map(|(name, format, records)| match format {
        Format::Requests(cut) => (name, format, binary::requests(&captures, cut)),
        _ => (name, format, records),
    });
    let mut own = decode::decoder();
    let mut decoders = formats.each_ref().map(|(_, format, _)| binary::decoder(*format));
    let mut contenders =
        vec![Contender::new("our own format", || decode::ours(&mut own, &captures))];
    for ((name, _, records), decoder) in formats.iter().zip(&mut decoders) {
        contenders.push(Contender::new(name, move || {
            let rows = binary::rows(decoder, records);
            assert_eq!(rows, BATCH_ROWS, "{name}");
            rows
        }));
    }
    let found = by_turns(ROUNDS, &mut contenders);
    for (contender, (time, ratio)) in contenders.iter().zip(found) {
        writeln!(
            out,
            "| decode, {numbers:?} numbers: {} | {:.0} ns a row | {ratio:.2} × |",
            contender.name,
            time.as_secs_f64() * 1e9 / BATCH_ROWS as f64,
        )?;
    }
    Ok(())
}

fn decoding_poison(out: &mut impl Write) -> std::io::Result<()> {
    let captures = decode::captures(Numbers::Short);
    let poisoned = decode::poisoned(&captures);
    let (mut plain, mut other) = (decode::decoder(), decode::decoder());
    let mut contenders = [
        Contender::new("all sound", || decode::ours(&mut plain, &captures)),
        Contender::new("one in a hundred of each kind", || decode::ours(&mut other, &poisoned)),
    ];
    let found = by_turns(ROUNDS, &mut contenders);
    for (contender, (time, ratio)) in contenders.iter().zip(found) {
        writeln!(
            out,
            "| decode, {} kinds of bad data: {} | {:.0} ns a record | {ratio:.3} × |",
            decode::POISONS,
            contender.name,
            time.as_secs_f64() * 1e9 / BATCH_ROWS as f64,
        )?;
    }
    Ok(())
}

fn absorbing(out: &mut impl Write) -> std::io::Result<()> {
    let case = Case::new(FEATURES, 4);
    let mut window = WindowState::default();
    let (mut turn, mut other_turn) = (0, 0);
    let mut contenders = [
        Contender::new("slice::partition_point", || {
            other_turn += 1;
            case.partition_points(other_turn)
        }),
        Contender::new("Driftline", || {
            turn += 1;
            case.absorb(&mut window, turn);
            turn
        }),
    ];
    let found = by_turns(ROUNDS, &mut contenders);
    for (contender, (time, ratio)) in contenders.iter().zip(found) {
        writeln!(
            out,
            "| absorb, {FEATURES} features, {} cut points: {} | {:.2} ns a value | {ratio:.2} × |",
            cases::absorb::CUT_POINTS,
            contender.name,
            time.as_secs_f64() * 1e9 / (BATCH_ROWS * FEATURES) as f64,
        )?;
    }
    Ok(())
}

fn judging(out: &mut impl Write) -> std::io::Result<()> {
    let full = Full::new();
    let mut contenders = [Contender::new("Driftline", || full.judge().findings.len())];
    for (time, _) in by_turns(ROUNDS, &mut contenders) {
        writeln!(
            out,
            "| judge a window, {} features, {} cut points | {:.2} ms | |",
            judge::FEATURES,
            cases::absorb::CUT_POINTS,
            time.as_secs_f64() * 1e3,
        )?;
    }
    Ok(())
}
