//! The journal's thread: one write and one sync for all that has come meanwhile.

use std::collections::HashMap;
use std::io;
use std::sync::{Arc, Weak};
use std::time::Instant;

use hopline_files::File;

use super::control::Control;
use super::format::{Kind, file_name, put_events, put_frame, segment_header};
use super::segments::Segment;
use super::{Group, Outlet, RETRY_AFTER, Record, Room, Run, SETTLEMENTS_WAIT, Shared};

/// A buffer that a large group has grown is given back down to this.
const KEPT_BUFFER: usize = 1 << 20;

pub(super) struct Writer {
    shared: Arc<Shared>,
    outlet: Weak<dyn Outlet>,
    /// How the commands stand by what is written.
    control: Control,
    active: Option<Active>,
    last_segment: u64,
    buffer: Vec<u8>,
    /// Whether something was written to the active segment that is not synced.
    unsynced: bool,
    stalled: bool,
}

/// The segment that is written.
struct Active {
    number: u64,
    file: Arc<dyn File>,
    length: u64,
}

/// What is to be done next.
#[derive(Default)]
struct Work {
    records: Vec<Record>,
    acks: HashMap<u64, u64>,
    /// The segments whose events are all settled by these, or by earlier ones.
    done: Vec<u64>,
    tidy: bool,
    last: bool,
}

impl Work {
    fn has_events(&self) -> bool {
        self.records
            .iter()
            .any(|record| matches!(record, Record::Events(_)))
    }
}

impl Writer {
    pub(super) fn new(shared: Arc<Shared>, outlet: Weak<dyn Outlet>, control: Control) -> Self {
        let last_segment = shared.segments.lock().all.keys().next_back().copied();
        Self {
            shared,
            outlet,
            control,
            active: None,
            last_segment: last_segment.unwrap_or(0),
            buffer: Vec::new(),
            unsynced: false,
            stalled: false,
        }
    }

    pub(super) fn run(mut self) {
        loop {
            let work = self.shared.next();
            let last = work.last;
            if !self.carry_out(work) || last {
                return;
            }
        }
    }

    /// Tries until it succeeds; false if the journal is stopped before.
    fn carry_out(&mut self, work: Work) -> bool {
        if self.begins(&work) && work.records.is_empty() && !work.tidy {
            // Settlements alone are worth no new file: the next one's checkpoint has them.
            self.note(&work);
            return true;
        }
        let runs = loop {
            match self.write(&work) {
                Ok(runs) => break runs,
                Err(error) => {
                    self.active = None;
                    if self.make_room() {
                        continue;
                    }
                    self.tell_stalled(Some(&error));
                    if self.shared.is_stopped_within_retry() {
                        tracing::error!(%error, "the outbox stops with events that its disk did not take");
                        return false;
                    }
                }
            }
        };
        self.tell_stalled(None);
        self.remove_settled(&work.done);
        let groups = work.records.into_iter().filter_map(|record| match record {
            Record::Events(group) => Some(group),
            _ => None,
        });
        let groups: Vec<(Group, Run)> = groups.zip(runs).collect();
        if let Some(outlet) = self.outlet.upgrade()
            && !groups.is_empty()
        {
            outlet.durable(groups);
        }
        true
    }

    /// Whether this is written to a new segment.
    fn begins(&self, work: &Work) -> bool {
        let bytes = self.shared.segment_bytes;
        let Some(active) = &self.active else {
            return true;
        };
        active.length >= bytes || (work.tidy && self.shared.segments.lock().is_active_spent(bytes))
    }

