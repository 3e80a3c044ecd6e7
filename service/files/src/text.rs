//! Files of text as UTF-8: unpacked, and out of UTF-16.

use std::fs::File;
use std::io::{self, BufRead, BufReader};
use std::path::Path;

use encoding_rs::{Encoding, UTF_16BE, UTF_16LE};
use encoding_rs_io::DecodeReaderBytesBuilder;
use flate2::bufread::MultiGzDecoder;

const BUFFER: usize = 1 << 18;
const GZIP: [u8; 2] = [0x1f, 0x8b];
const UTF_8_MARK: &[u8] = b"\xef\xbb\xbf";

/// A file of text from its beginning.
pub(crate) struct Text {
    /// Its bytes without a mark of their order; UTF-8 where `encoding` is not named, unless the file is of
    /// an older encoding.
    pub(crate) reader: Box<dyn BufRead + Send>,
    /// The encoding that it was translated from.
    pub(crate) encoding: Option<&'static str>,
}

impl Text {
    pub(crate) fn open(path: &Path) -> io::Result<Text> {
        let mut file = BufReader::with_capacity(BUFFER, File::open(path)?);
        if file.fill_buf()?.starts_with(&GZIP) {
            let unpacked = MultiGzDecoder::new(file);
            return Text::of(BufReader::with_capacity(BUFFER, unpacked));
        }
        Text::of(file)
    }

    fn of(mut reader: impl BufRead + Send + 'static) -> io::Result<Text> {
        let beginning = reader.fill_buf()?;
        let Some(encoding) = sixteen_bits(beginning) else {
            let mark = if beginning.starts_with(UTF_8_MARK) { UTF_8_MARK.len() } else { 0 };
            reader.consume(mark);
            return Ok(Text { reader: Box::new(reader), encoding: None });
        };
        let decoded = DecodeReaderBytesBuilder::new().encoding(Some(encoding)).build(reader);
        let reader = Box::new(BufReader::with_capacity(BUFFER, decoded));
        Ok(Text { reader, encoding: Some(encoding.name()) })
    }
}

/// Which UTF-16 it is, by its mark, or by every other byte of a header being zero.
fn sixteen_bits(beginning: &[u8]) -> Option<&'static Encoding> {
    match beginning {
        [0xff, 0xfe, ..] => return Some(UTF_16LE),
        [0xfe, 0xff, ..] => return Some(UTF_16BE),
        _ => {}
    }
    let first = beginning.get(..8)?;
    let zeros = |odd: usize| first.iter().skip(odd).step_by(2).all(|&byte| byte == 0);
    let text = |odd: usize| first.iter().skip(odd).step_by(2).all(|&byte| byte != 0);
    match (zeros(0) && text(1), zeros(1) && text(0)) {
        (true, _) => Some(UTF_16BE),
        (_, true) => Some(UTF_16LE),
        _ => None,
    }
}
