//! The memory that requests with spans share: what their bodies take, and what is made of them.
//!
//! Two kilobytes, gzipped, may be a hundred thousand spans. So what is counted is not the requests but the bytes that
//! each turns out to need, while it turns out. Many small requests are worked on side by side; one that needs more than
//! its share waits for its turn, with what it has, and goes on alone among the large ones: side by side they would take
//! the room from each other until none had enough.

use std::cell::{Cell, RefCell};
use std::sync::Arc;
use std::time::Duration;

use tokio::runtime::Handle;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::timeout;

/// How much all requests take together, in bytes, beside the large one that has its turn: that one takes as much as
/// `Limits::memory` allows.
const SHARED: usize = 56 << 20;

/// How much of it one request may take beside its body.
const SHARE: usize = 8 << 20;

/// What a request takes of it at first, and at a time later on: so not everyone asks for every span. It also bounds how
/// many requests are under way at once.
const STEP: usize = 1 << 20;

/// How long a large request waits for its turn before its sender is told to come again.
const PATIENCE: Duration = Duration::from_secs(10);

/// The room.
pub(crate) struct SpanRoom {
    shared: Arc<Semaphore>,
    turn: Arc<Semaphore>,
}

impl Default for SpanRoom {
    fn default() -> Self {
        Self {
            shared: Arc::new(Semaphore::new(SHARED)),
            turn: Arc::new(Semaphore::new(1)),
        }
    }
}

impl SpanRoom {
    /// Room for a request whose body has at most so many bytes; none if others have it.
    pub(super) fn enter(&self, body: usize) -> Option<Taken> {
        let taken = Taken {
            shared: Arc::clone(&self.shared),
            turn: Arc::clone(&self.turn),
            held: Cell::new(0),
            share: Cell::new(STEP),
            spare: Cell::new(STEP),
            own_turn: RefCell::new(None),
        };
        taken.hold(body.saturating_add(STEP)).then_some(taken)
    }
}

/// What one request has of the room, until this is dropped.
pub(super) struct Taken {
    shared: Arc<Semaphore>,
    turn: Arc<Semaphore>,
    /// All that it has of what is shared.
    held: Cell<usize>,
    /// What it has of that beside its body, and how much of it is not used yet.
    share: Cell<usize>,
    spare: Cell<usize>,
    own_turn: RefCell<Option<OwnedSemaphorePermit>>,
}

impl Taken {
    /// Takes so many more bytes for the body, which turns out longer than was said; false if others have them.
    pub(super) fn more_body(&self, bytes: usize) -> bool {
        self.hold(bytes)
    }

    /// Takes so many more bytes, in a thread that may block; false if others do not give up their turn.
    pub(super) fn more(&self, bytes: usize) -> bool {
        if self.own_turn.borrow().is_some() {
            return true;
        }
        if self.spare.get() < bytes {
            let step = bytes.max(STEP);
            let share = self.share.get().saturating_add(step);
            if share > SHARE || !self.hold(step) {
                return self.wait_for_turn();
            }
            self.share.set(share);
            self.spare.set(self.spare.get() + step);
        }
        self.spare.set(self.spare.get() - bytes);
        true
    }

    fn wait_for_turn(&self) -> bool {
        let turn = timeout(PATIENCE, Arc::clone(&self.turn).acquire_owned());
        match Handle::current().block_on(turn) {
            Ok(Ok(turn)) => {
                *self.own_turn.borrow_mut() = Some(turn);
                true
            }
            // Nobody closes the semaphore.
            Ok(Err(_)) | Err(_) => false,
        }
    }

    fn hold(&self, bytes: usize) -> bool {
        let permits = u32::try_from(bytes).ok();
        let Some(Ok(permit)) = permits.map(|permits| self.shared.try_acquire_many(permits)) else {
            return false;
        };
        permit.forget();
        self.held.set(self.held.get() + bytes);
        true
    }
}

impl Drop for Taken {
    fn drop(&mut self) {
        self.shared.add_permits(self.held.get());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn what_is_shared_is_never_exceeded_and_comes_back() {
        let room = SpanRoom::default();
        let mut all: Vec<_> = std::iter::from_fn(|| room.enter(0)).collect();
        assert_eq!(all.len(), SHARED / STEP);
        assert!(all[0].more(STEP), "it has that already");
        all.truncate(1);
        assert!(room.enter(SHARED - STEP).is_none());
        for _ in 1..SHARE / STEP {
            for _ in 0..STEP / 1_000 {
                assert!(all[0].more(1_000));
            }
        }
        assert!(all[0].own_turn.borrow().is_none());
        assert!(room.enter(SHARED - SHARE).is_none());
        drop(all);
        assert_eq!(room.shared.available_permits(), SHARED);
    }

    #[tokio::test]
    async fn large_ones_take_turns_and_all_come_to_theirs() {
        let room = SpanRoom::default();
        let large: Vec<_> = (0..6).map(|_| room.enter(0).unwrap()).collect();
        let works = large.into_iter().map(|taken| {
            tokio::task::spawn_blocking(move || {
                let enough = (0..100_000).all(|_| taken.more(1_000));
                // Nobody else has it while this one does.
                enough && taken.turn.try_acquire().is_err()
            })
        });
        for work in works.collect::<Vec<_>>() {
            assert!(work.await.unwrap());
        }
        assert_eq!(room.shared.available_permits(), SHARED);
        assert_eq!(room.turn.available_permits(), 1);
    }
}
