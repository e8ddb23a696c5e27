//! How far the runner's clock is from the broker's.

use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use hopline_wire::Timestamp;

/// No offset is known.
const UNKNOWN: i64 = i64::MIN;

/// The runner's clock minus the broker's, as last measured.
#[derive(Debug)]
pub(crate) struct ClockOffset(AtomicI64);

impl Default for ClockOffset {
    fn default() -> Self {
        Self(AtomicI64::new(UNKNOWN))
    }
}

impl ClockOffset {
    /// The offset in nanoseconds; none before a broker has said what time it is.
    pub(crate) fn nanos(&self) -> Option<i64> {
        Some(self.0.load(Ordering::Relaxed)).filter(|nanos| *nanos != UNKNOWN)
    }

    fn set(&self, nanos: i64) {
        self.0.store(nanos, Ordering::Relaxed);
    }
}

/// One link's measurement: the broker said once what time it was, and that word was on its way for half of the
/// shortest round trip seen.
#[derive(Debug, Default)]
pub(super) struct Measurement {
    /// The broker's time, and ours when it came.
    said: Option<(Timestamp, Timestamp)>,
    shortest: Option<Duration>,
}

impl Measurement {
    /// The broker wrote `server_time`, which came at `received`.
    pub(super) fn server_time(
        &mut self,
        server_time: Timestamp,
        received: Timestamp,
        offset: &ClockOffset,
    ) {
        self.said = Some((server_time, received));
        self.publish(offset);
    }

    /// A message and its answer took so long together.
    pub(super) fn round_trip(&mut self, took: Duration, offset: &ClockOffset) {
        if self.shortest.is_none_or(|shortest| took < shortest) {
            self.shortest = Some(took);
            self.publish(offset);
        }
    }

    fn publish(&self, offset: &ClockOffset) {
        let (Some((server_time, received)), Some(shortest)) = (self.said, self.shortest) else {
            return;
        };
        let on_its_way = shortest.as_nanos() / 2;
        let nanos = i128::from(received.as_nanos())
            - i128::from(server_time.as_nanos())
            - i128::try_from(on_its_way).unwrap_or(0);
        offset.set(i64::try_from(nanos).unwrap_or(if nanos < 0 { -i64::MAX } else { i64::MAX }));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_offset_is_what_is_left_of_the_difference_without_the_way() {
        let (offset, mut measurement) = (ClockOffset::default(), Measurement::default());
        measurement.round_trip(Duration::from_millis(40), &offset);
        assert_eq!(offset.nanos(), None);
        let server = Timestamp::from_millis(1_000);
        measurement.server_time(server, Timestamp::from_millis(900), &offset);
        assert_eq!(offset.nanos(), Some(-120_000_000));
        measurement.round_trip(Duration::from_millis(10), &offset);
        assert_eq!(offset.nanos(), Some(-105_000_000));
        measurement.round_trip(Duration::from_millis(90), &offset);
        assert_eq!(
            offset.nanos(),
            Some(-105_000_000),
            "a slower trip tells less"
        );
    }
}
