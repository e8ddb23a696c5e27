//! How long to wait before the next attempt.

use std::time::Duration;

use rand::RngExt as _;

use super::Refusal;

const FIRST: Duration = Duration::from_millis(250);
const LONGEST: Duration = Duration::from_secs(15);

/// The pause after a refusal. Another instance's link dies after a minute at most; a secret is changed by people.
const AFTER_ALREADY_CONNECTED: Duration = Duration::from_secs(5);
const AFTER_WRONG_SECRET: Duration = Duration::from_secs(30);

/// The pauses between attempts, growing.
#[derive(Debug, Default)]
pub(super) struct Pauses {
    made: u32,
}

impl Pauses {
    /// The next pause: next to nothing at first, then from 250 ms doubling up to 15 s, half of each left to chance so
    /// that many runners do not come back at once.
    pub(super) fn next(&mut self, refusal: Option<Refusal>) -> Duration {
        let whole = match (refusal, self.made) {
            (Some(Refusal::WrongSecret), _) => AFTER_WRONG_SECRET,
            (Some(Refusal::AlreadyConnected), _) => AFTER_ALREADY_CONNECTED,
            (None, 0) => FIRST / 5,
            (None, made) => LONGEST.min(FIRST * 2_u32.saturating_pow((made - 1).min(16))),
        };
        self.made = self.made.saturating_add(1);
        whole.mul_f64(rand::rng().random_range(0.5..=1.0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_start_short_grow_and_stay_below_their_limit() {
        let mut pauses = Pauses::default();
        assert!(pauses.next(None) <= Duration::from_millis(50));
        let second = pauses.next(None);
        assert!(FIRST / 2 <= second && second <= FIRST);
        for _ in 0..40 {
            assert!(pauses.next(None) <= LONGEST);
        }
        assert!(pauses.next(None) >= LONGEST / 2);
        assert!(pauses.next(Some(Refusal::WrongSecret)) >= AFTER_WRONG_SECRET / 2);
    }
}
