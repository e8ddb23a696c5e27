//! Who may touch the database: one thread that writes, and a few connections that read.
//!
//! SQLite lets one connection write at a time; a thread of its own, fed through a bounded queue, makes that
//! the plain order of the writes, and keeps fsync off the async threads. Reads see the last commit and
//! never wait for a write.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use rusqlite::{Connection, ErrorCode, OpenFlags};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, oneshot};

use super::convert::during;
use crate::error::StateError;

/// How many writes may wait. One of them is a group commit with many events; the rest are the API's.
const WAITING_WRITES: usize = 64;
/// How many reads may run at once.
const READERS: usize = 4;
/// How long somebody else's lock is waited for.
const BUSY: Duration = Duration::from_secs(5);
/// The pages that a connection keeps in memory, in KiB.
const WRITER_CACHE_KIB: u32 = 8 << 10;
const READER_CACHE_KIB: u32 = 1 << 10;
/// The log of changes is copied into the database when it has so many pages (of 4 KiB) ...
const CHECKPOINT_PAGES: u32 = 4_000;
/// ... or when nothing has been written for so long.
const QUIET: Duration = Duration::from_millis(500);
/// The log's file shrinks to this many bytes once it was copied.
const LOG_FILE_BYTES: u32 = 64 << 20;

type Job = Box<dyn FnOnce(&mut Connection) + Send>;

/// The writing thread's queue.
pub(super) struct Writer {
    room: Arc<Semaphore>,
    queue: Mutex<Option<SyncSender<(Job, OwnedSemaphorePermit)>>>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

impl Writer {
    /// Opens the database for writing, lets `prepare` look at it, and starts the thread.
    pub(super) fn start(
        path: &Path,
        prepare: impl FnOnce(&mut Connection) -> Result<(), StateError>,
    ) -> Result<Self, StateError> {
        let mut connection = open_for_writing(path).map_err(during("open the database"))?;
        prepare(&mut connection)?;
        let (queue, jobs) = sync_channel(WAITING_WRITES);
        let thread = std::thread::Builder::new()
            .name("state-writer".into())
            .spawn(move || write(connection, &jobs))
            .map_err(|error| StateError::unavailable("start the writing thread", error))?;
        Ok(Self {
            room: Arc::new(Semaphore::new(WAITING_WRITES)),
            queue: Mutex::new(Some(queue)),
            thread: Mutex::new(Some(thread)),
        })
    }

    /// Runs `job` on the writing thread, after those that came before it.
    pub(super) async fn run<T: Send + 'static>(
        &self,
        operation: &'static str,
        job: impl FnOnce(&mut Connection) -> Result<T, StateError> + Send + 'static,
    ) -> Result<T, StateError> {
        let closed = || StateError::unavailable(operation, "the database is closed");
        let room = Arc::clone(&self.room).acquire_owned().await;
        let room = room.map_err(|_| closed())?;
        let (answer, answered) = oneshot::channel();
        let job: Job = Box::new(move |connection| {
            // Whoever asked may have gone; the write stands all the same.
            let _ = answer.send(job(connection));
        });
        // The permit says that there is room, so this does not block.
        let queue = self.queue.lock().clone().ok_or_else(closed)?;
        queue.send((job, room)).map_err(|_| closed())?;
        answered.await.unwrap_or_else(|_| Err(closed()))
    }

    /// Lets the queue run dry and ends the thread.
    pub(super) async fn close(&self) {
        drop(self.queue.lock().take());
        let Some(thread) = self.thread.lock().take() else {
            return;
        };
        // A thread that panicked has nothing left to finish.
        let _ = tokio::task::spawn_blocking(move || thread.join()).await;
    }
}

/// The life of the writing thread: it ends when the queue is closed and empty.
fn write(mut connection: Connection, jobs: &Receiver<(Job, OwnedSemaphorePermit)>) {
    let mut dirty = false;
    loop {
        let job = if dirty {
            match jobs.recv_timeout(QUIET) {
                Ok(job) => Some(job),
                Err(RecvTimeoutError::Timeout) => None,
                Err(RecvTimeoutError::Disconnected) => break,
            }
        } else {
            match jobs.recv() {
                Ok(job) => Some(job),
                Err(_) => break,
            }
        };
        let Some((job, room)) = job else {
            checkpoint(&connection);
            dirty = false;
            continue;
        };
        drop(room);
        job(&mut connection);
        dirty = true;
        // A job whose rollback failed must not leave its transaction to the next one.
        if !connection.is_autocommit()
            && let Err(error) = connection.execute_batch("ROLLBACK")
        {
            tracing::warn!(%error, "could not roll back a failed write");
        }
    }
    if let Err((_, error)) = connection.close() {
        tracing::warn!(%error, "could not close the database");
    }
}

