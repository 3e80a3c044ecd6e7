//! The floor: a scanner that finds the numbers of a JSON text and reads them, and nothing else. It
//! checks no grammar, keeps no value, knows no key, and so bounds from above what a decoder can do.

/// The sum of all numbers in `text` outside strings; only what it costs matters.
pub(crate) fn sum_of_numbers(text: &[u8]) -> f64 {
    let mut sum = 0.0;
    let mut at = 0;
    while let Some(&byte) = text.get(at) {
        match byte {
            b'"' => at = after_string(text, at + 1),
            b'-' | b'0'..=b'9' => {
                let (number, end) = number(text, at);
                sum += number;
                at = end;
            }
            _ => at += 1,
        }
    }
    sum
}

/// Where the string that begins at `at` is over; it has no escapes, or ends too early.
fn after_string(text: &[u8], mut at: usize) -> usize {
    while text.get(at).is_some_and(|&byte| byte != b'"') {
        at += 1;
    }
    at + 1
}

/// The number at `at`, by digits and one division, and where it ends. Exponents end it.
fn number(text: &[u8], at: usize) -> (f64, usize) {
    const POWERS: [f64; 20] = [
        1e0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15, 1e16,
        1e17, 1e18, 1e19,
    ];
    let negative = text.get(at) == Some(&b'-');
    let (mut at, mut digits, mut places) = (at + usize::from(negative), 0_u64, 0);
    while let Some(digit) = text.get(at).map(|byte| byte.wrapping_sub(b'0')).filter(|&d| d < 10) {
        digits = digits.wrapping_mul(10).wrapping_add(u64::from(digit));
        at += 1;
    }
    if text.get(at) == Some(&b'.') {
        let point = at;
        at += 1;
        while let Some(digit) = text.get(at).map(|byte| byte.wrapping_sub(b'0')).filter(|&d| d < 10)
        {
            digits = digits.wrapping_mul(10).wrapping_add(u64::from(digit));
            at += 1;
        }
        places = at - point - 1;
    }
    let number = digits as f64 / POWERS.get(places).copied().unwrap_or(f64::INFINITY);
    (if negative { -number } else { number }, at)
}
