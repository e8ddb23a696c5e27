//! Reading a trace back.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::io;
use std::sync::Arc;

use hopline_wire::span::Span;
use hopline_wire::{SpanId, TraceId};

use super::segment::{Looked, Sealed, Written, read_frame};
use super::{Counters, Shared};
use crate::frame;
use crate::store::TracesError;

/// A tail as a reader sees it: the file, where its frames end, and those that are wanted.
struct View {
    segment: Arc<Written>,
    end: u64,
    offsets: Vec<u32>,
}

impl Shared {
    pub(super) fn trace(&self, trace: TraceId) -> Result<Vec<Span>, TracesError> {
        let state = self.state.lock();
        let sealed = state.sealed.clone();
        let tails: Vec<View> = state
            .tails()
            .map(|tail| View {
                segment: Arc::clone(&tail.segment),
                end: tail.length,
                offsets: tail.offsets(trace),
            })
            .collect();
        drop(state);
        // Oldest first, so that what was appended later comes later. A segment whose sealing is delayed
        // can be older than a sealed one.
        let mut spans = Vec::new();
        let mut tails = tails.into_iter().peekable();
        for segment in sealed {
            while let Some(tail) = tails.next_if(|tail| tail.segment.number < segment.number) {
                self.read_tail(&tail, trace, &mut spans)?;
            }
            self.read_sealed(&segment, trace, &mut spans)?;
        }
        for tail in tails {
            self.read_tail(&tail, trace, &mut spans)?;
        }
        Ok(each_once(spans))
    }

    fn read_tail(
        &self,
        tail: &View,
        trace: TraceId,
        spans: &mut Vec<Span>,
    ) -> Result<(), TracesError> {
        let segment = &tail.segment;
        let failed = |source| TracesError::io("read", segment.path.clone(), source);
        for offset in &tail.offsets {
            let payload = read_frame(&*segment.file, *offset, tail.end).map_err(failed)?;
            self.take_frame(payload.as_deref(), segment.number, trace, spans);
        }
        Ok(())
    }

    fn read_sealed(
        &self,
        segment: &Sealed,
        trace: TraceId,
        spans: &mut Vec<Span>,
    ) -> Result<(), TracesError> {
        let failed = |source| TracesError::io("read", segment.path.clone(), source);
        let file = match self.files.open(&segment.path) {
            Ok(file) => file,
            // Retention was quicker.
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            Err(error) => return Err(failed(error)),
        };
        let offsets = match segment.look_up(&*file, trace).map_err(failed)? {
            Looked::Found(offsets) => offsets,
            Looked::FoundByScan(offsets) => {
                self.count_damage(segment.number, "its index is damaged");
                offsets
            }
        };
        for offset in offsets {
            let end = segment.trailer.frames_end;
            let payload = read_frame(&*file, offset, end).map_err(failed)?;
            self.take_frame(payload.as_deref(), segment.number, trace, spans);
        }
        Ok(())
    }

    fn take_frame(
        &self,
        payload: Option<&[u8]>,
        segment: u64,
        trace: TraceId,
        spans: &mut Vec<Span>,
    ) {
        let Some(payload) = payload else {
            self.count_damage(segment, "a frame is damaged");
            return;
        };
        if let Err(error) = frame::decode(payload, Some(trace), spans) {
            self.count_damage(segment, &error.to_string());
        }
    }

    fn count_damage(&self, segment: u64, what: &str) {
        Counters::add(&self.counters.corrupt_parts, 1);
        tracing::warn!(
            segment,
            what,
            "a damaged part of the trace log was left out"
        );
    }
}

/// The spans, in the order of their appending, each once, sorted by start and then by id.
fn each_once(spans: Vec<Span>) -> Vec<Span> {
    let mut places: HashMap<SpanId, usize> = HashMap::with_capacity(spans.len());
    let mut once: Vec<Span> = Vec::with_capacity(spans.len());
    for span in spans {
        match places.entry(span.span_id) {
            Entry::Vacant(place) => {
                place.insert(once.len());
                once.push(span);
            }
            Entry::Occupied(place) => {
                let known = &mut once[*place.get()];
                if known.pending || !span.pending {
                    *known = span;
                }
            }
        }
    }
    once.sort_by_key(|span| (span.start, span.span_id));
    once
}
