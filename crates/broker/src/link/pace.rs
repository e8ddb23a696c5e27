//! How fast a runner may speak: a token bucket that holds a second's worth.

use std::time::Duration;

use tokio::time::Instant;

/// What a runner with a token of its own may send at most, in the long run.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Rates {
    /// Events a second.
    pub(crate) events: u32,
    /// Bytes a second.
    pub(crate) bytes: u64,
}

/// Follows what one link has sent. What has come is always taken; then nothing is read until the bucket is no longer
/// overdrawn, which holds the runner up through TCP.
pub(crate) struct Pace {
    rates: Rates,
    /// When all that came will have been paid for. A second before now at the earliest: that is the bucket's size.
    paid_at: Instant,
}

const BUCKET: Duration = Duration::from_secs(1);

impl Pace {
    pub(crate) fn new(rates: Rates, now: Instant) -> Self {
        Self {
            rates,
            paid_at: now.checked_sub(BUCKET).unwrap_or(now),
        }
    }

    /// Takes note of what has come.
    pub(crate) fn came(&mut self, events: usize, bytes: usize, now: Instant) {
        #[expect(
            clippy::cast_precision_loss,
            reason = "a frame has far fewer than 2^52 events and bytes"
        )]
        let seconds = {
            let of_events = events as f64 / f64::from(self.rates.events.max(1));
            let of_bytes = bytes as f64 / self.rates.bytes.max(1) as f64;
            of_events.max(of_bytes)
        };
        let earliest = now.checked_sub(BUCKET).unwrap_or(now);
        self.paid_at = self.paid_at.max(earliest) + Duration::from_secs_f64(seconds);
    }

    /// When more may be read.
    pub(crate) const fn ready_at(&self) -> Instant {
        self.paid_at
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const RATES: Rates = Rates {
        events: 100,
        bytes: 1_000,
    };

    #[test]
    fn a_burst_of_a_second_is_free_and_the_rest_takes_its_time() {
        let start = Instant::now();
        let mut pace = Pace::new(RATES, start);
        let later = |millis| start + Duration::from_millis(millis);
        pace.came(100, 0, start);
        assert!(pace.ready_at() <= start);
        pace.came(50, 0, start);
        assert_eq!(pace.ready_at(), later(500));
        // The scarcer of the two counts.
        pace.came(1, 1_000, start);
        assert_eq!(pace.ready_at(), later(1_500));
        // Idle time is saved up for a second only.
        pace.came(100, 0, later(60_000));
        assert!(pace.ready_at() <= later(60_000));
        pace.came(1, 0, later(60_000));
        assert_eq!(pace.ready_at(), later(60_010));
    }
}
