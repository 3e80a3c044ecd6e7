//! Random numbers that are the same everywhere: splitmix64 and Marsaglia's polar method.

const STEP: u64 = 0x9e37_79b9_7f4a_7c15;
/// Any other number with about as many ones as zeros.
const SCATTER: u64 = 0x6a09_e667_f3bc_c909;

/// A source of them.
#[derive(Debug, Clone)]
pub(crate) struct Random {
    state: u64,
    spare: Option<f64>,
}

impl Random {
    /// Seeds are scattered: of neighbours that are a step apart, each would draw what the one before it
    /// drew, but for the first number.
    pub(crate) fn new(seed: u64) -> Random {
        Random { state: scattered(scattered(seed) ^ SCATTER), spare: None }
    }

    fn next(&mut self) -> u64 {
        self.state = self.state.wrapping_add(STEP);
        scattered(self.state)
    }

    /// From 0 to below 1.
    pub(crate) fn share(&mut self) -> f64 {
        (self.next() >> 11) as f64 / (1_u64 << 53) as f64
    }

    /// One of `0..below`.
    pub(crate) fn below(&mut self, below: u32) -> u32 {
        (self.share() * f64::from(below)) as u32
    }

    /// Of mean 0 and deviation 1.
    pub(crate) fn normal(&mut self) -> f64 {
        if let Some(spare) = self.spare.take() {
            return spare;
        }
        loop {
            let (x, y) = (2.0 * self.share() - 1.0, 2.0 * self.share() - 1.0);
            let square = x * x + y * y;
            if square > 0.0 && square < 1.0 {
                let scale = libm::sqrt(-2.0 * libm::log(square) / square);
                self.spare = Some(y * scale);
                return x * scale;
            }
        }
    }
}

fn scattered(number: u64) -> u64 {
    let mut z = number;
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}
