//! The events of one command that are not settled.

use std::collections::VecDeque;
use std::sync::Arc;

use bytes::Bytes;
use hopline_telemetry::Tracer;
use hopline_telemetry::pending::unfinished;
use hopline_telemetry::tracer::fail;
use hopline_wire::Timestamp;
use hopline_wire::event::EventType;
use hopline_wire::span::Span;

use super::entry::{Entry, Frame, Taken};
use super::{FRAME_BYTES, FRAME_EVENTS, Sent, Window};
use crate::events::{Members, Stamp, Stream};
use crate::trace::Scope;

/// The most that one command adds to a frame before the others have their turn.
const TURN_EVENTS: usize = 256;
const TURN_BYTES: usize = 128 << 10;

/// One command's events, oldest first. Those before `cursor` are sent on the present link.
pub(super) struct Queue {
    pub(super) stream: Arc<Stream>,
    entries: VecDeque<Entry>,
    cursor: usize,
    /// What stands before the cursor.
    sent: Sent,
    /// The highest number ever written, taken in, and shown as late.
    written_seq: u64,
    last_seq: u64,
    shown_seq: u64,
    /// Whether it stands among the turns.
    has_turn: bool,
    closed: bool,
    /// Ends when the last event is written.
    handled: Option<Scope>,
}

/// What a settlement frees.
pub(super) struct Settled {
    pub(super) events: u64,
    pub(super) room: usize,
    pub(super) reserve: usize,
}

impl Queue {
    pub(super) fn new(stream: Arc<Stream>) -> Self {
        Self {
            stream,
            entries: VecDeque::new(),
            cursor: 0,
            sent: Sent::default(),
            written_seq: 0,
            last_seq: 0,
            shown_seq: 0,
            has_turn: false,
            closed: false,
            handled: None,
        }
    }

    /// The queue of a command all of whose events, up to `last_seq`, are gone.
    pub(super) fn ended(stream: Arc<Stream>, last_seq: u64) -> Self {
        Self {
            written_seq: last_seq,
            last_seq,
            closed: true,
            ..Self::new(stream)
        }
    }

    pub(super) fn len(&self) -> usize {
        self.entries.len()
    }

    pub(super) fn first_seq(&self) -> Option<u64> {
        self.entries.front().map(|entry| entry.seq)
    }

    pub(super) fn last_seq(&self) -> u64 {
        self.last_seq
    }

    /// The first number that is not settled, whether there is an event of it yet or not.
    pub(super) fn next_unsettled(&self) -> u64 {
        self.first_seq().unwrap_or(self.last_seq + 1)
    }

    pub(super) fn is_settled(&self) -> bool {
        self.closed && self.entries.is_empty()
    }

    /// Takes events in for which `room` bytes were charged together.
    pub(super) fn append(
        &mut self,
        entries: impl Iterator<Item = Entry>,
        room: usize,
        from_reserve: bool,
    ) {
        let mut left = room;
        for mut entry in entries {
            entry.room = entry.weight().min(left);
            left -= entry.room;
            entry.from_reserve = from_reserve;
            self.last_seq = entry.seq;
            self.entries.push_back(entry);
        }
    }

    /// Whether the queue is to be put among the turns; it counts as put there.
    pub(super) fn wants_turn(&mut self) -> bool {
        let wants = !self.has_turn && self.cursor < self.entries.len();
        self.has_turn |= wants;
        wants
    }

    /// Whether the queue, just served, stays among the turns.
    pub(super) fn keeps_turn(&mut self) -> bool {
        self.has_turn = self.cursor < self.entries.len();
        self.has_turn
    }

    /// Adds to the frame what is next, within the frame's size, the turn's and the windows.
    pub(super) fn take_turn(&mut self, frame: &mut Frame, window: &Window, all: &mut Sent) {
        let half = Window {
            events: (window.events / 2).max(1),
            bytes: window.bytes / 2,
        };
        let (mut events, mut bytes) = (0, 0);
        while events < TURN_EVENTS
            && bytes < TURN_BYTES
            && frame.events.len() < FRAME_EVENTS
            && (frame.bytes < FRAME_BYTES)
            && let Some(entry) = self.entries.get_mut(self.cursor)
        {
            if !self.sent.admits(&entry.body, &half) || !all.admits(&entry.body, window) {
                break;
            }
            self.sent.add(&entry.body);
            all.add(&entry.body);
            self.cursor += 1;
            events += 1;
            bytes += entry.body.len();
            frame.bytes += entry.body.len();
            frame.events.push(Taken {
                stream: Arc::clone(&self.stream),
                body: entry.body.clone(),
                seq: entry.seq,
                kind: entry.kind,
                span: entry.span.take(),
                again: entry.seq <= self.written_seq,
            });
            self.written_seq = self.written_seq.max(entry.seq);
        }
        if self.closed && self.cursor == self.entries.len() {
            let command = Arc::clone(&self.stream.command_id);
            let handled = self.handled.take();
            frame
                .handled
                .extend(handled.map(|handled| (command, handled)));
        }
    }

