//! A filter that says which ids a run may have: one cache line is looked at for each.

/// Bits for each row: one id in some 300 that a run does not have is looked for in its pages.
const BITS: usize = 12;
/// Bits of a block, all bits of one id lie in one.
const BLOCK_BITS: usize = 512;
const WORDS: usize = BLOCK_BITS / 64;
/// Bits that each id sets.
const PROBES: u32 = 6;

/// A blocked Bloom filter (Putze, Sanders, Singler 2007) over hashes that are uniform already.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Bloom {
    blocks: Vec<[u64; WORDS]>,
}

impl Bloom {
    pub(crate) fn new(rows: usize) -> Bloom {
        Bloom { blocks: vec![[0; WORDS]; (rows * BITS).div_ceil(BLOCK_BITS).max(1)] }
    }

    pub(crate) fn insert(&mut self, hash: u128) {
        let at = self.block(hash);
        let bits = bits(hash);
        // The block is one of the filter's own: see `block`.
        if let Some(block) = self.blocks.get_mut(at) {
            for bit in bits {
                block[bit / 64] |= 1 << (bit % 64);
            }
        }
    }

    pub(crate) fn may_have(&self, hash: u128) -> bool {
        // A filter without blocks was not written by `new`: it must not hide a row.
        let Some(block) = self.blocks.get(self.block(hash)) else { return true };
        bits(hash).all(|bit| block[bit / 64] >> (bit % 64) & 1 == 1)
    }

    pub(crate) fn bytes(&self) -> impl Iterator<Item = u8> {
        self.blocks.iter().flatten().flat_map(|word| word.to_le_bytes())
    }

    pub(crate) fn from_bytes(bytes: &[u8]) -> Bloom {
        let (blocks, _) = bytes.as_chunks::<{ WORDS * 8 }>();
        let block = |bytes: &[u8; WORDS * 8]| {
            let (words, _) = bytes.as_chunks();
            let mut block = [0; WORDS];
            block.iter_mut().zip(words).for_each(|(to, word)| *to = u64::from_le_bytes(*word));
            block
        };
        Bloom { blocks: blocks.iter().map(block).collect() }
    }

    pub(crate) fn len_bytes(&self) -> usize {
        self.blocks.len() * WORDS * 8
    }

    /// The middle 64 bits scaled to the number of blocks (Lemire 2019). Not the upper ones: they are small for
    /// all ids of a sample.
    fn block(&self, hash: u128) -> usize {
        let middle = (hash >> 32) as u64;
        ((u128::from(middle) * self.blocks.len() as u128) >> 64) as usize
    }
}

/// Nine bits each, from the lower half.
fn bits(hash: u128) -> impl Iterator<Item = usize> {
    (0..PROBES).map(move |probe| (hash >> (probe * 9)) as usize % BLOCK_BITS)
}
