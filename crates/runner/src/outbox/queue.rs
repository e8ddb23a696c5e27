//! The events of one command that are not settled.
//!
//! They stand in up to four places, in this order: the *front* in memory, from which they are sent; what is just being
//! *loaded*; the *back*, which is on disk only; and what the journal has not made durable yet. While there is little,
//! everything is in front.

use std::collections::VecDeque;
use std::sync::Arc;

use bytes::Bytes;
use hopline_telemetry::Tracer;
use hopline_telemetry::pending::unfinished;
use hopline_wire::Timestamp;
use hopline_wire::event::EventType;
use hopline_wire::span::Span;

use super::entry::{Entry, Frame, Taken};
use super::journal::{CommandHead, Known, Run};
use super::stored::{Back, LOAD_BYTES, Settled, Stored};
use super::{FRAME_BYTES, FRAME_EVENTS, Sent, Window};
use crate::events::{Members, Stamp, Stream};
use crate::trace::Scope;

/// The most that one command adds to a frame before the others have their turn.
const TURN_EVENTS: usize = 256;
const TURN_BYTES: usize = 128 << 10;

/// One command's events, oldest first. Those in front before `cursor` are sent on the present link.
pub(super) struct Queue {
    pub(super) stream: Arc<Stream>,
    /// The command's number in the journal.
    pub(super) number: u64,
    /// What the journal is told of the command with its first events.
    head: Option<Box<CommandHead>>,
    front: VecDeque<Entry>,
    /// The bytes of the events in front.
    front_bytes: u64,
    cursor: usize,
    /// What stands before the cursor.
    sent: Sent,
    /// The first number of what is being loaded, if anything is.
    loading: Option<u64>,
    back: Back,
    /// How many events the journal has not made durable yet.
    unwritten: u64,
    /// The highest number settled, written to a link, made durable, and shown as late.
    settled_seq: u64,
    written_seq: u64,
    last_seq: u64,
    shown_seq: u64,
    /// Whether it stands among the turns.
    has_turn: bool,
    closed: bool,
    /// Ends when the last event is written.
    handled: Option<Scope>,
}

impl Queue {
    pub(super) fn new(stream: Arc<Stream>, number: u64) -> Self {
        Self {
            head: Some(Box::new(stream.head())),
            ..Self::known(stream, number)
        }
    }

    fn known(stream: Arc<Stream>, number: u64) -> Self {
        Self {
            stream,
            number,
            head: None,
            front: VecDeque::new(),
            front_bytes: 0,
            cursor: 0,
            sent: Sent::default(),
            loading: None,
            back: Back::default(),
            unwritten: 0,
            settled_seq: 0,
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
            settled_seq: last_seq,
            written_seq: last_seq,
            last_seq,
            closed: true,
            ..Self::known(stream, 0)
        }
    }

    /// The queue of a command that an earlier process has left. What is missing between its runs is lost.
    pub(super) fn recovered(
        stream: Arc<Stream>,
        number: u64,
        known: &Known,
        runs: Vec<Run>,
    ) -> Self {
        let mut back = Back::default();
        let mut next = known.acked + 1;
        for run in runs {
            back.push_lost(next, run.first_seq - 1);
            next = run.last_seq + 1;
            back.push(Stored::Run(run));
        }
        back.push_lost(next, known.last_seq);
        Self {
            back,
            settled_seq: known.acked,
            last_seq: known.last_seq,
            ..Self::known(stream, number)
        }
    }

    /// How many events it holds.
    pub(super) fn len(&self) -> usize {
        let first = self.next_unsettled();
        let durable = (self.last_seq + 1).saturating_sub(first);
        usize::try_from(durable + self.unwritten).unwrap_or(usize::MAX)
    }

    pub(super) fn last_seq(&self) -> u64 {
        self.last_seq
    }

    /// The first number that is not settled, whether there is an event of it yet or not.
    pub(super) fn next_unsettled(&self) -> u64 {
        if let Some(first) = self.front.front() {
            return first.first_seq;
        }
        let stored = self.loading.or(self.back.first_seq());
        let first = stored.unwrap_or(self.last_seq + 1);
        // Settlements may reach into what is not loaded.
        first.max(self.settled_seq + 1)
    }

    pub(super) fn is_settled(&self) -> bool {
        self.closed && self.is_empty()
    }

