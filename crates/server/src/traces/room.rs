//! The memory that requests with spans share: what their bodies take, and what is made of them.
//!
//! Two kilobytes, gzipped, may be a hundred thousand spans. So what is counted is not the requests but the bytes that
//! each turns out to need, while it turns out. Nobody waits for room: who gets none is told to come again.

use std::cell::Cell;
use std::sync::Arc;

use tokio::sync::Semaphore;

/// How much all requests with spans may take together, in bytes. A request of its own may take somewhat less
/// (`Limits::memory`, and its body), so that none can never be taken.
const ALL: usize = 256 << 20;

/// What a request takes at first, and at a time later on, in bytes: so not everyone asks for every span.
/// It also bounds how many requests are under way at once.
const STEP: usize = 1 << 20;

/// The room.
pub(crate) struct SpanRoom(Arc<Semaphore>);

impl Default for SpanRoom {
    fn default() -> Self {
        Self(Arc::new(Semaphore::new(ALL)))
    }
}

impl SpanRoom {
    /// Room for a request whose body has at most so many bytes; none if others have it.
    pub(super) fn enter(&self, body: usize) -> Option<Taken> {
        let taken = Taken {
            room: Arc::clone(&self.0),
            held: Cell::new(0),
            spare: Cell::new(0),
        };
        taken.hold(body.saturating_add(STEP)).then_some(())?;
        taken.spare.set(STEP);
        Some(taken)
    }
}

/// What one request has of the room, until this is dropped.
pub(super) struct Taken {
    room: Arc<Semaphore>,
    held: Cell<usize>,
    spare: Cell<usize>,
}

impl Taken {
    /// Takes so many more bytes; false if others have them.
    pub(super) fn more(&self, bytes: usize) -> bool {
        if let Some(left) = self.spare.get().checked_sub(bytes) {
            self.spare.set(left);
            return true;
        }
        // What is spare stays so for the next ones.
        let step = if bytes < STEP { STEP } else { bytes };
        if !self.hold(step) {
            return false;
        }
        self.spare.set(self.spare.get() + step - bytes);
        true
    }

    fn hold(&self, bytes: usize) -> bool {
        let permits = u32::try_from(bytes).ok();
        let Some(Ok(permit)) = permits.map(|permits| self.room.try_acquire_many(permits)) else {
            return false;
        };
        permit.forget();
        self.held.set(self.held.get() + bytes);
        true
    }
}

impl Drop for Taken {
    fn drop(&mut self) {
        self.room.add_permits(self.held.get());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_one_takes_others_get_once_it_is_gone() {
        let room = SpanRoom::default();
        let first = room.enter(10).unwrap();
        let mut small = 0;
        while first.more(1_000) {
            small += 1_000;
        }
        assert!(small > ALL - 2 * STEP && small <= ALL - 10, "{small}");
        assert!(room.enter(0).is_none());
        assert!(!first.more(STEP * 2));
        drop(first);
        assert!(room.enter(ALL - STEP).unwrap().more(STEP));
        let others: Vec<_> = (0..3).map(|_| room.enter(20 << 20).unwrap()).collect();
        assert!(others[0].more(100 << 20));
        assert!(!others[1].more(100 << 20));
        drop(others);
        assert_eq!(room.0.available_permits(), ALL);
    }
}
