//! What is looked for in sixteen bytes of text at once: a key that is expected, a short number.

use wide::u8x16;

use super::number::eight_digits;

/// A key as producers write it, with its quotes and its colon.
#[derive(Debug)]
pub(crate) struct QuotedKey {
    /// Empty where the key cannot stand in a text as it is.
    text: Box<[u8]>,
    /// The first bytes, up to sixteen of them, and which bits of sixteen bytes they are.
    head: u8x16,
    mask: u8x16,
}

impl QuotedKey {
    pub(crate) fn new(name: &str) -> QuotedKey {
        let plain = name.bytes().all(|byte| byte >= 0x20 && byte != b'"' && byte != b'\\');
        let text = if plain { format!("\"{name}\":") } else { String::new() };
        let mut head = [0; 16];
        let mut mask = [0; 16];
        for ((head, mask), byte) in head.iter_mut().zip(&mut mask).zip(text.bytes()) {
            (*head, *mask) = (byte, 0xff);
        }
        let text = text.into_bytes().into();
        QuotedKey { text, head: u8x16::new(head), mask: u8x16::new(mask) }
    }

    /// Its bytes, quotes and colon included.
    #[inline]
    pub(super) fn length(&self) -> usize {
        self.text.len()
    }

    /// Whether `rest` begins with it.
    #[inline]
    pub(super) fn begins(&self, rest: &[u8]) -> bool {
        match rest.first_chunk() {
            Some(sixteen) => {
                (u8x16::new(*sixteen) & self.mask).simd_eq(self.head).to_bitmask() == 0xffff
                    && (self.text.len() <= 16 || rest.starts_with(&self.text))
                    && !self.text.is_empty()
            }
            None => !self.text.is_empty() && rest.starts_with(&self.text),
        }
    }
}

/// A number in plain decimal notation.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct ShortNumber {
    pub(super) value: f64,
    /// Bytes of text, of which the sixteen have one more.
    pub(super) length: usize,
    /// Whether what follows is a closing brace and not a comma.
    pub(super) last: bool,
}

/// The number that sixteen bytes begin with, where it is as JSON writes it, of up to eight digits, or
/// seven with a point, and a comma or a closing brace follows; `None` where they begin otherwise.
#[inline]
pub(super) fn short_number(sixteen: &[u8; 16]) -> Option<ShortNumber> {
    const POWERS: [f64; 8] = [1e0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7];
    let bytes = u8x16::new(*sixteen);
    let braces = bytes.simd_eq(u8x16::splat(b'}')).to_bitmask();
    let ends = bytes.simd_eq(u8x16::splat(b',')).to_bitmask() | braces;
    // What stands next begins behind this one, so the length is all that is waited for; which number
    // it is can be found meanwhile.
    let length = ends.trailing_zeros();
    let negative = u32::from(sixteen.first() == Some(&b'-'));
    let count = length - negative;
    if count.wrapping_sub(1) >= 8 {
        return None;
    }
    let nines = bytes - u8x16::splat(b'0');
    let digits = nines.min(u8x16::splat(9)).simd_eq(nines).to_bitmask();
    let other = !digits & (ends.wrapping_sub(1) & !ends) & !negative;
    let start = negative as usize;
    let eight = u64::from_le_bytes(*sixteen.get(start..)?.first_chunk()?);
    let aligned = (eight ^ 0x3030_3030_3030_3030) << (64 - 8 * count);
    let (whole, value) = if other == 0 {
        (count, eight_digits(aligned) as f64)
    } else {
        let point = other.trailing_zeros();
        let places = length - point - 1;
        let whole = point - negative;
        let one_point = other & (other - 1) == 0 && sixteen.get(point as usize) == Some(&b'.');
        if !one_point || whole == 0 || places == 0 {
            return None;
        }
        let kept = u64::MAX << (64 - 8 * places);
        let aligned = aligned & kept | aligned << 8 & !kept;
        (whole, eight_digits(aligned) as f64 / POWERS.get(places as usize).copied()?)
    };
    // One sum and no branch on the first digit, which nobody can foretell.
    if (eight & 0xff ^ u64::from(b'0')) + u64::from(whole == 1) == 0 {
        return None;
    }
    Some(ShortNumber {
        value: f64::from_bits(value.to_bits() | u64::from(negative) << 63),
        length: length as usize,
        last: braces & ends & ends.wrapping_neg() != 0,
    })
}