    /// Whether it holds nothing.
    fn is_empty(&self) -> bool {
        self.front.is_empty() && self.is_all_in_front()
    }

    /// Whether there is nothing behind the front.
    fn is_all_in_front(&self) -> bool {
        self.loading.is_none() && self.back.is_empty() && self.unwritten == 0
    }

    /// So many events go to the journal now; gives what it is to be told of the command before.
    pub(super) fn writing(&mut self, events: usize) -> Option<Box<CommandHead>> {
        self.unwritten += events as u64;
        self.head.take()
    }

    /// Whether everything that was handed to the journal is durable.
    pub(super) fn is_durable(&self) -> bool {
        self.unwritten == 0
    }

    /// Whether events that become durable go to the front, in order.
    pub(super) fn takes_in_front(&self) -> bool {
        self.loading.is_none() && self.back.is_empty()
    }

    /// Whether its last durable events are on disk only.
    pub(super) fn is_behind(&self) -> bool {
        !self.takes_in_front()
    }

    /// Events are durable, in `run`: puts them in front, or only notes where they stand. Gives the bytes that are in
    /// memory for it.
    pub(super) fn durable(&mut self, entries: Vec<Entry>, run: Run, in_front: bool) -> u64 {
        self.unwritten -= entries.len() as u64;
        self.last_seq = run.last_seq;
        if in_front {
            return self.append(entries, run.segment);
        }
        self.back.push(Stored::Run(run));
        0
    }

    fn append(&mut self, entries: impl IntoIterator<Item = Entry>, segment: u64) -> u64 {
        let mut weight = 0;
        for mut entry in entries {
            entry.segment = segment;
            weight += entry.kept() as u64;
            self.front_bytes += entry.body.len() as u64;
            self.front.push_back(entry);
        }
        weight
    }

    /// Whether more should be loaded: while memory is full, only where there is nothing else to send.
    pub(super) fn wants_load(&self, is_memory_full: bool) -> bool {
        let to_send = self.front_bytes.saturating_sub(self.sent.bytes);
        let enough = if is_memory_full { 1 } else { LOAD_BYTES };
        self.loading.is_none() && !self.back.is_empty() && to_send < enough
    }

    /// Takes what is to be loaded next.
    pub(super) fn begin_load(&mut self, is_memory_full: bool) -> Vec<Stored> {
        let stored = self.back.take(is_memory_full);
        self.loading = stored.first().map(Stored::first_seq);
        stored
    }

    /// Takes in what was loaded, each with its entries; those that are missing are lost. Gives the bytes that are in
    /// memory for it, and what was settled meanwhile.
    pub(super) fn loaded(&mut self, read: Vec<(Stored, Vec<Entry>)>) -> (u64, Settled) {
        self.loading = None;
        let mut settled = Settled::default();
        let mut bytes = 0;
        for (stored, mut entries) in read {
            let (first, last, segment) = (stored.first_seq(), stored.last_seq(), stored.segment());
            let mut next = first.max(self.settled_seq + 1).min(last + 1);
            settled.add_lost(segment, next - first);
            entries.retain(|entry| entry.seq >= next);
            for entry in entries {
                settled.add_lost(segment, entry.seq - next);
                self.append_lost(next, entry.seq - 1);
                next = entry.seq + 1;
                bytes += self.append([entry], segment);
            }
            settled.add_lost(segment, last + 1 - next);
            self.append_lost(next, last);
        }
        self.back.settle(self.settled_seq, &mut settled);
        (bytes, settled)
    }

    /// Adds an `events-lost` for these, if there are any.
    fn append_lost(&mut self, from: u64, to: u64) {
        if from <= to {
            let lost = self.lost(from, to);
            self.append([lost], 0);
        }
    }

    /// Whether the queue is to be put among the turns; it counts as put there.
    pub(super) fn wants_turn(&mut self) -> bool {
        let wants = !self.has_turn && self.cursor < self.front.len();
        self.has_turn |= wants;
        wants
    }

    /// Whether the queue, just served, stays among the turns.
    pub(super) fn keeps_turn(&mut self) -> bool {
        self.has_turn = self.cursor < self.front.len();
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
            && let Some(entry) = self.front.get_mut(self.cursor)
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
        if self.is_written_wholly() {
            let command = Arc::clone(&self.stream.command_id);
            let handled = self.handled.take();
            frame
                .handled
                .extend(handled.map(|handled| (command, handled)));
        }
    }