    /// Writes a group and makes it durable, if it holds events. Says where these stand.
    fn write(&mut self, work: &Work) -> io::Result<Vec<Run>> {
        let begins = self.begins(work);
        let mut next = match self.active.take_if(|_| !begins) {
            Some(active) => active,
            None => self.begin_segment()?,
        };
        self.buffer.clear();
        let mut runs = Vec::new();
        for record in &work.records {
            let offset = next.length + self.buffer.len() as u64;
            let length = put_record(&mut self.buffer, record)?;
            if let Record::Events(group) = record {
                runs.push(Run {
                    segment: next.number,
                    offset,
                    length,
                    first_seq: group.entries.first().map_or(0, |entry| entry.seq),
                    last_seq: group.entries.last().map_or(0, |entry| entry.seq),
                });
            }
        }
        for (number, seq) in &work.acks {
            put_json(&mut self.buffer, Kind::Acked, &(number, seq))?;
        }
        let written = next.file.write_at(&self.buffer, next.length);
        let syncs = begins || work.has_events();
        let synced = written.and_then(|()| match syncs {
            true => next.file.sync(),
            false => Ok(()),
        });
        let synced = synced.and_then(|()| match begins {
            true => self.shared.files.sync_folder(&self.shared.folder),
            false => Ok(()),
        });
        if let Err(error) = synced {
            self.give_up(next, begins);
            return Err(error);
        }
        self.unsynced = !syncs && (self.unsynced || !self.buffer.is_empty());
        next.length += self.buffer.len() as u64;
        self.buffer.clear();
        self.buffer.shrink_to(KEPT_BUFFER);
        self.register(&next, work, begins);
        self.active = Some(next);
        self.note(work);
        Ok(runs)
    }

    /// Makes the next file, with its checkpoint.
    fn begin_segment(&mut self) -> io::Result<Active> {
        self.last_segment += 1;
        let number = self.last_segment;
        let path = self.shared.folder.join(file_name(number));
        let file: Arc<dyn File> = self.shared.files.create(&path)?.into();
        let mut head = segment_header().to_vec();
        let begun = put_json(&mut head, Kind::Checkpoint, &self.control)
            .and_then(|_| file.write_at(&head, 0));
        let active = Active {
            number,
            file,
            length: head.len() as u64,
        };
        match begun {
            Ok(()) => Ok(active),
            Err(error) => {
                self.give_up(active, true);
                Err(error)
            }
        }
    }

    /// A write or a sync failed: nothing more is written to this file. What of the group is in it is not counted on.
    fn give_up(&self, active: Active, is_new: bool) {
        // A disk that fails may fail here too. What is left is cut off or passed over at the next start.
        let _ = match is_new {
            true => {
                let path = self.shared.folder.join(file_name(active.number));
                self.shared.files.remove(&path)
            }
            false => active.file.cut(active.length),
        };
    }

    /// Counts what a file now holds, before anyone can settle it.
    fn register(&self, active: &Active, work: &Work, is_new: bool) {
        let mut segments = self.shared.segments.lock();
        if is_new {
            segments.active = active.number;
            let path = self.shared.folder.join(file_name(active.number));
            let segment = Segment::new(path, Arc::clone(&active.file), Room::default());
            segments.all.insert(active.number, segment);
        }
        let Some(segment) = segments.all.get_mut(&active.number) else {
            return;
        };
        for record in &work.records {
            if let Record::Events(group) = record {
                segment.add(group);
            }
        }
    }

    /// Notes how the commands stand after a group.
    fn note(&mut self, work: &Work) {
        for record in &work.records {
            match record {
                Record::Opened(number, head) => self.control.opened(*number, (**head).clone()),
                Record::Closed(number) => self.control.closed(*number),
                Record::Events(group) => self.control.written(group.number, &group.entries),
            }
        }
        for (number, seq) in &work.acks {
            self.control.acked(*number, *seq);
        }
    }

    /// Removes those of these files that nothing else keeps. Their events count as settled for the next process only once
    /// that is written, so it is synced before.
    fn remove_settled(&mut self, done: &[u64]) {
        let removed = self.shared.segments.lock().take_done(done);
        if removed.is_empty() {
            return;
        }
        if self.unsynced
            && let Some(active) = &self.active
        {
            match active.file.sync() {
                Ok(()) => self.unsynced = false,
                // The checkpoint of the next one has it. Until then no more is lost by removing them than if the power
                // went: the next process takes for settled what it finds no file of.
                Err(error) => {
                    tracing::warn!(%error, "settlements cannot be made durable");
                    self.active = None;
                }
            }
        }
        self.remove(removed);
    }

