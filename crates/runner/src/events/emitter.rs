//! Numbering and writing one command's events.

use std::borrow::Cow;
use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use bytes::Bytes;
use hopline_telemetry::contract::keys;
use hopline_wire::event::EventType;
use hopline_wire::part::Part;
use hopline_wire::{SpanId, Timestamp};
use tokio::sync::{Mutex, MutexGuard};

use super::json::escape_into;
use super::oversize::{self, cut_middle};
use super::stream::EventSpan;
use super::{Members, Stamp, Stream};
use crate::mask::{self, LateMask, Mask};
use crate::outbox::{Entry, Outbox};
use crate::trace::Scope;

/// A batch of this many bytes is handed on before more is written.
const BATCH_BYTES: usize = 256 << 10;

/// The longest message of an error, in bytes of its event.
const MAX_MESSAGE_BYTES: usize = 16 << 10;

/// Makes the events of one command. Cheap to clone; the clones number one after the other.
#[derive(Clone)]
pub(crate) struct Emitter {
    inner: Arc<Inner>,
}

struct Inner {
    stream: Arc<Stream>,
    outbox: Outbox,
    max_event_bytes: Arc<AtomicUsize>,
    /// What no event tells.
    mask: LateMask,
    /// Held while a batch is written and handed on, so that the outbox gets the events in order.
    writer: Mutex<Writer>,
}

#[derive(Default)]
struct Writer {
    last_seq: u64,
    /// The events of this batch, one behind the other.
    body: Vec<u8>,
    written: Vec<Written>,
    /// Events that wait for room in the outbox. They stay here if the wait is given up, and go first next time.
    entries: VecDeque<Entry>,
    stamp: Stamp,
}

/// An event in the batch: where it ends there, and what the outbox needs to know of it.
struct Written {
    end: usize,
    seq: u64,
    kind: EventType,
    span: Option<EventSpan>,
}

/// An event would be larger than events may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the event would be larger than {limit} bytes")]
pub(crate) struct TooLarge {
    pub(crate) limit: usize,
}

/// A failure to report, as `error` and `build-failed` carry it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Failure {
    /// For programs.
    pub(crate) code: &'static str,
    /// For people.
    pub(crate) error: String,
    pub(crate) exit_code: Option<i32>,
    /// The signal's name.
    pub(crate) signal: Option<String>,
}

impl Failure {
    pub(crate) fn new(code: &'static str, error: impl Into<String>) -> Self {
        Self {
            code,
            error: error.into(),
            ..Self::default()
        }
    }
}

impl Emitter {
    pub(crate) fn new(stream: Stream, outbox: Outbox, max_event_bytes: Arc<AtomicUsize>) -> Self {
        let stream = Arc::new(stream);
        outbox.begin(&stream);
        Self::behind(0, stream, outbox, max_event_bytes)
    }

    /// Goes on behind the event `last_seq` of a command that the outbox knows.
    pub(crate) fn behind(
        last_seq: u64,
        stream: Arc<Stream>,
        outbox: Outbox,
        max_event_bytes: Arc<AtomicUsize>,
    ) -> Self {
        let writer = Writer {
            last_seq,
            ..Writer::default()
        };
        Self {
            inner: Arc::new(Inner {
                stream,
                outbox,
                max_event_bytes,
                mask: LateMask::default(),
                writer: Mutex::new(writer),
            }),
        }
    }

    /// The command's stream.
    #[cfg(test)]
    pub(crate) fn stream(&self) -> Arc<Stream> {
        Arc::clone(&self.inner.stream)
    }

    /// From now on no event tells what the mask hides.
    pub(crate) fn mask_with(&self, mask: Mask) {
        // A command has one build, and a build one mask.
        let _ = self.inner.mask.set(mask);
    }

    /// Waits until every event so far is on disk.
    pub(crate) async fn durable(&self) {
        self.inner
            .outbox
            .durable(&self.inner.stream.command_id)
            .await;
    }

    /// The span that events are caused by where nothing nearer did: `handleCommand`.
    pub(crate) fn command_span(&self) -> SpanId {
        self.inner.stream.context.span_id
    }

    /// The largest event that the broker takes, in bytes.
    pub(crate) fn max_event_bytes(&self) -> usize {
        self.inner.max_event_bytes.load(Ordering::Relaxed)
    }