    fn is_written_wholly(&self) -> bool {
        self.closed && self.cursor == self.front.len() && self.is_all_in_front()
    }

    /// No more events will come. Gives `handled` back if all are on their way already.
    pub(super) fn close(&mut self, handled: Scope) -> Option<Scope> {
        self.closed = true;
        if self.is_written_wholly() {
            return Some(handled);
        }
        self.handled = Some(handled);
        None
    }

    /// The command's span, if it waits for the last event to be written.
    pub(super) fn take_handled(&mut self) -> Option<Scope> {
        self.handled.take()
    }

    /// Takes back what a frame took that was not written after all.
    pub(super) fn take_back(&mut self, taken: Taken) {
        if taken.again {
            return;
        }
        self.written_seq = self.written_seq.min(taken.seq - 1);
        let at = self.front.partition_point(|entry| entry.seq < taken.seq);
        if let Some(entry) = self
            .front
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
        let mut settled = Settled::default();
        while self.front.front().is_some_and(|entry| entry.seq <= seq)
            && let Some(entry) = self.front.pop_front()
        {
            if self.cursor > 0 {
                self.cursor -= 1;
                self.sent.remove(&entry.body);
                all.remove(&entry.body);
            }
            self.front_bytes -= entry.body.len() as u64;
            settled.bytes += entry.kept() as u64;
            settled.add(entry.segment, 1);
        }
        let seq = seq.min(self.last_seq);
        settled.is_more = seq > self.settled_seq;
        self.settled_seq = self.settled_seq.max(seq);
        // What is loaded just now is looked at when it comes.
        if self.front.is_empty() && self.loading.is_none() {
            self.back.settle(seq, &mut settled);
        }
        settled
    }

    /// Up to which number its events are settled.
    pub(super) fn settled_seq(&self) -> u64 {
        self.settled_seq
    }

    /// Goes back to the event `seq`, if that is sent. Where it and those behind it are gone, one `events-lost` stands
    /// for them. From 0 is from the first that is left.
    pub(super) fn rewind(&mut self, seq: u64, all: &mut Sent) {
        let cursor = self.front.partition_point(|entry| entry.seq < seq);
        while self.cursor > cursor {
            self.cursor -= 1;
            let body = &self.front[self.cursor].body;
            self.sent.remove(body);
            all.remove(body);
        }
        let first = self.next_unsettled();
        if seq > 0 && seq < first && self.cursor == 0 {
            self.replace_lost(seq, first - 1);
        }
    }

    /// Puts an `events-lost` in front of everything. It is not in the journal: whoever asks for what is gone can ask
    /// again.
    fn replace_lost(&mut self, from: u64, mut to: u64) {
        if self
            .front
            .front()
            .is_some_and(|entry| entry.kind == EventType::EventsLost && entry.segment == 0)
            && let Some(earlier) = self.front.pop_front()
        {
            self.front_bytes -= earlier.body.len() as u64;
            to = earlier.seq;
        }
        let entry = self.lost(from, to);
        // Its number was used before, by the last event that it stands for.
        self.written_seq = self.written_seq.min(to - 1);
        self.front_bytes += entry.body.len() as u64;
        self.front.push_front(entry);
    }

    /// The event that stands for events that are gone.
    fn lost(&self, from: u64, to: u64) -> Entry {
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
        Entry {
            first_seq: from,
            ..Entry::new(to, EventType::EventsLost, Bytes::from(body), span)
        }
    }

    /// Adds the spans, unfinished, of events in front made before `since` that are not written yet.
    pub(super) fn show_late(
        &mut self,
        tracer: &Tracer,
        since: Timestamp,
        most: usize,
        spans: &mut Vec<Span>,
    ) {
        let unshown = self
            .front
            .partition_point(|entry| entry.seq <= self.shown_seq);
        for entry in self.front.range(unshown.max(self.cursor)..) {
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

    /// The runner stops: what it leaves is finished by its successor, the command's span among it.
    pub(super) fn leave(self) {
        if let Some(handled) = self.handled {
            handled.leave();
        }
    }
}
