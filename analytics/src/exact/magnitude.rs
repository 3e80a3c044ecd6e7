//! The settled form of an exact sum: a sign and 32-bit digits without zeros at either end.

/// A fixed-point number; digit i is worth 2^(32 (first + i)) units.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Magnitude {
    pub(super) negative: bool,
    /// 0 where there are no digits.
    pub(super) first: u32,
    pub(super) digits: Vec<u32>,
}

impl Magnitude {
    /// Propagates the carries of signed limbs.
    pub(super) fn of_limbs(first: u32, limbs: &[i64]) -> Magnitude {
        let mut digits = Vec::with_capacity(limbs.len() + 2);
        let mut carry = 0_i64;
        for &limb in limbs {
            let sum = limb + carry;
            digits.push(sum as u32);
            carry = sum >> 32;
        }
        while carry != 0 && carry != -1 {
            digits.push(carry as u32);
            carry >>= 32;
        }
        let negative = carry == -1;
        if negative {
            // Two's complement to magnitude.
            let mut one = true;
            for digit in &mut digits {
                let (negated, overflow) = (!*digit).overflowing_add(u32::from(one));
                *digit = negated;
                one = overflow;
            }
            if one {
                digits.push(1);
            }
        }
        Magnitude { negative, first, digits }.trimmed()
    }

    fn trimmed(mut self) -> Magnitude {
        while self.digits.last() == Some(&0) {
            self.digits.pop();
        }
        let zeros = self.digits.iter().take_while(|&&digit| digit == 0).count();
        self.digits.drain(..zeros);
        self.first += zeros as u32;
        if self.digits.is_empty() {
            self.first = 0;
            self.negative = false;
        }
        self
    }

    pub(super) fn is_zero(&self) -> bool {
        self.digits.is_empty()
    }

    /// The same digits, worth 2^32 to the `digits` times as much.
    pub(super) fn raised(mut self, digits: u32) -> Magnitude {
        if !self.is_zero() {
            self.first += digits;
        }
        self
    }

    pub(super) fn times_count(&self, count: u64) -> Magnitude {
        let count = Magnitude {
            negative: false,
            first: 0,
            digits: vec![count as u32, (count >> 32) as u32],
        };
        self.times(&count)
    }

    pub(super) fn squared(&self) -> Magnitude {
        self.times(self)
    }

    fn times(&self, other: &Magnitude) -> Magnitude {
        let mut digits = vec![0_u32; self.digits.len() + other.digits.len()];
        for (low, &left) in self.digits.iter().enumerate() {
            let mut carry = 0_u64;
            for (digit, &right) in
                digits[low..].iter_mut().zip(other.digits.iter().chain(std::iter::once(&0)))
            {
                let sum = u64::from(left) * u64::from(right) + u64::from(*digit) + carry;
                *digit = sum as u32;
                carry = sum >> 32;
            }
        }
        Magnitude {
            negative: self.negative != other.negative,
            first: self.first + other.first,
            digits,
        }
        .trimmed()
    }

    /// `self - other`, with the sign.
    pub(super) fn minus(&self, other: &Magnitude) -> Magnitude {
        let both = [(self, 1_i64), (other, -1_i64)];
        let first = both
            .iter()
            .filter(|(part, _)| !part.is_zero())
            .map(|(part, _)| part.first)
            .min()
            .unwrap_or(0);
        let end = both.iter().map(|(part, _)| part.first as usize + part.digits.len()).max();
        let mut limbs = vec![0_i64; end.unwrap_or(0).saturating_sub(first as usize)];
        for (part, sign) in both.iter().filter(|(part, _)| !part.is_zero()) {
            let sign = if part.negative { -sign } else { *sign };
            let at = (part.first - first) as usize;
            for (limb, &digit) in limbs[at..].iter_mut().zip(&part.digits) {
                *limb += sign * i64::from(digit);
            }
        }
        Magnitude::of_limbs(first, &limbs)
    }

    /// The nearest float, for units worth 2^-`bias`.
    pub(super) fn to_f64(&self, bias: u32) -> f64 {
        let (mantissa, exponent) = self.leading(bias);
        libm::scalbn(mantissa, exponent)
    }

    /// The quotient by `divisor`, for units worth 2^-`bias`.
    pub(super) fn divided(&self, bias: u32, divisor: f64) -> f64 {
        let (mantissa, exponent) = self.leading(bias);
        libm::scalbn(mantissa / divisor, exponent)
    }

    /// The number as a float and a power of two. The 64 leading bits, the last of them standing for
    /// all that follow, round as the whole number would.
    fn leading(&self, bias: u32) -> (f64, i32) {
        let Some(top) = self.digits.last() else { return (0.0, 0) };
        let digit = |back: usize| {
            self.digits.len().checked_sub(back + 1).and_then(|i| self.digits.get(i)).copied()
        };
        let wide = [digit(0), digit(1), digit(2)]
            .iter()
            .fold(0_u128, |wide, digit| wide << 32 | u128::from(digit.unwrap_or(0)));
        let shift = 32 - top.leading_zeros();
        let mut bits = (wide >> shift) as u64;
        let dropped = wide & ((1 << shift) - 1) != 0
            || self.digits.iter().rev().skip(3).any(|&digit| digit != 0);
        bits |= u64::from(dropped);
        let exponent =
            32 * (self.first as i32 + self.digits.len() as i32 - 3) + shift as i32 - bias as i32;
        let value = bits as f64;
        (if self.negative { -value } else { value }, exponent)
    }
}
