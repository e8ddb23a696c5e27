//! Bodies of requests, and the ids in them.

use std::time::{SystemTime, UNIX_EPOCH};

/// Makes one body after the other.
pub(crate) trait Request {
    /// The next body, of spans that were never sent.
    fn next(&mut self) -> Body<'_>;
}

/// A body, and what is in it.
pub(crate) struct Body<'b> {
    /// What is sent.
    pub(crate) bytes: &'b [u8],
    /// How many spans it has.
    pub(crate) spans: u32,
    /// One of its traces, in hex.
    pub(crate) trace: String,
    /// How many spans of that trace it has.
    pub(crate) of_trace: u32,
}

/// Ids that look as if they were chosen by chance, the same for the same seed (SplitMix64).
pub(crate) struct Ids(u64);

impl Ids {
    /// Those of one connection.
    pub(crate) fn new(seed: u64, connection: u64) -> Self {
        Self(mixed(seed.rotate_left(32) ^ connection))
    }

    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        // An id of zeros is none.
        mixed(self.0).max(1)
    }

    /// A number below this one.
    pub(crate) fn below(&mut self, end: usize) -> usize {
        usize::try_from(self.next() % end as u64).unwrap_or(0)
    }

    pub(crate) fn trace(&mut self) -> [u8; 16] {
        let halves = (u128::from(self.next()) << 64) | u128::from(self.next());
        halves.to_be_bytes()
    }
}

fn mixed(mut value: u64) -> u64 {
    value = (value ^ (value >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    value = (value ^ (value >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    value ^ (value >> 31)
}

pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Nanoseconds since 1970.
pub(crate) fn now() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since.map_or(0, |since| u64::try_from(since.as_nanos()).unwrap_or(0))
}