/// Copies the log of changes into the database as far as readers allow. What cannot be copied now is
/// copied later: nothing depends on it.
fn checkpoint(connection: &Connection) {
    let copied = connection.query_row("PRAGMA wal_checkpoint(PASSIVE)", [], |_| Ok(()));
    if let Err(error) = copied {
        tracing::debug!(%error, "could not copy the log of changes into the database");
    }
}

/// Has the database keep a write-ahead log. Of several programs that make one file at once SQLite tells some that it is
/// busy without waiting as it does elsewhere.
fn write_ahead(connection: &Connection) -> rusqlite::Result<()> {
    let begun = Instant::now();
    loop {
        // The journal mode is answered with a row, other settings are not.
        let set = connection.query_row("PRAGMA journal_mode = WAL", [], |_| Ok(()));
        let busy = set
            .as_ref()
            .is_err_and(|error| error.sqlite_error_code() == Some(ErrorCode::DatabaseBusy));
        if !busy || begun.elapsed() >= BUSY {
            return set;
        }
        std::thread::sleep(Duration::from_millis(2));
    }
}

pub(super) fn open_for_writing(path: &Path) -> rusqlite::Result<Connection> {
    let connection = Connection::open_with_flags(
        path,
        OpenFlags::SQLITE_OPEN_READ_WRITE
            | OpenFlags::SQLITE_OPEN_CREATE
            | OpenFlags::SQLITE_OPEN_NO_MUTEX,
    )?;
    connection.busy_timeout(BUSY)?;
    write_ahead(&connection)?;
    connection.execute_batch(&format!(
        "PRAGMA synchronous = FULL;
         PRAGMA foreign_keys = ON;
         PRAGMA temp_store = MEMORY;
         PRAGMA cache_size = -{WRITER_CACHE_KIB};
         PRAGMA wal_autocheckpoint = {CHECKPOINT_PAGES};
         PRAGMA journal_size_limit = {LOG_FILE_BYTES};"
    ))?;
    connection.set_prepared_statement_cache_capacity(48);
    Ok(connection)
}

/// The reading connections, made when first needed.
pub(super) struct Readers {
    path: PathBuf,
    room: Arc<Semaphore>,
    idle: Arc<Mutex<Vec<Connection>>>,
}

impl Readers {
    pub(super) fn new(path: PathBuf) -> Self {
        Self {
            path,
            room: Arc::new(Semaphore::new(READERS)),
            idle: Arc::default(),
        }
    }

    /// Runs `read` on a connection of its own, on a thread that may block.
    pub(super) async fn run<T: Send + 'static>(
        &self,
        operation: &'static str,
        read: impl FnOnce(&Connection) -> rusqlite::Result<T> + Send + 'static,
    ) -> Result<T, StateError> {
        let room = Arc::clone(&self.room).acquire_owned().await;
        let room =
            room.map_err(|_| StateError::unavailable(operation, "the database is closed"))?;
        let (path, idle) = (self.path.clone(), Arc::clone(&self.idle));
        let reading = tokio::task::spawn_blocking(move || {
            let _room = room;
            let connection = idle.lock().pop();
            let connection = connection
                .map_or_else(|| open_for_reading(&path), Ok)
                .map_err(during(operation))?;
            let answer = read(&connection).map_err(during(operation));
            // One that failed is not used again.
            if answer.is_ok() {
                idle.lock().push(connection);
            }
            answer
        });
        reading
            .await
            .unwrap_or_else(|error| Err(StateError::unavailable(operation, error)))
    }

    pub(super) fn close(&self) {
        self.room.close();
        self.idle.lock().clear();
    }
}

fn open_for_reading(path: &Path) -> rusqlite::Result<Connection> {
    let connection = Connection::open_with_flags(
        path,
        OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX,
    )?;
    connection.busy_timeout(Duration::from_secs(5))?;
    connection.execute_batch(&format!(
        "PRAGMA query_only = ON; PRAGMA cache_size = -{READER_CACHE_KIB};"
    ))?;
    connection.set_prepared_statement_cache_capacity(32);
    Ok(connection)
}
