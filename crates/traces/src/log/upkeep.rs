//! The store's own thread: flushes what was buffered, seals full segments, removes the oldest.

use std::io;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use super::segment::{self, Sealed, Tail};
use super::{Counters, Shared, State};

/// How long sealing rests after it failed.
const SEAL_AGAIN_AFTER: Duration = Duration::from_secs(5);

/// Starts the thread, which ends when the store is closed.
pub(super) fn start(shared: &Arc<Shared>) -> io::Result<JoinHandle<()>> {
    let shared = Arc::clone(shared);
    std::thread::Builder::new()
        .name("hopline-traces".into())
        .spawn(move || run(&shared))
}

fn run(shared: &Shared) {
    let mut seal_after = Instant::now();
    while wait_for_work(shared, seal_after) {
        // Its failure has been logged and counted, and concerns those who wait for it.
        let _ = shared.flush();
        if Instant::now() >= seal_after && !shared.seal_waiting() {
            seal_after = Instant::now() + SEAL_AGAIN_AFTER;
        }
        shared.remove_released();
        shared.remove_oldest();
    }
}

/// Waits until the flush interval has passed since something was appended, or until there is a segment to
/// seal; false once the store is closed.
/// An idle store costs no wake-ups.
fn wait_for_work(shared: &Shared, seal_after: Instant) -> bool {
    let mut state = shared.state.lock();
    while !state.closed && !state.unflushed {
        if state.waiting.is_empty() {
            shared.wake.wait(&mut state);
        } else if state.can_seal() || shared.wake.wait_until(&mut state, seal_after).timed_out() {
            break;
        }
    }
    let flush_at = Instant::now() + shared.options.flush_interval;
    while !state.closed && state.unflushed && !state.can_seal() {
        if shared.wake.wait_until(&mut state, flush_at).timed_out() {
            break;
        }
    }
    state.unflushed = false;
    !state.closed
}

impl Shared {
    /// Seals the segments that wait for it; false if one could not be.
    pub(super) fn seal_waiting(&self) -> bool {
        loop {
            let state = self.state.lock();
            let Some(Tail {
                segment,
                length,
                spans,
                index,
                ..
            }) = state.waiting.first()
            else {
                return true;
            };
            let (segment, length, spans) = (Arc::clone(segment), *length, *spans);
            let index = index.clone();
            drop(state);
            match segment::seal(&*self.files, &segment, length, spans, index) {
                Ok(sealed) => self.put_sealed(sealed),
                Err(error) => {
                    self.state.lock().sealing_fails = true;
                    self.room.notify_all();
                    tracing::warn!(error = %error, path = %segment.path.display(),
                        "a full segment of the trace log could not be sealed; it will be tried again");
                    return false;
                }
            }
        }
    }

    fn put_sealed(&self, sealed: Sealed) {
        let mut state = self.state.lock();
        state
            .waiting
            .retain(|tail| tail.segment.number != sealed.number);
        let place = state
            .sealed
            .partition_point(|other| other.number < sealed.number);
        state.sealed.insert(place, Arc::new(sealed));
        state.sealing_fails = false;
        drop(state);
        self.room.notify_all();
    }

    /// Removes the files of released segments that nobody reads any more.
    pub(super) fn remove_released(&self) {
        let mut state = self.state.lock();
        // Only the store itself hands out more of them, and it no longer has these.
        let gone = |segment: &mut Arc<Sealed>| Arc::strong_count(segment) == 1;
        let gone: Vec<_> = state.leaving.extract_if(.., gone).collect();
        state.folder_changed |= !gone.is_empty();
        drop(state);
        for segment in gone {
            if let Err(error) = self.files.remove(&segment.path) {
                // A later opening removes it.
                tracing::warn!(error = %error, path = %segment.path.display(),
                    "a segment of the trace log that was taken over could not be removed");
            }
        }
    }

    /// Removes the oldest sealed segments until the log fits the bytes that it may occupy, unless they are to be taken over.
    fn remove_oldest(&self) {
        if self.older.get().is_some() {
            return;
        }
        loop {
            let mut state = self.state.lock();
            let Some(oldest) = state.oldest_beyond(self.options.retained_bytes) else {
                return;
            };
            state.folder_changed = true;
            drop(state);
            if let Err(error) = self.files.remove(&oldest.path) {
                // It is gone from the store, and a later opening finds it again.
                tracing::warn!(error = %error, path = %oldest.path.display(),
                    "an old segment of the trace log could not be removed");
            }
            Counters::add(&self.counters.removed_segments, 1);
            Counters::add(&self.counters.removed_spans, oldest.trailer.spans);
            tracing::debug!(spans = oldest.trailer.spans, path = %oldest.path.display(),
                "removed the oldest segment of the trace log");
        }
    }
}

impl State {
    fn can_seal(&self) -> bool {
        !self.waiting.is_empty() && !self.sealing_fails
    }

    fn oldest_beyond(&mut self, retained: u64) -> Option<Arc<Sealed>> {
        if self.sealed.is_empty() || self.bytes() <= retained {
            return None;
        }
        Some(self.sealed.remove(0))
    }
}
