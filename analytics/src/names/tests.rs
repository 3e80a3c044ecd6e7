//! Tests of the bottom-k rule.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;

fn bytes(names: &BottomK) -> Vec<u8> {
    let mut out = Vec::new();
    names.encode(&mut out);
    out
}

fn of<'a>(names: impl IntoIterator<Item = &'a String>) -> BottomK {
    let mut kept = BottomK::default();
    names.into_iter().for_each(|name| kept.add(name));
    kept
}

#[test]
fn a_dropped_name_never_comes_back() {
    // The trap: a name is pushed out, then seen again, and would be kept with a partial count.
    let names: Vec<String> = (0..200).map(|i| format!("name {i}")).collect();
    let once = of(&names);
    let again = of(names.iter().chain(&names).chain(names.iter().rev()));
    let kept: Vec<&str> = once.names().into_iter().map(|(name, _)| name).collect();
    assert_eq!(kept.len(), NAMES_KEPT);
    assert_eq!(again.names(), kept.into_iter().map(|name| (name, 3)).collect::<Vec<_>>());
    assert!(again.truncated());
}

#[test]
fn exactly_as_many_names_as_are_kept_are_not_truncated() {
    let names: Vec<String> = (0..65).map(|i| i.to_string()).collect();
    assert!(!of(&names[..64]).truncated());
    assert!(of(&names).truncated());
}

#[test]
fn the_hash_never_changes() {
    // Stored state and baselines depend on these numbers.
    let hashes = ["", "a", "carrier", "flight-delay"].map(keyed_hash);
    assert_eq!(
        hashes,
        [5627194300713089401, 15169905332910747347, 17552514128292626772, 2519834121886829978]
    );
    let mut distinct: Vec<u64> = (0..100_000).map(|i| keyed_hash(&format!("{i}"))).collect();
    distinct.extend((0..64).map(|zeros| keyed_hash(&"\0".repeat(zeros))));
    distinct.sort_unstable();
    distinct.dedup();
    assert_eq!(distinct.len(), 100_064);
    // The smallest of many are spread evenly: the k-th of n hashes lies about k/n up the range.
    let share = distinct[1000] as f64 / u64::MAX as f64;
    assert!((share - 0.01).abs() < 0.001, "{share}");
}

#[test]
fn names_out_of_order_and_zero_counts_are_refused() {
    let names = of(&["a".to_owned(), "b".to_owned()]);
    let good = bytes(&names);
    assert_eq!(BottomK::decode(&mut Reader::new(&good)), Ok(names));
    let mut swapped = good.clone();
    swapped.swap(2, 5);
    let mut zero = good.clone();
    zero[3] = 0;
    for bad in [swapped, zero] {
        assert!(BottomK::<NAMES_KEPT>::decode(&mut Reader::new(&bad)).is_err());
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(60))]

    #[test]
    fn any_split_and_order_gives_the_same_bytes(
        ids in prop::collection::vec(0_u32..150, 0..500),
        parts in prop::collection::vec(0_usize..5, 500),
        order in Just([0_usize, 1, 2, 3, 4]).prop_shuffle(),
    ) {
        let names: Vec<String> = ids.iter().map(|id| format!("n{id}")).collect();
        let whole = of(&names);
        let mut merged = BottomK::default();
        for part in order {
            merged.merge(&of(names.iter().zip(&parts).filter(|(_, p)| **p == part).map(|(n, _)| n)));
        }
        prop_assert_eq!(bytes(&whole), bytes(&merged));
        let mut counts: BTreeMap<&str, u64> = BTreeMap::new();
        names.iter().for_each(|name| *counts.entry(name).or_default() += 1);
        prop_assert_eq!(whole.truncated(), counts.len() > NAMES_KEPT);
        for (name, count) in whole.names() {
            prop_assert_eq!(counts[name], count);
        }
        let decoded = BottomK::decode(&mut Reader::new(&bytes(&whole)));
        prop_assert_eq!(decoded, Ok(whole));
    }
}
