//! How the store compresses documents: each is a frame of its own.

use zstd::bulk::Compressor;

/// The default of zstd.
const LEVEL: i32 = 3;

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