    /// Begins a batch; other clones wait until it is dropped.
    pub(crate) async fn batch(&self) -> Batch<'_> {
        Batch {
            emitter: &self.inner,
            writer: self.inner.writer.lock().await,
        }
    }

    /// Sends one event; waits for room in the outbox.
    ///
    /// # Errors
    /// [`TooLarge`]; then nothing is sent, and no number used up.
    pub(crate) async fn event(
        &self,
        kind: EventType,
        cause: SpanId,
        write: impl FnOnce(&mut Members<'_>),
    ) -> Result<(), TooLarge> {
        let mut batch = self.batch().await;
        batch.event(kind, cause, write)?;
        batch.flush().await;
        Ok(())
    }

    /// Sends a failure as an event of `kind`, `error` or `build-failed`.
    pub(crate) async fn failure(&self, kind: EventType, cause: SpanId, failure: &Failure) {
        let mut batch = self.batch().await;
        batch.failure(kind, cause, failure);
        batch.flush().await;
    }

    /// Says that the command has no more events. `handled`, its `handleCommand` span, ends when the last one is
    /// written; it tells how many there were.
    pub(crate) async fn close(&self, handled: Scope) {
        let mut batch = self.batch().await;
        batch.flush().await;
        let sent = i64::try_from(batch.writer.last_seq).unwrap_or(i64::MAX);
        drop(batch);
        handled.set(keys::EVENTS_SENT, sent);
        self.inner
            .outbox
            .close(&self.inner.stream.command_id, handled);
    }
}

/// Events being written; handed on by [`flush`](Self::flush), or by whichever batch comes next.
pub(crate) struct Batch<'e> {
    emitter: &'e Inner,
    writer: MutexGuard<'e, Writer>,
}

