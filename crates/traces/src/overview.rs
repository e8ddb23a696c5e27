//! A trace in a few figures, told from the bare facts of its spans: however many they are, none of them is made.

use std::borrow::Cow;

use hopline_wire::span::{self, CREATION_TIME, Resource, Span, SpanName, Text, Value};
use hopline_wire::{SpanId, Timestamp, ops, text};
use serde::{Deserialize, Serialize};

use crate::path::{Arrivals, Journeys};

/// The figures of a whole trace. Serializes as `GET /api/traces/{id}?format=summary` answers it.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Overview {
    /// How many spans there are, each counted once.
    pub total: u64,
    /// How many of them failed.
    pub errors: u64,
    /// How many of them have not finished.
    pub pending: u64,
    /// How many of them miss their parent.
    pub orphans: u64,
    /// When the first began.
    pub start: Timestamp,
    /// When the last ended.
    pub end: Timestamp,
    /// Whether the end of a build is among them.
    pub ended: bool,
    /// How the events have fared.
    #[serde(flatten)]
    pub arrivals: Arrivals,
}

impl Overview {
    /// Whether nothing of a build's trace is still on its way: it has ended, every event has all its hops, and no
    /// span is open or misses its parent.
    #[must_use]
    pub const fn is_settled(&self) -> bool {
        let arrivals = &self.arrivals;
        self.ended
            && arrivals.gap_count + arrivals.under_way == 0
            && self.pending + self.orphans == 0
    }
}

/// What it takes to judge a span's part in its trace.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Facts<'a> {
    pub(crate) span_id: SpanId,
    pub(crate) parent_id: Option<SpanId>,
    /// Whether it tells of others that were dropped.
    pub(crate) tells_drops: bool,
    pub(crate) maker: Cow<'a, MakerId>,
    pub(crate) op: &'a str,
    pub(crate) start: Timestamp,
    pub(crate) end: Timestamp,
    pub(crate) pending: bool,
    pub(crate) failed: bool,
    pub(crate) event: Option<EventFacts<'a>>,
}

/// The event that a span is a hop of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct EventFacts<'a> {
    pub(crate) event_type: &'a str,
    pub(crate) command_id: &'a str,
    /// 0 if the event has no number.
    pub(crate) seq: u64,
}

impl<'a> Facts<'a> {
    pub(crate) fn of(span: &'a Span) -> Self {
        let event = span.event.as_ref().map(|keys| EventFacts {
            event_type: &keys.event_type,
            command_id: &keys.command_id,
            seq: keys.seq,
        });
        Self {
            span_id: span.span_id,
            parent_id: span.parent_id,
            tells_drops: span.name == SpanName::from(span::DROPPED),
            maker: Cow::Owned(MakerId::of(&span.resource)),
            op: &span.op,
            start: span.start,
            end: span.end,
            pending: span.pending,
            failed: span.status.is_error(),
            event,
        }
    }

    /// Whether the span is part of what holds a trace together: neither a hop of a numbered event nor one of
    /// the statements and broadcasts that hops share, which are as many as there are events.
    pub(crate) fn is_structural(&self) -> bool {
        let numbered = self.event.is_some_and(|event| event.seq > 0);
        let shared = [ops::DB_QUERY, ops::STATE_REFRESH, ops::BROADCAST].contains(&self.op);
        !numbered && !shared
    }
}

/// What tells a process from others. Little of a resource, however large that is.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub(crate) struct MakerId {
    pub(crate) service: Text,
    pub(crate) instance: Text,
    pub(crate) started: Option<Timestamp>,
    process: i64,
}

/// Names are told apart by so many of their bytes.
const NAME_BYTES: usize = 256;

impl MakerId {
    pub(crate) fn of(resource: &Resource) -> Self {
        let mut id = Self::default();
        for attribute in &resource.attributes {
            match (&*attribute.key, &attribute.value) {
                ("service.name", Value::Text(name)) => id.service = short(name),
                ("service.instance.id", Value::Text(name)) => id.instance = short(name),
                (CREATION_TIME, Value::Text(time)) => id.started = time.parse().ok(),
                ("process.pid", Value::Int(process)) => id.process = *process,
                _ => {}
            }
        }
        id
    }

    /// Whether both are processes of one place.
    pub(crate) fn is_in_place_of(&self, other: &Self) -> bool {
        self.service == other.service && self.instance == other.instance
    }
}

fn short(name: &Text) -> Text {
    match text::prefix(name, NAME_BYTES) {
        whole if whole.len() == name.len() => name.clone(),
        prefix => prefix.to_owned().into(),
    }
}

/// Gathers an overview, span by span.
#[derive(Default)]
pub(crate) struct Survey {
    figures: Overview,
    journeys: Journeys,
    /// The parent of each span that has one.
    parents: Vec<SpanId>,
}

impl Survey {
    /// Takes note of a span; each is to come once.
    pub(crate) fn add(&mut self, facts: &Facts<'_>) {
        let figures = &mut self.figures;
        let is_first = figures.total == 0;
        figures.total += 1;
        figures.errors += u64::from(facts.failed);
        figures.pending += u64::from(facts.pending);
        figures.start = match is_first {
            true => facts.start,
            false => figures.start.min(facts.start),
        };
        figures.end = figures.end.max(facts.end).max(facts.start);
        figures.ended |= facts.op == ops::PERSIST_FINALIZE;
        self.journeys.add(facts);
        self.parents.extend(facts.parent_id);
    }

    /// What was gathered. `ids` are those of all spans that came, sorted.
    pub(crate) fn overview(mut self, ids: &[SpanId]) -> Overview {
        Overview {
            orphans: count_missing(&mut self.parents, ids),
            arrivals: self.journeys.arrivals(),
            ..self.figures
        }
    }
}

/// How many of the parents are not among the sorted ids. Sorting first is quicker than as many searches.
fn count_missing(parents: &mut [SpanId], ids: &[SpanId]) -> u64 {
    parents.sort_unstable();
    let mut rest = ids;
    let mut missing = 0;
    for parent in parents {
        while let Some((id, after)) = rest.split_first()
            && id < parent
        {
            rest = after;
        }
        missing += u64::from(rest.first() != Some(parent));
    }
    missing
}
