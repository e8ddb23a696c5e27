//! A trace as it is stored: read once, for those who find out by themselves which of a span's records counts.

use std::ops::ControlFlow;

use hopline_wire::span::Span;
use hopline_wire::{SpanId, TraceId};

use super::Shared;
use super::handover::Stretch;
use super::read::Place;
use crate::frame::{self, Corrupt};
use crate::store::TracesError;

impl Shared {
    /// Shows all records of a trace, the oldest first.
    pub(super) fn for_each_stored(
        &self,
        trace: TraceId,
        visit: &mut dyn FnMut(&[Span]) -> ControlFlow<()>,
    ) -> Result<(), TracesError> {
        self.each_part(trace, visit, |payload, spans| {
            frame::decode(payload, |_, of| of == trace, spans)
        })
    }

    /// A span: of its records the last that is finished, else the last.
    pub(super) fn span(&self, trace: TraceId, id: SpanId) -> Result<Option<Span>, TracesError> {
        let mut found: Option<Span> = None;
        let mut take = |spans: &[Span]| {
            for span in spans.iter().filter(|span| span.span_id == id) {
                let known = found.as_ref();
                if known.is_none_or(|known| known.pending || !span.pending) {
                    found = Some(span.clone());
                }
            }
            ControlFlow::Continue(())
        };
        self.each_part(trace, &mut take, |payload, spans| {
            // Looking for it makes no span.
            let mut records = Vec::new();
            let read = frame::facts(payload, trace, |record, facts, _| {
                if facts.span_id == id {
                    records.push(record);
                }
            });
            if !records.is_empty() {
                frame::decode(payload, |record, _| records.contains(&record), spans)?;
            }
            read
        })?;
        Ok(found)
    }

    /// Visits what `made` makes of each frame that has spans of the trace, and all that was taken over.
    fn each_part(
        &self,
        trace: TraceId,
        visit: &mut dyn FnMut(&[Span]) -> ControlFlow<()>,
        made: impl Fn(&[u8], &mut Vec<Span>) -> Result<(), Corrupt>,
    ) -> Result<(), TracesError> {
        let mut spans = Vec::new();
        for place in &self.places(trace)? {
            let flow = match place.stretches() {
                Some(stretches) => each_stretch(stretches, visit)?,
                None => self.read_place(
                    place,
                    |_| true,
                    |_, payload| {
                        spans.clear();
                        self.make(place, payload, &mut spans, &made);
                        match spans.is_empty() {
                            true => ControlFlow::Continue(()),
                            false => visit(&spans),
                        }
                    },
                )?,
            };
            if flow.is_break() {
                break;
            }
        }
        Ok(())
    }

    /// Makes the spans of a frame; of a damaged one those before the damage, which is counted.
    fn make(
        &self,
        place: &Place,
        payload: Option<&[u8]>,
        spans: &mut Vec<Span>,
        made: impl Fn(&[u8], &mut Vec<Span>) -> Result<(), Corrupt>,
    ) {
        let told = match payload {
            None => Some("a frame is damaged".to_owned()),
            Some(payload) => made(payload, spans).err().map(|error| error.to_string()),
        };
        if let Some(told) = told {
            self.count_damage(place.number(), &told);
        }
    }
}

fn each_stretch(
    stretches: &[Box<dyn Stretch>],
    visit: &mut dyn FnMut(&[Span]) -> ControlFlow<()>,
) -> Result<ControlFlow<()>, TracesError> {
    for stretch in stretches {
        let flow = visit(&stretch.spans()?);
        if flow.is_break() {
            return Ok(flow);
        }
    }
    Ok(ControlFlow::Continue(()))
}
