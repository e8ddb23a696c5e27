//! Clocks that are far off. Their spans are kept as they came, since nobody else knows when that was, and marked, so that
//! whoever asks about a time can leave them out or look for them.

use std::time::Duration;

use hopline_wire::Timestamp;
use hopline_wire::span::{Attribute, Span};

/// The attribute that says how a span's clock is off.
pub const CLOCK: &str = "hopline.clock";

/// How far ahead a span may begin: machines that are kept in time, and messages on their way, are well within that.
const AHEAD: Duration = Duration::from_secs(600);

/// 2000-01-01, in seconds since 1970: whatever begins before then has a clock that was never set.
const SET_SINCE: u64 = 946_684_800;

/// Marks spans that begin far ahead of `now` (`ahead`), or long before there were any (`unset`).
pub fn mark_clocks(spans: &mut [Span], now: Timestamp) {
    let latest = now.as_nanos().saturating_add(AHEAD.as_nanos() as u64);
    let earliest = Timestamp::from_millis(SET_SINCE * 1_000);
    for span in spans {
        let mark = if span.start.as_nanos() > latest {
            "ahead"
        } else if span.start < earliest {
            "unset"
        } else {
            continue;
        };
        // A sender that passes on what was marked before need not be told twice.
        if !span
            .attributes
            .iter()
            .any(|attribute| &*attribute.key == CLOCK)
        {
            span.attributes.push(Attribute::new(CLOCK, mark));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::span;

    #[test]
    fn clocks_far_off_are_marked_once_and_others_left_alone() {
        let now = Timestamp::from_millis(1_800_000_000_000);
        let at = |millis| Span {
            start: Timestamp::from_millis(millis),
            ..span(1, 1)
        };
        let hour = 3_600_000;
        let mut spans = [
            0,
            now.as_millis() - 9_000 * hour,
            now.as_millis(),
            now.as_millis() + hour,
        ]
        .map(at);
        let before = spans.clone();
        mark_clocks(&mut spans, now);
        mark_clocks(&mut spans, now);
        let marks = spans.each_ref().map(|span| {
            let all: Vec<_> = span
                .attributes
                .iter()
                .filter(|one| &*one.key == CLOCK)
                .collect();
            all.iter().map(|one| one.value.clone()).collect::<Vec<_>>()
        });
        assert_eq!(
            marks,
            [vec!["unset".into()], vec![], vec![], vec!["ahead".into()]]
        );
        for (span, before) in spans.iter().zip(&before) {
            assert_eq!((span.start, span.end), (before.start, before.end));
        }
    }
}
