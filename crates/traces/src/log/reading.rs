//! Reading a trace back, in memory that does not grow with its spans' size.
//!
//! A span may stand in the log more than once, and which record of it counts is known only at the end. So a
//! trace is read in passes over its frames: the first takes of each record its id and whether it is finished,
//! 16 bytes, and leaves one bit for each record: whether it counts. The next passes pick from those that count,
//! and make only the spans that are asked for. What is appended meanwhile is not seen.

use std::collections::BinaryHeap;
use std::ops::ControlFlow;

use hopline_wire::span::Span;
use hopline_wire::{SpanId, Timestamp, TraceId};

use super::Shared;
use super::read::Place;
use crate::frame;
use crate::overview::{Facts, Overview, Survey};
use crate::store::{Part, Trace, TracesError};

/// Set in an entry of the first pass if its span is finished. Above every record number.
const FINISHED: u64 = 1 << 63;

/// What comes first in a part of a trace: what holds it together, then by start.
type Rank = (bool, Timestamp, SpanId);

/// A trace whose records have been passed over once.
pub(super) struct Reading<'s> {
    shared: &'s Shared,
    trace: TraceId,
    places: Vec<Place>,
    /// The number of the first record of each frame of each place, and in the end that of the record behind the last.
    /// Records of other traces have numbers too.
    firsts: Vec<Vec<u64>>,
    once: Once,
    /// The most bytes of memory that all records met can take as spans.
    most_bytes: usize,
}

/// What the first pass leaves.
struct Once {
    /// Which records count: one for each span.
    counting: Records,
    /// Which of these are unfinished.
    unfinished: Records,
    /// The spans, sorted.
    ids: Vec<SpanId>,
    /// Whether a span is there that was finished more than once.
    is_repeated: bool,
}

