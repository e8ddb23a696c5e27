//! Gathers the rows of an outline, some spans at a time, in whatever order they come.

use std::borrow::Cow;
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use hopline_wire::span::{self, Links, Resource, Span, SpanName, SpanStatus, Value};
use hopline_wire::{SpanId, Timestamp, TraceId, sentry};

use super::linked::{linked, links_of};
use super::words::{Words, cut};
use super::{Columns, Missing, NO_ROW, Outline, Record, flag};
use crate::overview::MakerId;
use crate::path::{Offsets, corrected};

/// The attribute by which a span names the tool call that it is of (OpenTelemetry's conventions).
const TOOL_CALL_ID: &str = "gen_ai.tool.call.id";

/// The attribute of [`span::DROPPED`] that says how many spans were dropped.
const DROPPED_SPANS: &str = "hopline.dropped_spans";

/// Ids of tool calls that are longer, in bytes, are no ids: no view looks for them.
const CALL_ID_BYTES: usize = 1024;

/// How many bytes of ids of tool calls are kept.
pub(super) const MOST_CALL_BYTES: usize = 16 << 20;

/// How many links are followed. Builds of ours have a few for each statement; spans of others could have any number.
pub(super) const MOST_LINKS: usize = 1_000_000;

/// What has been read of a trace so far.
#[derive(Default)]
pub(super) struct Gathered {
    rows: Vec<Row>,
    notes: Vec<Note>,
    calls: Vec<(Box<str>, SpanId)>,
    call_bytes: usize,
    /// What spans are linked to within the trace.
    links: Vec<(SpanId, Arc<[SpanId]>)>,
    link_count: usize,
    /// How many spans tell of others that were dropped, and of how many.
    notices: u64,
    dropped: u64,
    names: Words,
    ops: Words,
    services: Words,
    kinds: Words,
    makers: HashMap<MakerId, u32>,
    offsets: Offsets,
}

/// A span.
struct Row {
    id: SpanId,
    parent: Option<SpanId>,
    start: Timestamp,
    duration: u64,
    seq: u64,
    name: u32,
    op: u32,
    service: u32,
    kind: u32,
    /// The number of whoever made it.
    maker: u32,
    status: u8,
    flags: u8,
}

/// A record.
struct Note {
    id: SpanId,
    parent: Option<SpanId>,
    at: Timestamp,
    maker: u32,
    kind: Box<str>,
    level: Box<str>,
    message: Box<str>,
}

impl Gathered {
    /// Takes spans in, each of which comes once.
    pub(super) fn add(&mut self, spans: &[Span]) {
        // Spans that come together share resources; those of other parts may stand where these stood.
        let mut known: HashMap<*const Resource, (u32, u32)> = HashMap::new();
        for span in spans {
            let (service, maker) = *known
                .entry(Arc::as_ptr(&span.resource))
                .or_insert_with(|| self.maker(&span.resource));
            self.offsets.note(span);
            if span.name == SpanName::from(span::DROPPED) {
                self.notices += 1;
                self.dropped = self.dropped.saturating_add(dropped_spans(span));
            } else if let Some(kind) = text(span, sentry::kept::RECORD) {
                self.add_record(span, kind, maker);
            } else {
                self.add_row(span, service, maker);
            }
        }
    }

    fn maker(&mut self, resource: &Resource) -> (u32, u32) {
        let next = u32::try_from(self.makers.len()).unwrap_or(u32::MAX);
        let maker = self.makers.entry(MakerId::of(resource)).or_insert(next);
        (self.services.number(&resource.service()), *maker)
    }

    fn add_row(&mut self, span: &Span, service: u32, maker: u32) {
        let name = match span.name.stem {
            "" => Cow::Borrowed(&*span.name.rest),
            _ => Cow::Owned(span.name.to_string()),
        };
        let told = |told: bool, flag: u8| if told { flag } else { 0 };
        let links = match &span.links {
            Links::None => false,
            Links::SameTrace(ids) => !ids.is_empty(),
            Links::Any(links) => !links.is_empty(),
        };
        if let Some(call) = text(span, TOOL_CALL_ID)
            && call.len() <= CALL_ID_BYTES
            && self.call_bytes + call.len() <= MOST_CALL_BYTES
        {
            self.call_bytes += call.len();
            self.calls.push((call.into(), span.span_id));
        }
        if let Some(ids) = links_of(span)
            && self.link_count + ids.len() <= MOST_LINKS
        {
            self.link_count += ids.len();
            self.links.push((span.span_id, ids));
        }
        self.rows.push(Row {
            id: span.span_id,
            parent: span.parent_id,
            start: span.start,
            duration: if span.pending {
                0
            } else {
                span.duration_nanos()
            },
            seq: span.event.as_ref().map_or(0, |keys| keys.seq),
            name: self.names.number(&name),
            op: self.ops.number(&span.op),
            service,
            kind: self.kinds.number(span.kind.name().unwrap_or("unspecified")),
            maker,
            status: match span.status {
                SpanStatus::Unset => 0,
                SpanStatus::Ok => 1,
                SpanStatus::Error(_) => 2,
            },
            flags: told(span.pending, flag::PENDING)
                | told(links, flag::LINKS)
                | told(!span.events.is_empty(), flag::EVENTS),
        });
    }

    fn add_record(&mut self, span: &Span, kind: &str, maker: u32) {
        let name = span.name.to_string();
        self.notes.push(Note {
            id: span.span_id,
            parent: span.parent_id,
            at: span.start,
            maker,
            kind: cut(kind).into(),
            level: cut(text(span, "level").unwrap_or_default()).into(),
            message: cut(&name).into(),
        });
    }

