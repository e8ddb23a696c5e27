//! Group flush: one sync for all who wait.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use super::segment::Written;
use super::{Counters, Shared};
use crate::store::TracesError;

/// How far the log is durable, and whether someone is making it more so.
#[derive(Default)]
pub(super) struct Flushing {
    /// The position up to which everything is durable, or known to be lost.
    durable: u64,
    /// Whether a caller is syncing for all.
    running: bool,
    /// How many syncs have failed.
    failures: u64,
    last_error: Option<TracesError>,
}

impl Shared {
    /// Returns once everything up to `position`, which lies in `segment`, is durable.
    pub(super) fn make_durable(&self, segment: &Written, position: u64) -> Result<(), TracesError> {
        let mut flushing = self.flushing.lock();
        loop {
            if segment.has_failed() {
                let last = flushing.last_error.clone();
                return Err(last.unwrap_or(TracesError::FlushFailed));
            }
            if flushing.durable >= position {
                return Ok(());
            }
            flushing = self.flush_or_wait(flushing);
        }
    }

    /// Makes everything appended before the call durable.
    pub(super) fn flush(&self) -> Result<(), TracesError> {
        let position = self.state.lock().position;
        let mut flushing = self.flushing.lock();
        let failures = flushing.failures;
        while flushing.durable < position {
            flushing = self.flush_or_wait(flushing);
        }
        if flushing.failures == failures {
            return Ok(());
        }
        let last = flushing.last_error.clone();
        Err(last.unwrap_or(TracesError::FlushFailed))
    }

    /// Waits for the sync that is running; if none is, runs one.
    fn flush_or_wait<'a>(
        &'a self,
        mut flushing: parking_lot::MutexGuard<'a, Flushing>,
    ) -> parking_lot::MutexGuard<'a, Flushing> {
        if flushing.running {
            self.flushed.wait(&mut flushing);
            return flushing;
        }
        flushing.running = true;
        drop(flushing);
        let (position, synced) = self.sync();
        let mut flushing = self.flushing.lock();
        flushing.running = false;
        // After a failure too: the segments concerned are marked, and nobody need wait for them.
        flushing.durable = flushing.durable.max(position);
        if let Err(error) = synced {
            tracing::error!(error = %error, "spans may not survive a power cut");
            Counters::add(&self.counters.failed_flushes, 1);
            flushing.failures += 1;
            flushing.last_error = Some(error);
        }
        self.flushed.notify_all();
        flushing
    }

    /// Syncs all that was written so far. Answers the position that this was, and how it went; segments
    /// that could not be synced are marked as failed.
    fn sync(&self) -> (u64, Result<(), TracesError>) {
        let mut state = self.state.lock();
        let position = state.position;
        let folder_changed = std::mem::take(&mut state.folder_changed);
        let unsynced: Vec<(Arc<Written>, u64)> = state
            .tails()
            .filter(|tail| tail.segment.synced.load(Ordering::Acquire) < tail.length)
            .filter(|tail| !tail.segment.has_failed())
            .map(|tail| (Arc::clone(&tail.segment), tail.length))
            .collect();
        drop(state);
        let mut result = Ok(());
        if folder_changed && let Err(source) = self.files.sync_folder(&self.folder) {
            result = Err(TracesError::io("sync", self.folder.clone(), source));
            self.state.lock().folder_changed = true;
        }
        let folder_failed = result.is_err();
        for (segment, length) in unsynced {
            if folder_failed {
                // A file that its folder may forget is not durable, whatever its own sync would say.
                segment.failed.store(true, Ordering::Release);
                continue;
            }
            match segment.file.sync() {
                Ok(()) => segment.synced.store(length, Ordering::Release),
                Err(source) => {
                    segment.failed.store(true, Ordering::Release);
                    result = Err(TracesError::io("sync", segment.path.clone(), source));
                }
            }
        }
        (position, result)
    }
}
