//! The spans of forwarding: `broker.forwardEvent.*`, from an event's arrival to the answer that ended
//! its stay.

use hopline_telemetry::contract::{Hop, keys};
use hopline_telemetry::{Tracer, tracer};
use hopline_wire::Timestamp;
use hopline_wire::span::{Attribute, EventKeys, Span, Text};

use crate::hub::{Fate, Held, Part, Trail};

/// The span of an event that is held, as it stands; none if its trace is not recorded.
pub(crate) fn open(tracer: &Tracer, command: &Text, held: &Held) -> Option<Span> {
    let Trail::Recorded {
        parent,
        span_id,
        head,
        ..
    } = &held.trail
    else {
        return None;
    };
    let keys = EventKeys {
        event_type: held.kind.clone(),
        project_id: held.project.clone(),
        command_id: command.clone(),
        seq: held.seq.unwrap_or(0),
        session_id: Text::EMPTY,
    };
    let mut span = if *head {
        let span = tracer.begin_head(Hop::ForwardEvent, held.kind.clone(), parent, held.received);
        Span {
            event: Some(keys),
            ..span
        }
    } else {
        tracer.begin_event(
            Hop::ForwardEvent,
            held.kind.clone(),
            parent,
            held.received,
            keys,
        )
    };
    span.span_id = *span_id;
    for failure in &held.failures {
        tracer::retried(&mut span, failure.number, failure.error.clone(), failure.at);
    }
    Some(span)
}

/// The spans of a request's events that were not shown yet.
pub(super) fn of_parts(tracer: &Tracer, parts: &[Part], events: usize) -> Vec<Span> {
    let spans = parts.iter().flat_map(|part| {
        let unseen = part.events.iter().filter(|held| !held.shown);
        unseen.filter_map(|held| {
            let mut span = open(tracer, &part.command, held)?;
            sent(&mut span, held, events);
            Some(span)
        })
    });
    spans.collect()
}

/// The finished span of an event; `events` is how many its last request carried.
pub(super) fn ended(
    tracer: &Tracer,
    command: &Text,
    held: &Held,
    fate: &Fate,
    at: Timestamp,
    events: usize,
) -> Option<Span> {
    let mut span = open(tracer, command, held)?;
    span.end = at;
    sent(&mut span, held, events);
    match fate {
        Fate::Settled => {
            if let Some(code) = held.replaced {
                let error = "the event cannot be passed on and was replaced by events-lost";
                tracer::fail(&mut span, code, error, at);
            }
        }
        Fate::Rejected { code, error } => tracer::fail(&mut span, code.clone(), error.clone(), at),
        Fate::SentAgain => tracer::fail(
            &mut span,
            "gap",
            "an event before it was missing, so the runner sends it again",
            at,
        ),
        Fate::Abandoned => tracer::fail(&mut span, "abandoned", "the broker ended first", at),
    }
    Some(span)
}

fn sent(span: &mut Span, held: &Held, events: usize) {
    span.attributes.reserve_exact(2);
    tracer::waited(span, held.waited);
    let events = i64::try_from(events).unwrap_or(i64::MAX);
    span.attributes
        .push(Attribute::new(keys::MESSAGE_COUNT, events));
}