impl<'s> Reading<'s> {
    /// Passes over the trace for the first time. `seen` is told of each finished span as it is met: once, unless the
    /// span was stored again.
    fn begin(
        shared: &'s Shared,
        trace: TraceId,
        mut seen: impl FnMut(&Facts<'_>),
    ) -> Result<Self, TracesError> {
        let places = shared.places(trace)?;
        let mut firsts = Vec::with_capacity(places.len());
        let mut met: Vec<(SpanId, u64)> = Vec::new();
        let mut next = 0;
        let mut most_bytes: usize = 0;
        for place in &places {
            let mut of_place = Vec::with_capacity(place.offsets.len() + 1);
            // Nothing breaks off here.
            let _ = shared.read_place(
                place,
                |_| true,
                |_, payload| {
                    of_place.push(next);
                    let first = next;
                    next += shared.meet(place, payload, trace, |record, facts, bytes| {
                        most_bytes = most_bytes.saturating_add(bytes);
                        let finished = if facts.pending { 0 } else { FINISHED };
                        met.push((facts.span_id, (first + record) | finished));
                        if !facts.pending {
                            seen(&facts);
                        }
                    });
                    ControlFlow::Continue(())
                },
            )?;
            of_place.push(next);
            firsts.push(of_place);
        }
        Ok(Self {
            shared,
            trace,
            places,
            firsts,
            once: each_once(met, next),
            most_bytes,
        })
    }

    /// The spans, at most `limit`, and no more than may be in memory.
    pub(super) fn trace(
        shared: &'s Shared,
        trace: TraceId,
        limit: usize,
    ) -> Result<Trace, TracesError> {
        let reading = Self::begin(shared, trace, |_| {})?;
        let total = reading.once.ids.len() as u64;
        let mut spans = Vec::new();
        let is_more = total > limit as u64 || reading.most_bytes > shared.options.read_bytes;
        let chosen = match is_more {
            true => &reading.choose(limit)?,
            false => &reading.once.counting,
        };
        reading.make(chosen, |made| {
            spans.append(made);
            ControlFlow::Continue(())
        })?;
        spans.sort_by_key(|span| (span.start, span.span_id));
        Ok(Trace { spans, total })
    }

    /// Shows all spans, frame by frame.
    pub(super) fn for_each(
        shared: &'s Shared,
        trace: TraceId,
        visit: &mut dyn FnMut(Part<'_>) -> ControlFlow<()>,
    ) -> Result<(), TracesError> {
        let reading = Self::begin(shared, trace, |_| {})?;
        let total = reading.once.ids.len() as u64;
        reading.make(&reading.once.counting, |spans| visit(Part { spans, total }))
    }

    /// The figures: those of finished spans from the first pass, unless some were stored again.
    pub(super) fn overview(
        shared: &'s Shared,
        trace: TraceId,
    ) -> Result<Option<Overview>, TracesError> {
        let mut survey = Survey::default();
        let reading = Self::begin(shared, trace, |facts| survey.add(facts))?;
        let once = &reading.once;
        let rest = match once.is_repeated {
            true => {
                survey = Survey::default();
                &once.counting
            }
            false => &once.unfinished,
        };
        reading.facts(rest, false, |_, facts, _| survey.add(&facts))?;
        Ok((!once.ids.is_empty()).then(|| survey.overview(&once.ids)))
    }

    /// Chooses the records of `limit` spans, or of as many as may be in memory: see
    /// [`crate::store::TraceStore::trace`].
    fn choose(&self, limit: usize) -> Result<Records, TracesError> {
        let most = self.shared.options.read_bytes;
        // The last of those chosen so far on top.
        let mut chosen: BinaryHeap<(Rank, u64, usize)> = BinaryHeap::new();
        let mut bytes = 0;
        // The first that found no room. None behind it is chosen, be it ever so small.
        let mut end: Option<Rank> = None;
        self.facts(&self.once.counting, true, |record, facts, size| {
            let rank = (!facts.is_structural(), facts.start, facts.span_id);
            if limit == 0 || end.is_some_and(|end| rank > end) {
                return;
            }
            chosen.push((rank, record, size));
            bytes += size;
            while chosen.len() > limit || (bytes > most && chosen.len() > 1) {
                let Some((rank, _, size)) = chosen.pop() else {
                    return;
                };
                bytes -= size;
                end = Some(rank);
            }
        })?;
        let mut records = Records::none_of(self.once.counting.length);
        for (_, record, _) in chosen {
            records.add(record);
        }
        Ok(records)
    }

    /// Tells the facts of these records, with their numbers and their bytes in memory: if `sized`, as near as can
    /// be, else the most that they can be.
    fn facts(
        &self,
        records: &Records,
        sized: bool,
        mut told: impl FnMut(u64, Facts<'_>, usize),
    ) -> Result<(), TracesError> {
        for (place, firsts) in self.places.iter().zip(&self.firsts) {
            // Nothing breaks off here.
            let _ = self.shared.read_place(
                place,
                |frame| is_any(records, firsts, frame),
                |frame, payload| {
                    // Damage was told of in the first pass.
                    let payload = payload.unwrap_or_default();
                    let told = |record, facts: Facts<'_>, bytes| {
                        let record = firsts[frame] + record;
                        if records.has(record) {
                            told(record, facts, bytes);
                        }
                    };
                    let _ = match sized {
                        true => frame::sized_facts(payload, self.trace, told),
                        false => frame::facts(payload, self.trace, told),
                    };
                    ControlFlow::Continue(())
                },
            )?;
        }
        Ok(())
    }

    /// Makes the spans of these records, frame by frame.
    fn make(
        &self,
        records: &Records,
        mut made: impl FnMut(&mut Vec<Span>) -> ControlFlow<()>,
    ) -> Result<(), TracesError> {
        let mut spans = Vec::new();
        for (place, firsts) in self.places.iter().zip(&self.firsts) {
            let flow = self.shared.read_place(
                place,
                |frame| is_any(records, firsts, frame),
                |frame, payload| {
                    spans.clear();
                    let wanted = |record, _| records.has(firsts[frame] + record);
                    // Damage was told of in the first pass.
                    let _ = frame::decode(payload.unwrap_or_default(), wanted, &mut spans);
                    match spans.is_empty() {
                        true => ControlFlow::Continue(()),
                        false => made(&mut spans),
                    }
                },
            )?;
            if flow.is_break() {
                break;
            }
        }
        Ok(())
    }
}

impl Shared {
    /// Passes over a frame for the first time. Answers how many records it has, and counts damage.
    fn meet(
        &self,
        place: &Place,
        payload: Option<&[u8]>,
        trace: TraceId,
        met: impl FnMut(u64, Facts<'_>, usize),
    ) -> u64 {
        let Some(payload) = payload else {
            self.count_damage(place.number(), "a frame is damaged");
            return 0;
        };
        let read = frame::contents(payload)
            .and_then(|contents| frame::facts(payload, trace, met).map(|()| contents.spans));
        read.unwrap_or_else(|error| {
            self.count_damage(place.number(), &error.to_string());
            // What was read before the damage has numbers; a record has more bytes than one.
            payload.len() as u64
        })
    }
}

/// Whether any of the records is in this frame.
fn is_any(records: &Records, firsts: &[u64], frame: usize) -> bool {
    // The firsts are fewer than the frames if a segment went while it was read.
    let ends = firsts.get(frame).zip(firsts.get(frame + 1));
    ends.is_some_and(|(first, end)| (*first..*end).any(|record| records.has(record)))
}

/// Of the records met, those that count: of each span the last that is finished, else the last.
fn each_once(mut met: Vec<(SpanId, u64)>, length: u64) -> Once {
    met.sort_unstable();
    let mut once = Once {
        counting: Records::none_of(length),
        unfinished: Records::none_of(length),
        ids: Vec::new(),
        is_repeated: false,
    };
    for same in met.chunk_by(|a, b| a.0 == b.0) {
        let Some((id, entry)) = same.last() else {
            continue;
        };
        once.ids.push(*id);
        once.counting.add(entry & !FINISHED);
        if entry & FINISHED == 0 {
            once.unfinished.add(*entry);
        }
        let finished = same.iter().filter(|(_, entry)| entry & FINISHED != 0);
        once.is_repeated |= finished.count() > 1;
    }
    once
}

/// Some of the records: a bit for each.
struct Records {
    bits: Vec<u64>,
    length: u64,
}

impl Records {
    fn none_of(length: u64) -> Self {
        let words = usize::try_from(length.div_ceil(64)).unwrap_or(usize::MAX);
        Self {
            bits: vec![0; words],
            length,
        }
    }

    fn place(record: u64) -> (usize, u64) {
        let word = usize::try_from(record / 64).unwrap_or(usize::MAX);
        (word, 1 << (record % 64))
    }

    fn add(&mut self, record: u64) {
        let (word, bit) = Self::place(record);
        if let Some(word) = self.bits.get_mut(word) {
            *word |= bit;
        }
    }

    fn has(&self, record: u64) -> bool {
        let (word, bit) = Self::place(record);
        self.bits.get(word).is_some_and(|word| word & bit != 0)
    }
}
