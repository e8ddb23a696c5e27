//! The journal: the outbox's events on disk.
//!
//! **On disk.** A folder of segments ([`format`]), each beginning with a checkpoint: how all commands stand
//! ([`control`]). Behind it come frames: a command was opened, its events, it was closed, its events are settled up to a
//! number. All commands share the segments, so that one sync serves all.
//!
//! **When what is durable.** A thread of the journal's own takes whatever has come while it wrote the last group, writes
//! it with one write, syncs the file (and, for a new file, the folder), and only then hands the events on to be sent. So
//! whatever a broker has ever seen of a command is on disk, and no number is ever given twice, not even after a power
//! cut. How far events are settled is written with the next group, or after a second, and synced before a file is removed
//! for it, otherwise not: what is forgotten of it is sent again, and the server knows it for the same.
//!
//! **When a file goes.** A segment is removed when all its events are settled and a newer one is durable, whose checkpoint
//! says how the commands stand. The newest one is left for another when it is full, and also when it is settled and holds
//! room that others want. The room that the outbox is bounded by is the segments' own size.
//!
//! **When the disk does not take it.** What failed is written again to a new segment, every half second until it
//! succeeds; meanwhile nothing is sent that is not durable, and whoever makes events is held. A group whose
//! sync failed is written again as a whole, and the sync is not repeated on the same file, since the system may have
//! dropped the bytes. It may be the outbox itself that fills the disk, so files that are settled are removed then too, though
//! that much is settled can be written nowhere.
//!
//! **After a crash.** Every segment is read and its frames checked. What stands behind the last whole frame was
//! never sent and is cut off; a damaged stretch between whole frames is counted, and the events in it become one
//! `events-lost`. A checkpoint says what counts of what stands before it. Where nothing is damaged, events that are missing
//! stood in files that were removed, and so are settled. Numbers go on where the last whole frame of a command, or the
//! last settlement of it, ended. A command whose first sign is damaged is known by its events.

mod control;
mod format;
mod recover;
mod run;
mod segments;
mod writer;

use std::collections::HashMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Weak};
use std::time::Duration;

use bytes::Bytes;
use hopline_files::FileSystem;
use parking_lot::{Condvar, Mutex};
use tokio::sync::oneshot;

use super::entry::Entry;
pub(crate) use control::{CommandHead, ENDED_REMEMBERED, Known};
use format::Frames;
pub(crate) use recover::Recovered;
pub(crate) use run::Run;
use segments::Segments;
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

impl Record {
    /// The command's number.
    fn number(&self) -> u64 {
        match self {
            Self::Opened(number, _) | Self::Closed(number) => *number,
            Self::Events(group) => group.number,
        }
    }
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
    /// Closed when the thread has ended.
    ended: Mutex<Option<oneshot::Receiver<()>>>,
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
            active: recovered.checkpointed,
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
            ended: Mutex::default(),
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
        let is_any = !self.shared.segments.lock().all.is_empty();
        self.shared.inbox.lock().tidy = is_any;
        let (ends, ended) = oneshot::channel::<()>();
        std::thread::Builder::new()
            .name("outbox".into())
            .spawn(move || {
                // Dropped last, by a panic too.
                let _ends = ends;
                writer.run();
            })?;
        *self.ended.lock() = Some(ended);
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
        // First: whoever sees that a file is no longer needed must have this to write.
        let mut inbox = self.shared.inbox.lock();
        let mut wakes = inbox.acks.is_empty();
        let acked = inbox.acks.entry(number).or_default();
        *acked = seq.max(*acked);
        drop(inbox);
        let mut segments = self.shared.segments.lock();
        let tidy = segments.settled(by_segment, self.shared.segment_bytes);
        drop(segments);
        if tidy {
            self.shared.inbox.lock().tidy = true;
            wakes = true;
        }
        if wakes {
            self.shared.wake.notify_one();
        }
    }

    /// Reads back the events of the command `number` that a run has. Those that are damaged are missing among them.
    ///
    /// # Errors
    /// If the file could not be read, which may pass.
    pub(super) fn read(&self, number: u64, run: &Run) -> io::Result<Vec<Entry>> {
        let segments = self.shared.segments.lock();
        let segment = segments.all.get(&run.segment);
        let Some(file) = segment.map(|segment| Arc::clone(&segment.file)) else {
            return Ok(Vec::new());
        };
        drop(segments);
        let mut bytes = vec![0; run.length];
        file.read_at(&mut bytes, run.offset)?;
        let bytes = Bytes::from(bytes);
        let groups = Frames::new(&bytes, 0).filter_map(|frame| frame.events_of(number));
        let mut entries: Vec<Entry> = groups
            .flat_map(|events| events.entries)
            .filter(|entry| run.has(entry.seq))
            .collect();
        // Between those that were written one after the other may stand copies of some, which were carried forward.
        entries.sort_by_key(|entry| entry.seq);
        entries.dedup_by_key(|entry| entry.seq);
        Ok(entries)
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

    /// Writes what there is, if the disk takes it, and ends. Waits for that; the thread itself waits for the disk.
    pub(super) fn stop(&self) -> impl Future<Output = ()> + use<> {
        self.shared.inbox.lock().stopping = true;
        self.shared.wake.notify_one();
        let ended = self.ended.lock().take();
        async move {
            if let Some(ended) = ended {
                // Nothing is ever sent.
                let _ = ended.await;
            }
        }
    }
}

impl Drop for Journal {
    fn drop(&mut self) {
        self.shared.inbox.lock().stopping = true;
        self.shared.wake.notify_one();
    }
}
