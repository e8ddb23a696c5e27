//! The journal: the outbox's events on disk.
//!
//! **On disk.** A folder of segments ([`format`]), each beginning with a checkpoint: how all commands stand
//! ([`control`]). Behind it come frames: a command was opened, its events, it was closed, its events are settled up to a
//! number. All commands share the segments, so that one sync serves all.
//!
//! **When what is durable.** A thread of the journal's own takes whatever has come while it wrote the last group, writes
//! it with one write, syncs the file (and, for a new file, the folder), and only then hands the events on to be sent. So
//! whatever a broker has ever seen of a command is on disk, and no number is ever given twice, not even after a power
//! cut. How far events are settled is written with the next group, or after a second, and not synced for its own sake:
//! what is forgotten of it is sent again, and the server knows it for the same.
//!
//! **When a file goes.** A segment is removed when all its events are settled and another one is written; its checkpoint's
//! successor stands at the head of that one. The room that the outbox is bounded by is the segments' own size.
//!
//! **When the disk does not take it.** What failed is written again to a new segment, every half second until it
//! succeeds; meanwhile nothing is sent that is not durable, and whoever makes events is held. A group whose
//! sync failed is written again as a whole, and the sync is not repeated on the same file, since the system may have
//! dropped the bytes.
//!
//! **After a crash.** Every segment is read and its frames checked. What stands behind the last whole frame was
//! never sent and is cut off; a damaged stretch between whole frames is counted, and the events in it become one
//! `events-lost`. Numbers go on where the last whole frame of a command ended.

mod control;
mod format;
mod recover;
mod writer;

use std::collections::{BTreeMap, HashMap};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Weak};
use std::thread::JoinHandle;
use std::time::Duration;

use bytes::Bytes;
use hopline_files::{File, FileSystem};
use parking_lot::{Condvar, Mutex};

use super::entry::Entry;
pub(crate) use control::{CommandHead, ENDED_REMEMBERED, Known};
use format::{FRAME_HEADER, Kind, frame_at, read_events};
pub(crate) use recover::Recovered;
use writer::Writer;

/// How long settlements wait for a group that they can go with.
const SETTLEMENTS_WAIT: Duration = Duration::from_secs(1);

/// How long after a failed write the next is tried.
const RETRY_AFTER: Duration = Duration::from_millis(500);

/// Room in the outbox: what a segment takes of it, and what of that is of the reserve.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Room {
    pub(super) bytes: usize,
    pub(super) reserve: usize,
}

/// Where consecutive events of a command stand.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Run {
    pub(super) segment: u64,
    pub(super) offset: u64,
    /// The frame's length.
    pub(super) length: usize,
    pub(super) first_seq: u64,
    pub(super) last_seq: u64,
}

/// Consecutive events of a command, to be written.
pub(super) struct Group {
    pub(super) number: u64,
    pub(super) command_id: Arc<str>,
    pub(super) entries: Vec<Entry>,
    /// What was charged for them.
    pub(super) room: Room,
    /// What was charged of the room for what is not yet written.
    pub(super) unwritten: usize,
}

/// What is to be written, in order.
pub(super) enum Record {
    Opened(u64, Box<CommandHead>),
    Events(Group),
    Closed(u64),
}

/// Whom the journal tells what it has done.
pub(super) trait Outlet: Send + Sync {
    /// The groups are durable, and stand there.
    fn durable(&self, groups: Vec<(Group, Run)>);
    /// Files are gone that took so much.
    fn freed(&self, room: Room);
    /// The disk takes nothing, and why; or it does again.
    fn stalled(&self, error: Option<&io::Error>);
}

