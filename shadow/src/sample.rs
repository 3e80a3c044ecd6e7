//! Which rows are scored: a hash of the id, the same for every candidate, restart and machine.

/// What a hash decides; each decision is independent of the others.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Decision {
    /// Whether the row is scored at all.
    Sampled,
    /// Whether it is scored alone, to measure the latency of one request.
    Single,
}

/// Whether the row is in a share (0 to 1) of all rows. Rows without an id are told apart by their
/// offset.
pub(crate) fn chosen(decision: Decision, id: Option<&str>, offset: i64, share: f64) -> bool {
    if share >= 1.0 {
        return true;
    }
    let salt = match decision {
        Decision::Sampled => 1,
        Decision::Single => 2,
    };
    let hash = match id {
        Some(id) => hash(salt, id.as_bytes()),
        None => hash(salt, &offset.to_le_bytes()),
    };
    // The upper 53 bits as a number in [0, 1).
    ((hash >> 11) as f64) / ((1_u64 << 53) as f64) < share
}

/// FNV-1a with the finaliser of SplitMix64, since FNV alone mixes short texts poorly in its upper
/// bits.
fn hash(salt: u64, bytes: &[u8]) -> u64 {
    let mut state = 0xcbf2_9ce4_8422_2325_u64 ^ salt.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    for byte in bytes {
        state = (state ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01b3);
    }
    state = (state ^ (state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    state = (state ^ (state >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    state ^ (state >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn share_of(decision: Decision, share: f64) -> f64 {
        let rows = 20_000;
        let chosen_rows = (0..rows)
            .filter(|row| chosen(decision, Some(&format!("UA{row}-EWR-20130101")), 0, share))
            .count();
        chosen_rows as f64 / f64::from(rows)
    }

    #[test]
    fn the_share_is_kept_and_nested() {
        for share in [0.0, 0.01, 0.25, 0.9, 1.0] {
            // Four standard errors of a share of 20 000 rows are at most 0.0142.
            assert!((share_of(Decision::Sampled, share) - share).abs() < 0.0142, "{share}");
        }
        for offset in 0..1000 {
            let small = chosen(Decision::Sampled, None, offset, 0.1);
            assert!(!small || chosen(Decision::Sampled, None, offset, 0.5));
        }
    }

    #[test]
    fn the_hash_never_changes() {
        // Computed by an independent implementation in Python.
        assert_eq!(hash(1, b"UA1545-EWR-20130101"), 3_663_747_522_068_055_398);
    }
}
