//! Every seed through its target, as it is and damaged: what `make fuzz` begins with holds without it.

use std::fs;
use std::path::Path;

/// What each target asks, by the folder of its seeds.
const TARGETS: [(&str, fn(&[u8])); 9] = [
    ("avro", driftline_fuzz::records::avro),
    ("baseline", driftline_fuzz::baseline::check),
    ("checkpoint", driftline_fuzz::checkpoint::check),
    ("configuration", driftline_fuzz::configuration::check),
    ("decoder", driftline_fuzz::decoder::check),
    ("http", driftline_fuzz::http::check),
    ("inference", driftline_fuzz::records::inference),
    ("protobuf", driftline_fuzz::records::protobuf),
    ("schema", driftline_fuzz::records::schema),
];

/// Damaged copies of each seed.
const DAMAGED: u64 = 64;

#[test]
fn every_seed_and_what_is_near_it_holds() {
    for (name, check) in TARGETS {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("seeds").join(name);
        let mut seeds = 0;
        for entry in fs::read_dir(&folder).unwrap_or_else(|error| panic!("{folder:?}: {error}")) {
            let seed = fs::read(entry.expect("the folder is readable").path()).expect("a seed");
            check(&seed);
            for round in 0..DAMAGED {
                check(&damaged(&seed, round));
            }
            seeds += 1;
        }
        assert!(seeds > 0, "{name} has no seed");
    }
}

/// A copy with a byte changed, left out or doubled, or with its end cut off: the same in every run.
fn damaged(seed: &[u8], round: u64) -> Vec<u8> {
    let mut bytes = seed.to_vec();
    if bytes.is_empty() {
        return vec![round as u8];
    }
    // Knuth's multiplicative hash spreads the rounds over the seed.
    let mixed = (round + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    let at = (mixed >> 32) as usize % bytes.len();
    match round % 4 {
        0 => bytes[at] ^= 1 << (mixed % 8),
        1 => _ = bytes.remove(at),
        2 => bytes.insert(at, bytes[at]),
        _ => bytes.truncate(at),
    }
    bytes
}
