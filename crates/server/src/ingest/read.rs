//! Reading a request's body, and picking out the events that somebody waits for.

use std::sync::Arc;

use bytes::Bytes;
use hopline_processor::{Incoming, Reader, Settled};
use hopline_wire::Timestamp;
use hopline_wire::limits::MAX_INGEST_EVENTS;
use hopline_wire::span::Text;
use hopline_wire::splice;

use super::too_large;
use crate::access::RunnerSender;
use crate::app::App;
use crate::errors::{ApiError, ApiResult};

/// A request's events.
#[derive(Debug)]
pub(super) struct Batch {
    /// The events, in order.
    pub(super) events: Vec<Incoming>,
    /// Whether they came in an array, whose events go by their own carriers alone.
    pub(super) is_array: bool,
}

impl Batch {
    /// Cuts a body into its events, which share its memory, and reads their heads.
    pub(super) fn read(
        body: &Bytes,
        received: Timestamp,
        sender: &RunnerSender,
    ) -> ApiResult<Self> {
        let objects = splice::split(body)
            .map_err(|error| ApiError::bad_request("bad_batch", error.to_string()))?;
        if objects.len() > MAX_INGEST_EVENTS {
            return Err(too_large());
        }
        let is_array = body.trim_ascii_start().first() == Some(&b'[');
        let mut reader = Reader::default();
        let events = objects
            .into_iter()
            .map(|object| {
                let mut event = reader.read(object, received);
                if let RunnerSender::One { runner_id, .. } = sender {
                    event.bind(Arc::clone(runner_id));
                }
                event
            })
            .collect();
        Ok(Self { events, is_array })
    }
}

/// An event that somebody waits for, until it is known whether it was settled.
pub(super) struct Awaited {
    command_id: Arc<str>,
    kind: Text,
    seq: Option<u64>,
    /// Its place in the request.
    place: usize,
    json: Bytes,
}

/// The events that somebody waits for: mostly none.
pub(super) fn awaited(app: &App, events: &[Incoming], body: &Bytes) -> Vec<Awaited> {
    if app.answers.is_idle() {
        return Vec::new();
    }
    let awaited = |(place, event): (usize, &Incoming)| {
        let command_id = event.command_id()?;
        app.answers.wants(command_id).then(|| Awaited {
            command_id: Arc::clone(command_id),
            kind: event.kind().clone(),
            seq: event.seq(),
            place,
            json: body.slice_ref(event.json().as_bytes()),
        })
    };
    events.iter().enumerate().filter_map(awaited).collect()
}

impl Awaited {
    /// Hands the event on if it was committed.
    pub(super) fn give(&self, app: &App, settled: &Settled) {
        let acked = settled
            .reply
            .acked
            .get(&*self.command_id)
            .copied()
            .unwrap_or(0);
        let is_settled = self.seq.is_none_or(|seq| seq <= acked);
        if is_settled && settled.rejection(self.place).is_none() {
            app.answers
                .give(&self.command_id, &self.kind, self.seq, &self.json);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::http::StatusCode;

    fn read(body: &str) -> ApiResult<Batch> {
        let body = Bytes::copy_from_slice(body.as_bytes());
        Batch::read(&body, Timestamp::now(), &RunnerSender::Any)
    }

    #[test]
    fn one_event_is_told_from_an_array_of_one() {
        assert!(!read(r#" {"type":"ack"}"#).unwrap().is_array);
        let array = read(r#" [{"type":"ack"}]"#).unwrap();
        assert!(array.is_array && array.events.len() == 1);
    }

    #[test]
    fn a_thousand_and_one_events_are_too_many() {
        let events = |count| format!("[{}]", vec!["{}"; count].join(","));
        assert_eq!(read(&events(1_000)).unwrap().events.len(), 1_000);
        let error = read(&events(1_001)).unwrap_err();
        assert_eq!(error.status(), StatusCode::PAYLOAD_TOO_LARGE);
    }

    #[test]
    fn what_is_no_object_is_no_batch() {
        for body in ["", "5", "nonsense", "[1]", "[{}", r#"{"a":"\xff"#] {
            assert_eq!(read(body).unwrap_err().status(), StatusCode::BAD_REQUEST);
        }
    }
}