    /// Nothing can be written, perhaps since the outbox itself fills the disk: removes what is settled, whether that is
    /// written or not. Says whether there was anything.
    fn make_room(&self) -> bool {
        let mut segments = self.shared.segments.lock();
        let done = segments.done();
        let removed = segments.take_done(&done);
        drop(segments);
        let is_any = !removed.is_empty();
        self.remove(removed);
        is_any
    }

    fn remove(&self, removed: Vec<Segment>) {
        let mut freed = Room::default();
        for segment in removed {
            // At the next start it is seen that everything in it is settled.
            if let Err(error) = self.shared.files.remove(&segment.path) {
                tracing::warn!(path = %segment.path.display(), %error, "a file of the outbox that is done with cannot be removed");
            }
            freed.bytes += segment.room.bytes;
            freed.reserve += segment.room.reserve;
        }
        if let Some(outlet) = self.outlet.upgrade()
            && freed != Room::default()
        {
            outlet.freed(freed);
        }
    }

    fn tell_stalled(&mut self, error: Option<&io::Error>) {
        if std::mem::replace(&mut self.stalled, error.is_some()) == error.is_some() {
            return;
        }
        let folder = self.shared.folder.display();
        match error {
            Some(error) => {
                tracing::error!(%folder, %error, "the outbox's disk takes nothing: builds wait until it does");
            }
            None => tracing::info!(%folder, "the outbox's disk takes events again"),
        }
        if let Some(outlet) = self.outlet.upgrade() {
            outlet.stalled(error);
        }
    }
}

impl Shared {
    /// Waits for something to do.
    fn next(&self) -> Work {
        let mut inbox = self.inbox.lock();
        let mut give_up_waiting = None;
        loop {
            if !inbox.records.is_empty() || inbox.tidy || inbox.stopping {
                break;
            }
            if inbox.acks.is_empty() {
                self.wake.wait(&mut inbox);
                continue;
            }
            let until = *give_up_waiting.get_or_insert_with(|| Instant::now() + SETTLEMENTS_WAIT);
            if self.wake.wait_until(&mut inbox, until).timed_out() {
                break;
            }
        }
        let mut records = std::mem::take(&mut inbox.records);
        // Each command's side by side, in order: they are read in one go.
        records.sort_by_key(Record::number);
        Work {
            records,
            acks: std::mem::take(&mut inbox.acks),
            // Whatever was settled for these is among the settlements: those come first, and the inbox is held.
            done: self.segments.lock().done(),
            tidy: std::mem::take(&mut inbox.tidy),
            last: inbox.stopping,
        }
    }

    /// Waits for the time of the next try; true if the journal is to stop instead.
    fn is_stopped_within_retry(&self) -> bool {
        let until = Instant::now() + RETRY_AFTER;
        let mut inbox = self.inbox.lock();
        while !inbox.stopping {
            if self.wake.wait_until(&mut inbox, until).timed_out() {
                return inbox.stopping;
            }
        }
        true
    }
}

fn put_record(out: &mut Vec<u8>, record: &Record) -> io::Result<usize> {
    match record {
        Record::Opened(number, head) => put_json(out, Kind::Opened, &(number, head)),
        Record::Closed(number) => put_json(out, Kind::Closed, number),
        Record::Events(group) => Ok(put_frame(out, Kind::Events, |payload| {
            put_events(payload, group.number, &group.entries);
        })),
    }
}

fn put_json(out: &mut Vec<u8>, kind: Kind, value: &impl serde::Serialize) -> io::Result<usize> {
    let json = serde_json::to_vec(value)?;
    Ok(put_frame(out, kind, |payload| {
        payload.extend_from_slice(&json);
    }))
}