/// Where the first quote, backslash or control character stands.
#[inline]
pub(super) fn first_stop(sixteen: &[u8; 16]) -> Option<usize> {
    let bytes = u8x16::new(*sixteen);
    let control = u8x16::splat(0x1f);
    let stops = bytes.simd_eq(u8x16::splat(b'"'))
        | bytes.simd_eq(u8x16::splat(b'\\'))
        | bytes.max(control).simd_eq(control);
    let stops = stops.to_bitmask();
    (stops != 0).then_some(stops.trailing_zeros() as usize)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// The first sixteen bytes of `text`, blanks behind what is shorter.
    fn sixteen(text: &str) -> [u8; 16] {
        let bytes: Vec<u8> = text.bytes().chain([b' '; 16]).take(16).collect();
        bytes.try_into().unwrap()
    }

    #[test]
    fn short_numbers_are_those_of_json() {
        let table = [
            ("0,", Some((0.0, 1, false))),
            ("-0}", Some((-0.0, 2, true))),
            ("12.5,}", Some((12.5, 4, false))),
            ("12.5},", Some((12.5, 4, true))),
            ("12345678,", Some((12_345_678.0, 8, false))),
            ("-123.4567,", Some((-123.4567, 9, false))),
            ("0.000001}", Some((0.000_001, 8, true))),
            ("-0.5,", Some((-0.5, 4, false))),
            ("123456789,", None),
            ("1234.56789,", None),
            ("01,", None),
            ("-00.1,", None),
            ("1.,", None),
            (".5,", None),
            ("-.5,", None),
            ("-,", None),
            ("--1,", None),
            ("1-1,", None),
            ("1.2.3,", None),
            ("1e5,", None),
            ("1 ,", None),
            ("1]", None),
            ("12", None),
            (",", None),
            ("}", None),
        ];
        for (text, expected) in table {
            let short = short_number(&sixteen(text));
            let found = short.map(|short| (short.value.to_bits(), short.length, short.last));
            let expected =
                expected.map(|(value, length, last): (f64, _, _)| (value.to_bits(), length, last));
            assert_eq!(found, expected, "{text}");
        }
    }

    #[test]
    fn keys_are_told_from_those_that_begin_alike() {
        let table = [
            ("age", "\"age\":1", true),
            ("age", "\"ago\":1", false),
            ("age", "\"age\" :1", false),
            ("age", "\"ages\":1", false),
            ("a_name_of_19_letters", "\"a_name_of_19_letters\":1", true),
            ("a_name_of_19_letters", "\"a_name_of_19_lettres\":1", false),
            ("a_name_of_19_letters", "\"a_name_of_19_lette", false),
            ("a quote \" in it", "\"a quote \" in it\":1", false),
            ("", "\"\":1", true),
            ("", "1", false),
        ];
        for (name, text, expected) in table {
            let long = format!("{text}{}", " ".repeat(16));
            assert_eq!(QuotedKey::new(name).begins(text.as_bytes()), expected, "{name}: {text}");
            assert_eq!(QuotedKey::new(name).begins(long.as_bytes()), expected, "{name}: {text}");
        }
    }

    proptest! {
        #[test]
        fn short_numbers_read_as_rust_reads_them(
            text in "-?(0|[1-9][0-9]{0,8})(\\.[0-9]{0,8})?[,}][,}0-9.]{0,6}",
        ) {
            let end = text.find([',', '}']).unwrap();
            let number = text.get(..end).unwrap();
            let digits = number.trim_start_matches('-').len();
            let short = short_number(&sixteen(&text));
            if number.ends_with('.') || digits > 8 {
                prop_assert_eq!(short, None, "{}", text);
            } else {
                let short = short.unwrap();
                let expected: f64 = number.parse().unwrap();
                prop_assert_eq!(short.value.to_bits(), expected.to_bits(), "{}", text);
                prop_assert_eq!(short.length, end, "{}", text);
                prop_assert_eq!(short.last, text.get(end..=end) == Some("}"), "{}", text);
            }
        }

        #[test]
        fn what_is_no_number_is_none(
            bytes in prop::array::uniform16(prop::sample::select(&b"0123456789.-,}+eE \"\0\x80\xff"[..])),
        ) {
            let Some(short) = short_number(&bytes) else { return Ok(()) };
            let text = std::str::from_utf8(&bytes[..short.length]).unwrap();
            let number: serde_json::Number = serde_json::from_str(text).unwrap();
            prop_assert_eq!(Some(short.value), number.as_f64());
            let next = bytes[short.length];
            prop_assert_eq!(next, if short.last { b'}' } else { b',' });
        }

        #[test]
        fn the_first_stop_is_found(bytes in prop::array::uniform16(prop_oneof![
            8 => 0x20_u8..,
            1 => any::<u8>(),
        ])) {
            let stop = bytes.iter().position(|&b| b == b'"' || b == b'\\' || b < 0x20);
            prop_assert_eq!(first_stop(&bytes), stop);
        }
    }
}