impl Batch<'_> {
    /// Adds a `build-stream` event with the part that is `json`; several if it is larger than an event may be, or word
    /// that it was left out if it can be neither split nor cut.
    pub(crate) fn part(&mut self, cause: SpanId, json: &str) {
        let json = &*self.masked_json(json);
        if self.data(cause, json).is_ok() {
            return;
        }
        match Part::read(json) {
            Ok(part) => {
                let room = self.room(cause);
                for piece in oversize::pieces(&part, json, room) {
                    self.piece(cause, &piece);
                }
            }
            Err(bad) => self.piece(cause, &oversize::unreadable(&bad, json.len())),
        }
    }

    /// Adds the end marker of a stream of parts.
    pub(crate) fn done(&mut self, cause: SpanId) {
        self.piece(cause, "[DONE]");
    }

    /// Adds an event with what has been made to fit.
    fn piece(&mut self, cause: SpanId, json: &str) {
        if let Err(error) = self.data(cause, json) {
            // Only a broker that takes less than an event's head comes to this.
            tracing::error!("a part was not told: {error}");
        }
        if self.writer.body.len() >= BATCH_BYTES {
            self.writer.freeze();
        }
    }

    /// What an event leaves to its part: its head, with ids and baggage, is measured on the event itself. Nothing, if
    /// the head takes most of an event: pieces would carry little else.
    fn room(&mut self, cause: SpanId) -> usize {
        let start = self.writer.body.len();
        let seq = self.writer.last_seq + 1;
        let _ = self.head(EventType::BuildStream, seq, cause, Timestamp::now());
        let head = self.writer.body.len() - start;
        self.writer.body.truncate(start);
        let limit = self.max_event_bytes();
        let room = limit.saturating_sub(head + 64);
        if room < limit / 4 { 0 } else { room }
    }

    fn masked_json<'t>(&self, json: &'t str) -> Cow<'t, str> {
        let mask = self.emitter.mask.get();
        mask.map_or(json.into(), |mask| mask.json(json))
    }

    fn data(&mut self, cause: SpanId, json: &str) -> Result<(), TooLarge> {
        self.write(EventType::BuildStream, cause, |body| {
            body.extend_from_slice(b",\"data\":\"data: ");
            escape_into(json, body);
            body.extend_from_slice(b"\\n\\n\"");
        })
    }

    /// Adds an event with the members that `write` writes.
    ///
    /// # Errors
    /// [`TooLarge`]; then nothing is added.
    pub(crate) fn event(
        &mut self,
        kind: EventType,
        cause: SpanId,
        write: impl FnOnce(&mut Members<'_>),
    ) -> Result<(), TooLarge> {
        let mask = self.emitter.mask.get();
        self.write(kind, cause, |body| {
            let head = body.len();
            body.push(b',');
            write(&mut Members::new(body));
            if body.len() == head + 1 {
                body.truncate(head);
            }
            if let Some(mask) = mask
                && let Ok(members) = std::str::from_utf8(&body[head..])
                && let Cow::Owned(masked) = mask.json(members)
            {
                body.truncate(head);
                body.extend_from_slice(masked.as_bytes());
            }
        })
    }

    /// Adds a failure as an event of `kind`, `error` or `build-failed`.
    pub(crate) fn failure(&mut self, kind: EventType, cause: SpanId, failure: &Failure) {
        let mut room = MAX_MESSAGE_BYTES;
        // Before it is cut, so that no half of a secret is left.
        let whole = mask::text(&self.emitter.mask, &failure.error);
        loop {
            let error = match room {
                0 => String::new(),
                room => cut_middle(&whole, room),
            };
            let added = self.event(kind, cause, |members| {
                members.text("error", &error).text("code", failure.code);
                if let Some(code) = failure.exit_code {
                    members.value("exitCode", &code);
                }
                if let Some(signal) = &failure.signal {
                    members.text("signal", signal);
                }
            });
            match added {
                Ok(()) => return,
                // Better a shorter text than no word of the end.
                Err(_) if room > 0 => room /= 2,
                Err(error) => {
                    let trace_id = self.emitter.stream.context.trace_id;
                    return tracing::error!(%trace_id, code = failure.code, "a failure was not told: {error}");
                }
            }
        }
    }

    fn write(
        &mut self,
        kind: EventType,
        cause: SpanId,
        members: impl FnOnce(&mut Vec<u8>),
    ) -> Result<(), TooLarge> {
        let limit = self.max_event_bytes();
        let start = self.writer.body.len();
        let seq = self.writer.last_seq + 1;
        let span = self.head(kind, seq, cause, Timestamp::now());
        let writer = &mut *self.writer;
        members(&mut writer.body);
        writer.body.push(b'}');
        if writer.body.len() - start > limit {
            writer.body.truncate(start);
            return Err(TooLarge { limit });
        }
        writer.last_seq = seq;
        writer.written.push(Written {
            end: writer.body.len(),
            seq,
            kind,
            span,
        });
        Ok(())
    }

    fn head(
        &mut self,
        kind: EventType,
        seq: u64,
        cause: SpanId,
        made: Timestamp,
    ) -> Option<EventSpan> {
        let Writer { body, stamp, .. } = &mut *self.writer;
        self.emitter
            .stream
            .write_head(kind, seq, cause, made, stamp, body)
    }

    fn max_event_bytes(&self) -> usize {
        self.emitter.max_event_bytes.load(Ordering::Relaxed)
    }

    /// Whether the batch is large enough to be handed on before more is added.
    pub(crate) fn is_full(&self) -> bool {
        self.writer.body.len() >= BATCH_BYTES || !self.writer.entries.is_empty()
    }

    /// Hands the events to the outbox; waits while that is full. An event whose wait is given up goes with the
    /// next batch.
    pub(crate) async fn flush(&mut self) {
        self.writer.freeze();
        if !self.writer.entries.is_empty() {
            let id = &self.emitter.stream.command_id;
            self.emitter.outbox.push(id, &mut self.writer.entries).await;
        }
    }
}

impl Writer {
    /// Moves what is written into one piece of memory of its exact size, shared by its events.
    fn freeze(&mut self) {
        if self.written.is_empty() {
            return;
        }
        let body = Bytes::copy_from_slice(&self.body);
        let mut start = 0;
        for event in self.written.drain(..) {
            let body = body.slice(start..event.end);
            start = event.end;
            self.entries
                .push_back(Entry::new(event.seq, event.kind, body, event.span));
        }
        self.body.clear();
        // One large event is no reason to keep its room for ever.
        self.body.shrink_to(2 * BATCH_BYTES);
    }
}
