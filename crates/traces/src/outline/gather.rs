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

/// How many words may be held in vain before that matters.
const SPARE_WORDS: usize = 10_000;

/// What has been read of a trace so far.
#[derive(Default)]
pub(super) struct Gathered {
    /// What counts of each span.
    all: Vec<Kept>,
    places: hashbrown::HashMap<SpanId, usize>,
    call_bytes: usize,
    link_count: usize,
    names: Words,
    ops: Words,
    services: Words,
    kinds: Words,
    makers: HashMap<MakerId, u32>,
    offsets: Offsets,
}

struct Kept {
    /// Whether it counts until something else comes.
    pending: bool,
    what: What,
}

/// What came as a span.
enum What {
    Row(Row),
    Note(Note),
    /// It tells how many others were dropped.
    Drops(u64),
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
    /// The tool call that it is of.
    call: Option<Box<str>>,
    /// What it is linked to within the trace.
    links: Option<Arc<[SpanId]>>,
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
    /// How many spans and records there are.
    pub(super) fn count(&self) -> usize {
        self.all.len()
    }

    /// Whether most of what is held is of spans that no longer count: some were stored again and again, each time as another.
    pub(super) fn is_wasteful(&self) -> bool {
        let words = [&self.names, &self.ops, &self.services, &self.kinds];
        let words = words.iter().map(|words| words.count()).sum::<usize>();
        words + self.makers.len() > 8 * self.all.len() + SPARE_WORDS
    }

    /// Takes spans in, what came earlier before what came later. Of what comes more than once counts the last that is finished,
    /// else the last.
    pub(super) fn add(&mut self, spans: &[Span]) {
        // Spans that come together share resources; those of other parts may stand where these stood.
        let mut known: HashMap<*const Resource, (u32, u32)> = HashMap::new();
        for span in spans {
            self.offsets.note(span);
            let before = self.places.get(&span.span_id).copied();
            if span.pending && before.is_some_and(|before| !self.all[before].pending) {
                continue;
            }
            if let Some(before) = before {
                self.let_go(before);
            }
            let (service, maker) = *known
                .entry(Arc::as_ptr(&span.resource))
                .or_insert_with(|| self.maker(&span.resource));
            let kept = Kept {
                pending: span.pending,
                what: self.read(span, service, maker),
            };
            match before {
                Some(before) => self.all[before] = kept,
                None => {
                    self.places.insert(span.span_id, self.all.len());
                    self.all.push(kept);
                }
            }
        }
    }

    fn read(&mut self, span: &Span, service: u32, maker: u32) -> What {
        if span.name == SpanName::from(span::DROPPED) {
            What::Drops(dropped_spans(span))
        } else if let Some(kind) = text(span, sentry::kept::RECORD) {
            What::Note(note(span, kind, maker))
        } else {
            What::Row(self.row(span, service, maker))
        }
    }

    fn maker(&mut self, resource: &Resource) -> (u32, u32) {
        let next = u32::try_from(self.makers.len()).unwrap_or(u32::MAX);
        let maker = self.makers.entry(MakerId::of(resource)).or_insert(next);
        (self.services.number(&resource.service()), *maker)
    }

    fn row(&mut self, span: &Span, service: u32, maker: u32) -> Row {
        let name = match span.name.stem {
            "" => Cow::Borrowed(&*span.name.rest),
            _ => Cow::Owned(span.name.to_string()),
        };
        let told = |told: bool, flag: u8| if told { flag } else { 0 };
        let has_links = match &span.links {
            Links::None => false,
            Links::SameTrace(ids) => !ids.is_empty(),
            Links::Any(links) => !links.is_empty(),
        };
        Row {
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
                | told(has_links, flag::LINKS)
                | told(!span.events.is_empty(), flag::EVENTS),
            call: self.call(span),
            links: self.links(span),
        }
    }

    fn call(&mut self, span: &Span) -> Option<Box<str>> {
        let call = text(span, TOOL_CALL_ID).filter(|call| call.len() <= CALL_ID_BYTES)?;
        let bytes = self.call_bytes + call.len();
        (bytes <= MOST_CALL_BYTES).then(|| {
            self.call_bytes = bytes;
            call.into()
        })
    }

    fn links(&mut self, span: &Span) -> Option<Arc<[SpanId]>> {
        let ids = links_of(span).filter(|ids| self.link_count + ids.len() <= MOST_LINKS)?;
        self.link_count += ids.len();
        Some(ids)
    }

