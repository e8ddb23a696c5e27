//! A `batch-update`: what changed in one build since the last flush, as one text for all clients.

use std::sync::Arc;

use axum::extract::ws::Utf8Bytes;
use hopline_processor::feed::{Change, Update, UpdateKind};
use hopline_telemetry::TraceContext;
use serde::Serialize;
use serde_json::value::RawValue;
use uuid::Uuid;

/// The changes of one build that are sent together.
#[derive(Debug)]
pub(super) struct Batch {
    /// The build.
    pub(super) session_id: Uuid,
    /// The last event before this batch, where the room knows it.
    pub(super) after: Option<u64>,
    /// The last event included.
    pub(super) seq: u64,
    /// The text to send to a client that has nothing of it yet.
    pub(super) text: Utf8Bytes,
    changes: Vec<Arc<Change>>,
    carrier: Option<Box<RawValue>>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct BatchUpdate<'a> {
    #[serde(rename = "type")]
    kind: &'static str,
    project_id: Uuid,
    session_id: Uuid,
    #[serde(skip_serializing_if = "Option::is_none")]
    after: Option<u64>,
    seq: u64,
    updates: Vec<&'a Update>,
    #[serde(rename = "_sentry", skip_serializing_if = "Option::is_none")]
    carrier: Option<&'a RawValue>,
}

impl Batch {
    /// Writes the changes, which are of one build and in order, as one text. None if there are none.
    pub(super) fn new(
        changes: Vec<Arc<Change>>,
        after: Option<u64>,
        context: Option<&TraceContext>,
    ) -> Option<Self> {
        let last = changes.last()?;
        let (session_id, seq) = (last.session_id, last.seq);
        let carrier = context.and_then(carrier_json);
        let updates = changes.iter().flat_map(|change| &change.updates);
        let text = write(last, after, updates.collect(), carrier.as_deref())?;
        Some(Self {
            session_id,
            after,
            seq,
            text,
            changes,
            carrier,
        })
    }

    /// The text for a client that has everything up to `position`; none if it has all of this.
    ///
    /// What the server decides about a build has no event of its own, so it comes under the number of the
    /// event before it. That alone is told to a client that stands there already: told twice, it harms nobody.
    pub(super) fn text_after(&self, position: u64) -> Option<Utf8Bytes> {
        if self.changes.iter().all(|change| change.seq > position) {
            return Some(self.text.clone());
        }
        let updates = self.changes.iter().flat_map(|change| {
            let at_position = change.seq == position;
            let is_new = move |update: &&Update| {
                change.seq > position || (at_position && update.kind == UpdateKind::Session)
            };
            change.updates.iter().filter(is_new)
        });
        let updates: Vec<_> = updates.collect();
        if updates.is_empty() {
            return None;
        }
        let last = self.changes.last()?;
        write(last, Some(position), updates, self.carrier.as_deref())
    }

    /// Whether it holds nothing but what was decided after the event `seq`.
    pub(super) fn is_decided_after(&self, seq: u64) -> bool {
        self.seq == seq && self.after == Some(seq)
    }

    /// How many bytes a client's queue counts for it.
    pub(super) fn bytes(&self) -> usize {
        self.text.len()
    }
}

fn carrier_json(context: &TraceContext) -> Option<Box<RawValue>> {
    let mut json = Vec::new();
    context.write_carrier(&mut json);
    RawValue::from_string(String::from_utf8(json).ok()?).ok()
}

fn write(
    last: &Change,
    after: Option<u64>,
    updates: Vec<&Update>,
    carrier: Option<&RawValue>,
) -> Option<Utf8Bytes> {
    let update = BatchUpdate {
        kind: "batch-update",
        project_id: last.project_id,
        session_id: last.session_id,
        after,
        seq: last.seq,
        updates,
        carrier,
    };
    // Strings and JSON that is there already serialise without fail.
    serde_json::to_string(&update).ok().map(Utf8Bytes::from)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::live::hub::testing::change;
    use serde_json::Value;

    /// What a text goes on from, up to where, and how many updates it has.
    fn told(text: &Utf8Bytes) -> (u64, u64, usize) {
        let json: Value = serde_json::from_str(text).unwrap();
        assert_eq!(json["type"], "batch-update");
        let number = |key: &str| json[key].as_u64().unwrap();
        let updates = json["updates"].as_array().unwrap();
        (number("after"), number("seq"), updates.len())
    }

    #[test]
    fn a_client_gets_only_what_it_has_not() {
        let session = Uuid::from_u128(1);
        let changes = [3, 5, 9].map(|seq| Arc::new(change(session, seq, "x")));
        let batch = Batch::new(changes.to_vec(), Some(2), None).unwrap();
        assert_eq!(told(&batch.text_after(2).unwrap()), (2, 9, 3));
        assert_eq!(told(&batch.text_after(5).unwrap()), (5, 9, 1));
        assert!(batch.text_after(9).is_none() && batch.text_after(12).is_none());
    }

    #[test]
    fn a_decision_is_told_to_a_client_that_has_the_event_before_it() {
        let session = Uuid::from_u128(1);
        let mut decided = change(session, 5, "x");
        decided.updates[0].kind = UpdateKind::Session;
        let changes = vec![Arc::new(change(session, 5, "x")), Arc::new(decided)];
        let batch = Batch::new(changes, Some(4), None).unwrap();
        assert_eq!(told(&batch.text_after(4).unwrap()), (4, 5, 2));
        assert_eq!(told(&batch.text_after(5).unwrap()), (5, 5, 1));
        assert!(batch.text_after(6).is_none());
    }
}
