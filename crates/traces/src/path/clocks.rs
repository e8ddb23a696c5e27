//! The clocks of the machines that a trace's spans were made on, as far as it is known how they differ.
//!
//! A runner measures its clock against its broker's and says the difference on the spans of its commands. Times of its
//! spans are told by the broker's clock, so that what lies between two machines is the way and not the clocks.

use std::collections::HashMap;
use std::sync::Arc;

use hopline_wire::Timestamp;
use hopline_wire::ops;
use hopline_wire::span::{Resource, Span, Value};
use serde::Serialize;

use crate::overview::MakerId;

/// The attribute in which a runner says how far its clock is ahead of its broker's, in nanoseconds.
const OFFSET: &str = "hopline.clock.offset_ns";

/// What is less is not corrected, in nanoseconds: it is measured no better than by half of a round trip.
const LEAST: u64 = 5_000_000;

/// A clock whose times were corrected.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Clock {
    /// The service of the process (`service.name`).
    pub service: String,
    /// Which of its processes (`service.instance.id`).
    pub instance: String,
    /// How far it was ahead of the broker's, in nanoseconds; negative if it was behind.
    pub offset_nanos: i64,
}

/// What spans say of the clocks by which they were made, noted one by one.
#[derive(Default)]
pub(crate) struct Offsets(HashMap<MakerId, (Timestamp, i64)>);

impl Offsets {
    /// Takes note of what a span says.
    pub(crate) fn note(&mut self, span: &Span) {
        if &*span.op != ops::RUNNER_COMMAND {
            return;
        }
        let said = span.attributes.iter().find(|own| &*own.key == OFFSET);
        let Some(Value::Int(offset)) = said.map(|own| &own.value) else {
            return;
        };
        // The last measurement of a process is its best.
        let known = self.0.entry(MakerId::of(&span.resource));
        let known = known.or_insert((span.start, *offset));
        if known.0 <= span.start {
            *known = (span.start, *offset);
        }
    }

    /// How far the clocks were ahead that are corrected, in nanoseconds.
    pub(crate) fn known(self) -> HashMap<MakerId, i64> {
        let all = self
            .0
            .into_iter()
            .map(|(maker, (_, offset))| (maker, offset));
        all.filter(|(_, offset)| offset.unsigned_abs() >= LEAST)
            .collect()
    }
}

/// A time of a clock that was so far ahead, as its broker's would have told it.
pub(crate) fn corrected(at: Timestamp, offset: i64) -> Timestamp {
    Timestamp::from_nanos(at.as_nanos().saturating_add_signed(offset.saturating_neg()))
}

/// How far the makers of spans were off.
pub(super) struct Clocks {
    /// Those that are corrected.
    clocks: Vec<Clock>,
    /// Of each resource the same: spans of a maker share few of them.
    offsets: HashMap<*const Resource, i64>,
}

impl Clocks {
    /// What the spans say of the clocks by which they were made.
    pub(super) fn of(spans: &[Span]) -> Self {
        let mut known = Offsets::default();
        spans.iter().for_each(|span| known.note(span));
        let known = known.known();
        let mut offsets = HashMap::new();
        if !known.is_empty() {
            for span in spans {
                offsets
                    .entry(Arc::as_ptr(&span.resource))
                    .or_insert_with(|| {
                        let known = known.get(&MakerId::of(&span.resource));
                        known.copied().unwrap_or_default()
                    });
            }
        }
        let clocks = known.into_iter().map(|(maker, offset_nanos)| Clock {
            service: maker.service.to_string(),
            instance: maker.instance.to_string(),
            offset_nanos,
        });
        let mut clocks: Vec<_> = clocks.collect();
        clocks.sort_unstable_by(|one, other| one.instance.cmp(&other.instance));
        Self { clocks, offsets }
    }

    /// When a span began and ended, by the broker's clock.
    pub(super) fn times(&self, span: &Span) -> (Timestamp, Timestamp) {
        let offset = self.offsets.get(&Arc::as_ptr(&span.resource)).copied();
        match offset {
            None | Some(0) => (span.start, span.end),
            Some(offset) => (corrected(span.start, offset), corrected(span.end, offset)),
        }
    }

    /// The clocks that were corrected.
    pub(super) fn corrected(self) -> Vec<Clock> {
        self.clocks
    }
}