    /// Makes room for what takes the place of this.
    fn let_go(&mut self, at: usize) {
        if let What::Row(row) = &self.all[at].what {
            self.call_bytes -= row.call.as_ref().map_or(0, |call| call.len());
            self.link_count -= row.links.as_ref().map_or(0, |links| links.len());
        }
    }

    /// The outline of what was gathered of a trace that has `total` spans and records.
    pub(super) fn outline(mut self, trace_id: TraceId, total: u64) -> Outline {
        let left_out = total.saturating_sub(self.all.len() as u64);
        let offsets = self.offsets_by_maker();
        let (mut rows, mut notes) = (Vec::with_capacity(self.all.len()), Vec::new());
        let mut dropped: u64 = 0;
        for kept in self.all {
            match kept.what {
                What::Row(row) => rows.push(row.corrected(&offsets)),
                What::Note(note) => notes.push(note.corrected(&offsets)),
                What::Drops(count) => dropped = dropped.saturating_add(count),
            }
        }
        rows.sort_unstable_by_key(|row| (row.start, row.id));
        notes.sort_unstable_by_key(|note| (note.at, note.id));
        let starts = rows.first().map(|row| row.start);
        let start = starts.into_iter().chain(notes.first().map(|note| note.at));
        let start = start.min().unwrap_or_default();
        let by_id: hashbrown::HashMap<SpanId, i32> =
            rows.iter().map(|row| row.id).zip(0..).collect();
        let row_of = |id: SpanId| by_id.get(&id).copied();
        Outline {
            trace_id,
            start_nanos: start.as_nanos(),
            total,
            names: self.names.settle(rows.iter_mut().map(|row| &mut row.name)),
            ops: self.ops.settle(rows.iter_mut().map(|row| &mut row.op)),
            services: (self.services).settle(rows.iter_mut().map(|row| &mut row.service)),
            kinds: self.kinds.settle(rows.iter_mut().map(|row| &mut row.kind)),
            spans: columns(&rows, start, row_of),
            tool_calls: rows_of_calls(&rows),
            linked: linked(links_of_rows(&rows, row_of), row_of),
            records: records(notes, start, row_of),
            missing: (dropped + left_out > 0).then_some(Missing { dropped, left_out }),
        }
    }

    /// How far the clocks of those makers were ahead that are corrected.
    fn offsets_by_maker(&mut self) -> HashMap<u32, i64> {
        let offsets = std::mem::take(&mut self.offsets).known();
        let makers = self.makers.drain();
        makers
            .filter_map(|(maker, number)| Some((number, *offsets.get(&maker)?)))
            .collect()
    }
}

impl Row {
    /// The same by the broker's clock.
    fn corrected(mut self, offsets: &HashMap<u32, i64>) -> Self {
        if let Some(offset) = offsets.get(&self.maker) {
            self.start = corrected(self.start, *offset);
            self.flags |= flag::CORRECTED;
        }
        self
    }
}

impl Note {
    fn corrected(mut self, offsets: &HashMap<u32, i64>) -> Self {
        if let Some(offset) = offsets.get(&self.maker) {
            self.at = corrected(self.at, *offset);
        }
        self
    }
}

fn note(span: &Span, kind: &str, maker: u32) -> Note {
    let name = span.name.to_string();
    Note {
        id: span.span_id,
        parent: span.parent_id,
        at: span.start,
        maker,
        kind: cut(kind).into(),
        level: cut(text(span, "level").unwrap_or_default()).into(),
        message: cut(&name).into(),
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

fn rows_of_calls(rows: &[Row]) -> BTreeMap<Box<str>, Vec<i32>> {
    let mut calls: BTreeMap<Box<str>, Vec<i32>> = BTreeMap::new();
    for (row, number) in rows.iter().zip(0..) {
        if let Some(call) = &row.call {
            calls.entry(call.clone()).or_default().push(number);
        }
    }
    calls
}

/// Each row that has links, with its parent's and what it is linked to.
fn links_of_rows(
    rows: &[Row],
    row_of: impl Fn(SpanId) -> Option<i32>,
) -> impl Iterator<Item = (i32, Option<i32>, &[SpanId])> {
    rows.iter().zip(0..).filter_map(move |(row, number)| {
        let links = row.links.as_deref()?;
        Some((number, row.parent.and_then(&row_of), links))
    })
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
