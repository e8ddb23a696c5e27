//! Formatted times, each millisecond once.

use std::fmt::Write as _;

use hopline_wire::Timestamp;

/// Formats times as events carry them; the last one is kept, since many events share a millisecond.
#[derive(Default)]
pub(crate) struct Stamp {
    millis: Option<u64>,
    text: String,
}

impl Stamp {
    /// The time in ISO 8601, with milliseconds.
    pub(crate) fn at(&mut self, at: Timestamp) -> &str {
        let millis = at.as_millis();
        if self.millis != Some(millis) {
            self.millis = Some(millis);
            self.text.clear();
            // Writing into a text cannot fail.
            let _ = write!(self.text, "{at}");
        }
        &self.text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_reads_the_same_fresh_and_kept() {
        let mut stamp = Stamp::default();
        for millis in [1_769_852_096_789, 1_769_852_096_789, 1_769_852_096_790] {
            let at = Timestamp::from_millis(millis);
            assert_eq!(stamp.at(at), at.to_string());
        }
    }
}