/// The journal. Dropped without [`Journal::stop`], it writes what it has and ends by itself.
pub(super) struct Journal {
    shared: Arc<Shared>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

struct Shared {
    files: Arc<dyn FileSystem>,
    folder: PathBuf,
    segment_bytes: u64,
    inbox: Mutex<Inbox>,
    /// There is something in the inbox.
    wake: Condvar,
    segments: Mutex<Segments>,
}

#[derive(Default)]
struct Inbox {
    records: Vec<Record>,
    /// Up to which number each command's events are settled.
    acks: HashMap<u64, u64>,
    /// A segment is to be removed, or left.
    tidy: bool,
    stopping: bool,
}

#[derive(Default)]
struct Segments {
    all: BTreeMap<u64, Segment>,
    /// The one that is written; 0 for none.
    active: u64,
}

/// A file of the journal.
struct Segment {
    path: PathBuf,
    file: Arc<dyn File>,
    /// How many of its events are not settled.
    live: u64,
    room: Room,
}

/// Why events cannot be read back.
#[derive(Debug, thiserror::Error)]
pub(super) enum ReadError {
    #[error("read the outbox: {0}")]
    Io(#[from] io::Error),
    #[error("read the outbox: a frame is damaged")]
    Damaged,
}

impl Journal {
    /// Opens the journal in `folder`, which no one else may have open; what is found counts for `capacity` bytes at
    /// most. Nothing is written before [`Journal::start`].
    ///
    /// # Errors
    /// If the folder cannot be read, or has a newer format.
    pub(super) fn open(
        files: Arc<dyn FileSystem>,
        folder: &Path,
        capacity: usize,
        segment_bytes: u64,
    ) -> io::Result<(Self, Recovered)> {
        let mut recovered = recover::recover(&*files, folder, capacity)?;
        let segments = Segments {
            all: std::mem::take(&mut recovered.segments),
            active: 0,
        };
        let shared = Shared {
            files,
            folder: folder.to_owned(),
            segment_bytes,
            inbox: Mutex::default(),
            wake: Condvar::new(),
            segments: Mutex::new(segments),
        };
        let journal = Self {
            shared: Arc::new(shared),
            thread: Mutex::default(),
        };
        Ok((journal, recovered))
    }

    /// Starts the thread that writes.
    ///
    /// # Errors
    /// If there can be no thread.
    pub(super) fn start(&self, recovered: &Recovered, outlet: Weak<dyn Outlet>) -> io::Result<()> {
        let writer = Writer::new(Arc::clone(&self.shared), outlet, recovered.control.clone());
        // What is settled in what was found is removed at once.
        self.shared.inbox.lock().tidy = !self.shared.segments.lock().all.is_empty();
        let thread = std::thread::Builder::new()
            .name("outbox".into())
            .spawn(move || writer.run())?;
        *self.thread.lock() = Some(thread);
        Ok(())
    }

    /// Takes what is to be written, in order.
    pub(super) fn write(&self, records: impl IntoIterator<Item = Record>) {
        let mut inbox = self.shared.inbox.lock();
        inbox.records.extend(records);
        drop(inbox);
        self.shared.wake.notify_one();
    }

    /// The command's events are settled up to `seq`; `by_segment` says how many of them stood where.
    pub(super) fn settled(&self, number: u64, seq: u64, by_segment: &[(u64, u64)]) {
        let mut tidy = false;
        let mut segments = self.shared.segments.lock();
        let active = segments.active;
        for (number, events) in by_segment {
            if let Some(segment) = segments.all.get_mut(number) {
                segment.live = segment.live.saturating_sub(*events);
                tidy |= segment.live == 0
                    && (*number != active
                        || segment.room.bytes as u64 >= self.shared.segment_bytes);
            }
        }
        drop(segments);
        let mut inbox = self.shared.inbox.lock();
        let first = inbox.acks.is_empty();
        let acked = inbox.acks.entry(number).or_default();
        *acked = seq.max(*acked);
        inbox.tidy |= tidy;
        drop(inbox);
        if first || tidy {
            self.shared.wake.notify_one();
        }
    }

    /// Reads events back.
    ///
    /// # Errors
    /// [`ReadError`]: they are lost.
    pub(super) fn read(&self, run: &Run) -> Result<Vec<Entry>, ReadError> {
        let segments = self.shared.segments.lock();
        let file = segments
            .all
            .get(&run.segment)
            .map(|segment| Arc::clone(&segment.file));
        drop(segments);
        let file = file.ok_or(ReadError::Damaged)?;
        let mut frame = vec![0; run.length];
        file.read_at(&mut frame, run.offset)?;
        let frame = Bytes::from(frame);
        let whole = frame_at(&frame) == Some((Kind::Events, run.length));
        let events = whole
            .then(|| read_events(&frame.slice(FRAME_HEADER..)))
            .flatten();
        Ok(events.ok_or(ReadError::Damaged)?.entries)
    }

    /// How many bytes the files have.
    pub(super) fn bytes(&self) -> usize {
        let segments = self.shared.segments.lock();
        segments
            .all
            .values()
            .map(|segment| segment.room.bytes)
            .sum()
    }

    /// Writes what there is, if the disk takes it, and ends. Blocks.
    pub(super) fn stop(&self) {
        self.shared.inbox.lock().stopping = true;
        self.shared.wake.notify_one();
        if let Some(thread) = self.thread.lock().take() {
            // A thread that panicked has ended too.
            let _ = thread.join();
        }
    }
}

impl Drop for Journal {
    fn drop(&mut self) {
        self.shared.inbox.lock().stopping = true;
        self.shared.wake.notify_one();
    }
}
