//! A trace as columns: what it takes to draw all of its spans and nothing more, for a console that shows a hundred thousand.
//!
//! A span is a row of numbers here, some fifty bytes; names, ops, services and kinds are numbers of words that stand once.
//! What a span says beside that is asked for one by one ([`crate::store::TraceStore::span`]). Times of a runner whose clock
//! was off are told by its broker's, as the path does.
//!
//! An outline says the same however its spans are stored, so its hash names its content. Only of links and ids of tool calls
//! beyond the bounds it is left to chance which are told: those of the spans that came first.

use std::collections::BTreeMap;
use std::ops::ControlFlow;

use hopline_wire::{SpanId, TraceId};
use serde::{Serialize, Serializer};

use crate::store::{TraceStore, TracesError};
use gather::Gathered;
use linked::Linked;

mod gather;
mod linked;
mod words;

#[cfg(test)]
mod tests;

/// What is told of a span in a bit.
pub mod flag {
    /// It has not finished.
    pub const PENDING: u8 = 1;
    /// It names a parent that is not in the trace, or not in the part of it that was read.
    pub const ORPHAN: u8 = 2;
    /// It links other spans.
    pub const LINKS: u8 = 4;
    /// Something happened within it that it tells of: an exception, another attempt.
    pub const EVENTS: u8 = 8;
    /// It was timed by a clock that was off; its times here are corrected.
    pub const CORRECTED: u8 = 16;
}

/// The parent of a row that has none here.
pub const NO_ROW: i32 = -1;

/// A trace as columns. Serializes as `GET /api/traces/{id}?format=outline` answers it.
#[derive(Debug, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Outline {
    trace_id: TraceId,
    /// When the first began, in nanoseconds since 1970: a text, since it has more digits than JavaScript's numbers.
    #[serde(serialize_with = "as_text")]
    start_nanos: u64,
    /// How many spans and records the trace has, also if not all of them were read.
    total: u64,
    names: Vec<Box<str>>,
    ops: Vec<Box<str>>,
    services: Vec<Box<str>>,
    kinds: Vec<Box<str>>,
    spans: Columns,
    /// The rows of each tool call that spans name.
    tool_calls: BTreeMap<Box<str>, Vec<i32>>,
    /// Spans that stand under others beside their own parent.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    linked: Vec<Linked>,
    records: Vec<Record>,
    #[serde(skip_serializing_if = "Option::is_none")]
    missing: Option<Missing>,
}

/// The spans, sorted by start. A parent may stand behind its child, whose clock was another.
#[derive(Debug, PartialEq, Eq, Hash, Default, Serialize)]
struct Columns {
    id: Vec<SpanId>,
    /// The parent's row, or [`NO_ROW`].
    parent: Vec<i32>,
    name: Vec<u32>,
    op: Vec<u32>,
    service: Vec<u32>,
    kind: Vec<u32>,
    /// Nanoseconds after the trace's start.
    start: Vec<u64>,
    /// Nanoseconds; 0 for what has not finished.
    duration: Vec<u64>,
    /// 0 unset, 1 well, 2 failed.
    status: Vec<u8>,
    /// [`flag`].
    flags: Vec<u8>,
    /// The number of the event that it is a hop of, or 0.
    seq: Vec<u64>,
}

/// An error or a log that came beside the spans.
#[derive(Debug, PartialEq, Eq, Hash, Serialize)]
struct Record {
    id: SpanId,
    /// The row of the span during which it came about, or [`NO_ROW`].
    parent: i32,
    /// `event` or `log`.
    kind: Box<str>,
    /// Nanoseconds after the trace's start.
    at: u64,
    level: Box<str>,
    message: Box<str>,
}

/// What is known to be missing.
#[derive(Debug, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "camelCase")]
struct Missing {
    /// Spans that their makers say they had to drop.
    dropped: u64,
    /// Spans and records that are in the store and not here, since the trace has more than were asked for.
    left_out: u64,
}

impl Outline {
    /// The outline of a trace: of all that it has, if that is at most `limit`, else of those that
    /// [`TraceStore::trace`] chooses. None if there is no such trace.
    ///
    /// Takes memory for `limit` rows and one part of what is stored; for a trace that has more, or whose spans were stored as
    /// others again and again, for a reading of so many spans.
    /// Besides, whatever the spans say, for at most a million links (256 of one span; a span with further ones has
    /// [`flag::LINKS`] all the same) and 16 MiB of ids of tool calls.
    ///
    /// # Errors
    /// If the store cannot be read.
    pub fn read(
        store: &dyn TraceStore,
        trace: TraceId,
        limit: usize,
    ) -> Result<Option<Self>, TracesError> {
        let mut gathered = Gathered::default();
        store.for_each_stored(trace, &mut |spans| {
            gathered.add(spans);
            match gathered.count() > limit || gathered.is_wasteful() {
                true => ControlFlow::Break(()),
                false => ControlFlow::Continue(()),
            }
        })?;
        if gathered.count() <= limit && !gathered.is_wasteful() {
            let total = gathered.count() as u64;
            return Ok((total > 0).then(|| gathered.outline(trace, total)));
        }
        drop(gathered);
        let part = store.trace(trace, limit)?;
        let mut gathered = Gathered::default();
        gathered.add(&part.spans);
        Ok((part.total > 0).then(|| gathered.outline(trace, part.total)))
    }

    /// How many spans and records the trace has.
    #[must_use]
    pub const fn total(&self) -> u64 {
        self.total
    }
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde's signature")]
fn as_text<S: Serializer>(nanos: &u64, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(nanos)
}