    /// No more events will come. Gives `handled` back if all are on their way already.
    pub(super) fn close(&mut self, handled: Scope) -> Option<Scope> {
        self.closed = true;
        if self.cursor == self.entries.len() {
            return Some(handled);
        }
        self.handled = Some(handled);
        None
    }

    /// Takes back what a frame took that was not written after all.
    pub(super) fn take_back(&mut self, taken: Taken) {
        if taken.again {
            return;
        }
        self.written_seq = self.written_seq.min(taken.seq - 1);
        let at = self.entries.partition_point(|entry| entry.seq < taken.seq);
        if let Some(entry) = self
            .entries
            .get_mut(at)
            .filter(|entry| entry.seq == taken.seq)
        {
            entry.span = taken.span;
        }
    }

    /// The command's span, which a frame was to end and did not.
    pub(super) fn take_back_handled(&mut self, handled: Scope) {
        self.handled = Some(handled);
    }

    /// Forgets the events up to `seq`.
    pub(super) fn settle(&mut self, seq: u64, all: &mut Sent) -> Settled {
        let mut settled = Settled {
            events: 0,
            room: 0,
            reserve: 0,
        };
        while self.entries.front().is_some_and(|entry| entry.seq <= seq)
            && let Some(entry) = self.entries.pop_front()
        {
            if self.cursor > 0 {
                self.cursor -= 1;
                self.sent.remove(&entry.body);
                all.remove(&entry.body);
            }
            settled.events += 1;
            if entry.from_reserve {
                settled.reserve += entry.room;
            } else {
                settled.room += entry.room;
            }
        }
        settled
    }

    /// Goes back to the event `seq`, if that is sent. Where it and those behind it are gone, one `events-lost` stands
    /// for them. From 0 is from the first that is left.
    pub(super) fn rewind(&mut self, seq: u64, all: &mut Sent) {
        let cursor = self.entries.partition_point(|entry| entry.seq < seq);
        while self.cursor > cursor {
            self.cursor -= 1;
            let body = &self.entries[self.cursor].body;
            self.sent.remove(body);
            all.remove(body);
        }
        let first = self.next_unsettled();
        if seq > 0 && seq < first && self.cursor == 0 {
            self.replace_lost(seq, first - 1);
        }
    }

    /// Puts an `events-lost` in front of everything. It takes no room: each command has one at most.
    fn replace_lost(&mut self, from: u64, mut to: u64) {
        if self
            .entries
            .front()
            .is_some_and(|entry| entry.kind == EventType::EventsLost)
            && let Some(earlier) = self.entries.pop_front()
        {
            to = earlier.seq;
        }
        let mut body = Vec::new();
        let cause = self.stream.context.span_id;
        let span = self.stream.write_head(
            EventType::EventsLost,
            to,
            cause,
            Timestamp::now(),
            &mut Stamp::default(),
            &mut body,
        );
        body.push(b',');
        Members::new(&mut body)
            .value("from", &from)
            .value("to", &to)
            .text("reason", "the runner no longer has these events");
        body.push(b'}');
        // Its number was used before, by the last event that it stands for.
        self.written_seq = self.written_seq.min(to - 1);
        let entry = Entry::new(to, EventType::EventsLost, Bytes::from(body), span);
        self.entries.push_front(entry);
    }

    /// Adds the spans, unfinished, of events made before `since` that are not written yet.
    pub(super) fn show_late(
        &mut self,
        tracer: &Tracer,
        since: Timestamp,
        most: usize,
        spans: &mut Vec<Span>,
    ) {
        let unshown = self
            .entries
            .partition_point(|entry| entry.seq <= self.shown_seq);
        for entry in self.entries.range(unshown.max(self.cursor)..) {
            if spans.len() >= most {
                break;
            }
            self.shown_seq = entry.seq;
            let Some(event) = &entry.span else { continue };
            if event.made > since {
                self.shown_seq = entry.seq - 1;
                break;
            }
            let span = self
                .stream
                .span(tracer, entry.kind, entry.seq, event, event.made);
            spans.push(unfinished(&span));
        }
    }

    /// Ends what waits as failed: the runner stops.
    pub(super) fn abandon(&mut self, tracer: &Tracer, now: Timestamp, spans: &mut Vec<Span>) {
        for entry in self.entries.drain(..) {
            let Some(event) = &entry.span else { continue };
            let mut span = self.stream.span(tracer, entry.kind, entry.seq, event, now);
            fail(
                &mut span,
                "runner_stopped",
                "the runner stopped before the event could be sent",
                now,
            );
            span.end = now;
            spans.push(span);
        }
        if let Some(handled) = self.handled.take() {
            handled.fail(
                "runner_stopped",
                "the runner stopped before all events were sent",
            );
            handled.end_at(now);
        }
    }
}
