//! What waits for one client, bounded by bytes.

use std::collections::VecDeque;
use std::sync::Arc;

use parking_lot::Mutex;
use tokio::sync::Notify;

use super::batch::Batch;
use super::flush::Flush;

/// What a client is to do next.
pub(super) enum Next {
    /// Send this, unless it has it already.
    Batch(Arc<Batch>, Option<Arc<Flush>>),
    /// Send a snapshot: what waited was too much and is gone.
    Lagged,
}

/// One client's queue.
pub(super) struct Queue {
    limit: usize,
    waiting: Mutex<Waiting>,
    arrived: Notify,
}

#[derive(Default)]
struct Waiting {
    batches: VecDeque<(Arc<Batch>, Option<Arc<Flush>>)>,
    bytes: usize,
    lagged: bool,
}

impl Queue {
    pub(super) fn new(limit: usize) -> Self {
        Self {
            limit,
            waiting: Mutex::default(),
            arrived: Notify::new(),
        }
    }

    /// Adds a batch. If that is too much, all that waits goes, and the client is to take a snapshot; a batch
    /// on its own is never too much.
    pub(super) fn push(&self, batch: &Arc<Batch>, flush: Option<&Arc<Flush>>) {
        let mut waiting = self.waiting.lock();
        if !waiting.batches.is_empty() && waiting.bytes + batch.bytes() > self.limit {
            waiting.lag();
        }
        // Until the client has taken note, all that comes is in the snapshot that it will take.
        if !waiting.lagged {
            waiting.bytes += batch.bytes();
            waiting
                .batches
                .push_back((Arc::clone(batch), flush.map(Arc::clone)));
        }
        drop(waiting);
        self.arrived.notify_one();
    }

    /// Has the client take a snapshot in place of what waits.
    pub(super) fn lag(&self) {
        self.waiting.lock().lag();
        self.arrived.notify_one();
    }

    /// What the client is to do next. Dropping the future loses nothing.
    pub(super) async fn next(&self) -> Next {
        loop {
            {
                let mut waiting = self.waiting.lock();
                if std::mem::take(&mut waiting.lagged) {
                    return Next::Lagged;
                }
                if let Some((batch, flush)) = waiting.batches.pop_front() {
                    waiting.bytes -= batch.bytes();
                    return Next::Batch(batch, flush);
                }
            }
            self.arrived.notified().await;
        }
    }
}

impl Waiting {
    fn lag(&mut self) {
        *self = Self {
            lagged: true,
            ..Self::default()
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::live::hub::testing::change;
    use uuid::Uuid;

    fn batch(seq: u64, bytes: usize) -> Arc<Batch> {
        let change = Arc::new(change(Uuid::nil(), seq, &"x".repeat(bytes)));
        Arc::new(Batch::new(vec![change], None, None).unwrap())
    }

    #[tokio::test]
    async fn a_client_that_does_not_keep_up_is_told_and_then_goes_on() {
        let queue = Queue::new(1_000);
        queue.push(&batch(1, 5_000), None);
        assert!(matches!(queue.next().await, Next::Batch(batch, _) if batch.seq == 1));
        for seq in 2..10 {
            queue.push(&batch(seq, 300), None);
        }
        assert!(matches!(queue.next().await, Next::Lagged));
        queue.push(&batch(10, 1), None);
        assert!(matches!(queue.next().await, Next::Batch(batch, _) if batch.seq == 10));
    }
}