    /// The outline of what was gathered of a trace that has `total` spans and records.
    pub(super) fn outline(mut self, trace_id: TraceId, total: u64) -> Outline {
        self.correct();
        let missing = self.missing(total);
        let (mut rows, mut notes) = (self.rows, self.notes);
        rows.sort_unstable_by_key(|row| (row.start, row.id));
        notes.sort_unstable_by_key(|note| (note.at, note.id));
        let starts = rows.first().map(|row| row.start);
        let start = starts.into_iter().chain(notes.first().map(|note| note.at));
        let start = start.min().unwrap_or_default();
        let by_id: hashbrown::HashMap<SpanId, i32> =
            rows.iter().map(|row| row.id).zip(0..).collect();
        let row_of = |id: SpanId| by_id.get(&id).copied();
        let parent_of = |row: i32| rows[usize::try_from(row).ok()?].parent.and_then(row_of);
        let links = self.links.into_iter().filter_map(|(id, ids)| {
            let row = row_of(id)?;
            Some((row, parent_of(row), ids))
        });
        let linked = linked(links, row_of);
        Outline {
            trace_id,
            start_nanos: start.as_nanos(),
            total,
            names: self.names.settle(rows.iter_mut().map(|row| &mut row.name)),
            ops: self.ops.settle(rows.iter_mut().map(|row| &mut row.op)),
            services: (self.services).settle(rows.iter_mut().map(|row| &mut row.service)),
            kinds: self.kinds.settle(rows.iter_mut().map(|row| &mut row.kind)),
            spans: columns(&rows, start, row_of),
            tool_calls: rows_of_calls(self.calls, row_of),
            linked,
            records: records(notes, start, row_of),
            missing,
        }
    }

    fn missing(&self, total: u64) -> Option<Missing> {
        let held = (self.rows.len() + self.notes.len()) as u64 + self.notices;
        let missing = Missing {
            dropped: self.dropped,
            left_out: total.saturating_sub(held),
        };
        (missing.dropped + missing.left_out > 0).then_some(missing)
    }

    /// Tells all times by the brokers' clocks.
    fn correct(&mut self) {
        let offsets = std::mem::take(&mut self.offsets).known();
        let makers = self.makers.drain();
        let by_maker: HashMap<u32, i64> = makers
            .filter_map(|(maker, number)| Some((number, *offsets.get(&maker)?)))
            .collect();
        if by_maker.is_empty() {
            return;
        }
        for row in &mut self.rows {
            if let Some(offset) = by_maker.get(&row.maker) {
                row.start = corrected(row.start, *offset);
                row.flags |= flag::CORRECTED;
            }
        }
        for note in &mut self.notes {
            if let Some(offset) = by_maker.get(&note.maker) {
                note.at = corrected(note.at, *offset);
            }
        }
    }
}

fn columns(rows: &[Row], start: Timestamp, row_of: impl Fn(SpanId) -> Option<i32>) -> Columns {
    let parent = |row: &Row| row.parent.map(&row_of);
    let flags = |row: &Row| match parent(row) {
        Some(None) => row.flags | flag::ORPHAN,
        _ => row.flags,
    };
    Columns {
        id: column(rows, |row| row.id),
        parent: column(rows, |row| parent(row).flatten().unwrap_or(NO_ROW)),
        name: column(rows, |row| row.name),
        op: column(rows, |row| row.op),
        service: column(rows, |row| row.service),
        kind: column(rows, |row| row.kind),
        start: column(rows, |row| row.start.nanos_since(start)),
        duration: column(rows, |row| row.duration),
        status: column(rows, |row| row.status),
        flags: column(rows, flags),
        seq: column(rows, |row| row.seq),
    }
}

fn column<T>(rows: &[Row], value: impl Fn(&Row) -> T) -> Vec<T> {
    rows.iter().map(value).collect()
}

fn rows_of_calls(
    calls: Vec<(Box<str>, SpanId)>,
    row_of: impl Fn(SpanId) -> Option<i32>,
) -> BTreeMap<Box<str>, Vec<i32>> {
    let mut rows: BTreeMap<_, Vec<i32>> = BTreeMap::new();
    for (call, span) in calls {
        rows.entry(call).or_default().extend(row_of(span));
    }
    rows.values_mut().for_each(|rows| rows.sort_unstable());
    rows
}

fn records(
    notes: Vec<Note>,
    start: Timestamp,
    row_of: impl Fn(SpanId) -> Option<i32>,
) -> Vec<Record> {
    let record = |note: Note| Record {
        id: note.id,
        parent: note.parent.and_then(&row_of).unwrap_or(NO_ROW),
        kind: note.kind,
        at: note.at.nanos_since(start),
        level: note.level,
        message: note.message,
    };
    notes.into_iter().map(record).collect()
}

fn value<'s>(span: &'s Span, key: &str) -> Option<&'s Value> {
    let mut all = span.attributes.iter();
    all.find(|own| &*own.key == key).map(|own| &own.value)
}

fn text<'s>(span: &'s Span, key: &str) -> Option<&'s str> {
    match value(span, key) {
        Some(Value::Text(text)) => Some(text),
        _ => None,
    }
}

fn dropped_spans(notice: &Span) -> u64 {
    match value(notice, DROPPED_SPANS) {
        Some(Value::Int(count)) => u64::try_from(*count).unwrap_or_default(),
        _ => 0,
    }
}
