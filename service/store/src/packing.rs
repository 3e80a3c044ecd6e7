//! How the store compresses documents: each is a frame of its own.

use zstd::bulk::Compressor;

/// The fastest but for the negative ones. For what is kept here it is also the smallest of the fast ones: of
/// a report of 60 kB a hundredth less is left than by level 3, of shapes made up of random numbers a twentieth.
const LEVEL: i32 = 1;

/// Compresses documents one after the other. What that needs is made once: it is larger than most documents.
pub(super) struct Packer {
    compressor: Compressor<'static>,
}

impl Packer {
    pub(super) fn new() -> std::io::Result<Packer> {
        Ok(Packer { compressor: Compressor::new(LEVEL)? })
    }

    pub(super) fn pack(&mut self, document: &[u8]) -> std::io::Result<Vec<u8>> {
        self.compressor.compress(document)
    }
}
