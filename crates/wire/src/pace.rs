//! How fast runners with a token of their own may speak, whichever link or request they speak on: a token bucket for
//! each, which holds a second's worth.

use std::borrow::Borrow;
use std::collections::HashMap;
use std::hash::Hash;
use std::time::{Duration, Instant};

/// What each may send at most, in the long run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rates {
    /// Events a second; 0 counts as 1.
    pub events: u32,
    /// Bytes a second; 0 counts as 1.
    pub bytes: u64,
}

impl Default for Rates {
    /// 10,000 events and 32 MiB a second.
    fn default() -> Self {
        Self {
            events: 10_000,
            bytes: 32 << 20,
        }
    }
}

/// Follows what each of those with a key has sent. What has come is always taken; then nothing more is to be read until
/// the bucket is no longer overdrawn.
#[derive(Debug)]
pub struct Paces<K> {
    rates: Rates,
    /// When all that came will have been paid for; a second before now at the earliest, which is the bucket's size. Those
    /// that are not here have a full bucket.
    paid_at: HashMap<K, Instant>,
    /// With so many, those whose buckets are full again are forgotten.
    forget_at: usize,
}

const BUCKET: Duration = Duration::from_secs(1);

/// So few need not be forgotten.
const FEW: usize = 256;

impl<K: Eq + Hash> Paces<K> {
    /// Nobody has sent anything.
    #[must_use]
    pub fn new(rates: Rates) -> Self {
        Self {
            rates,
            paid_at: HashMap::new(),
            forget_at: FEW,
        }
    }

    /// Takes note of what has come.
    pub fn came(&mut self, key: K, events: usize, bytes: usize, now: Instant) {
        let earliest = now.checked_sub(BUCKET).unwrap_or(now);
        if self.paid_at.len() >= self.forget_at {
            self.paid_at.retain(|_, paid_at| *paid_at > earliest);
            self.forget_at = FEW.max(2 * self.paid_at.len());
        }
        let cost = self.cost(events, bytes);
        let paid_at = self.paid_at.entry(key).or_insert(earliest);
        *paid_at = (*paid_at).max(earliest) + cost;
    }

    /// When more may be read.
    #[must_use]
    pub fn ready_at<Q: Eq + Hash + ?Sized>(&self, key: &Q, now: Instant) -> Instant
    where
        K: Borrow<Q>,
    {
        self.paid_at
            .get(key)
            .map_or(now, |paid_at| now.max(*paid_at))
    }

    /// The time that so much takes: the scarcer of the two counts.
    fn cost(&self, events: usize, bytes: usize) -> Duration {
        #[expect(
            clippy::cast_precision_loss,
            reason = "a frame has far fewer than 2^52 events and bytes"
        )]
        let seconds = {
            let of_events = events as f64 / f64::from(self.rates.events.max(1));
            let of_bytes = bytes as f64 / self.rates.bytes.max(1) as f64;
            of_events.max(of_bytes)
        };
        Duration::from_secs_f64(seconds)
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
        let mut paces = Paces::new(RATES);
        let later = |millis| start + Duration::from_millis(millis);
        paces.came("a", 100, 0, start);
        assert_eq!(paces.ready_at("a", start), start);
        paces.came("a", 50, 0, start);
        assert_eq!(paces.ready_at("a", start), later(500));
        // The scarcer of the two counts, and others are not touched by it.
        paces.came("a", 1, 1_000, start);
        assert_eq!(paces.ready_at("a", start), later(1_500));
        assert_eq!(paces.ready_at("b", start), start);
        // Idle time is saved up for a second only.
        let minute = later(60_000);
        paces.came("a", 100, 0, minute);
        assert_eq!(paces.ready_at("a", minute), minute);
        paces.came("a", 1, 0, minute);
        assert_eq!(paces.ready_at("a", minute), later(60_010));
    }

    #[test]
    fn only_those_who_owe_are_remembered() {
        let start = Instant::now();
        let mut paces = Paces::new(RATES);
        paces.came(0, 1_000, 0, start);
        for second in 1..5_000_u64 {
            let now = start + Duration::from_millis(second);
            paces.came(second, 1, 0, now);
        }
        let now = start + Duration::from_secs(5);
        assert!(paces.paid_at.len() < 3_000, "{}", paces.paid_at.len());
        assert_eq!(paces.ready_at(&0, now), start + Duration::from_secs(9));
    }
}
