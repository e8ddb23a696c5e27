//! Who waits for the events of which command. Bodies of files and logs are kept in no table, so whoever
//! asked for them is handed the events themselves, once they are committed.
//!
//! Nobody waits for most commands: then all of this costs an event one look at a number.

use std::collections::HashMap;
use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use bytes::Bytes;
use hopline_wire::event::EventType;
use parking_lot::Mutex;
use tokio::sync::Notify;

/// How many bytes of events may wait for one request; what comes beyond is left out.
const MAX_WAITING_BYTES: usize = 16 << 20;

/// The commands that someone waits for.
#[derive(Default)]
pub(crate) struct Answers {
    waiting: Mutex<HashMap<Arc<str>, Arc<Waiting>>>,
    count: AtomicUsize,
}

/// One command that someone waits for.
struct Waiting {
    /// The types of events that are wanted, `error` apart, which always is.
    wanted: &'static [EventType],
    state: Mutex<State>,
    changed: Notify,
    answered: Notify,
}

#[derive(Default)]
struct State {
    events: VecDeque<Bytes>,
    bytes: usize,
    last_seq: u64,
    heard: bool,
    unreachable: bool,
}

/// The far end of a wait; dropping it ends the wait.
pub(crate) struct Expected {
    answers: Arc<Answers>,
    command_id: Arc<str>,
    waiting: Arc<Waiting>,
}

/// Why no event comes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Unreachable;

impl Answers {
    /// Waits for the events of these types that answer the command.
    pub(crate) fn expect(
        self: &Arc<Self>,
        command_id: &str,
        wanted: &'static [EventType],
    ) -> Expected {
        let command_id: Arc<str> = command_id.into();
        let waiting = Arc::new(Waiting {
            wanted,
            state: Mutex::default(),
            changed: Notify::new(),
            answered: Notify::new(),
        });
        let there = self
            .waiting
            .lock()
            .insert(Arc::clone(&command_id), Arc::clone(&waiting));
        if there.is_none() {
            self.count.fetch_add(1, Ordering::Release);
        }
        Expected {
            answers: Arc::clone(self),
            command_id,
            waiting,
        }
    }

    /// Whether nobody waits for anything.
    pub(crate) fn is_idle(&self) -> bool {
        self.count.load(Ordering::Acquire) == 0
    }

    /// Whether somebody waits for events of the command.
    pub(crate) fn wants(&self, command_id: &str) -> bool {
        self.waiting.lock().contains_key(command_id)
    }

    /// Hands on a committed event to whoever waits for it. One that comes a second time, by its number, is
    /// left out.
    pub(crate) fn give(&self, command_id: &str, kind: &str, seq: Option<u64>, event: &Bytes) {
        let Some(waiting) = self.waiting.lock().get(command_id).map(Arc::clone) else {
            return;
        };
        let mut state = waiting.state.lock();
        state.heard = true;
        waiting.answered.notify_one();
        if seq.is_some_and(|seq| seq <= state.last_seq) {
            return;
        }
        state.last_seq = seq.unwrap_or(state.last_seq);
        let known = EventType::named(kind);
        let wanted =
            known.is_some_and(|kind| kind == EventType::Error || waiting.wanted.contains(&kind));
        if wanted && state.bytes + event.len() <= MAX_WAITING_BYTES {
            state.bytes += event.len();
            // A copy: the event's bytes share the memory of the whole request it came in.
            state.events.push_back(Bytes::copy_from_slice(event));
            waiting.changed.notify_one();
        }
    }
}

impl Expected {
    /// The next event.
    ///
    /// # Errors
    /// [`Unreachable`] once it is settled that the runner does not get the command.
    pub(crate) async fn next(&self) -> Result<Bytes, Unreachable> {
        loop {
            {
                let mut state = self.waiting.state.lock();
                if let Some(event) = state.events.pop_front() {
                    state.bytes -= event.len();
                    return Ok(event);
                }
                if state.unreachable {
                    return Err(Unreachable);
                }
            }
            self.waiting.changed.notified().await;
        }
    }

    /// Returns as soon as any event of the command was committed.
    pub(crate) async fn heard(&self) {
        while !self.waiting.state.lock().heard {
            self.waiting.answered.notified().await;
        }
    }

    /// Says that no answer will come.
    pub(crate) fn give_up(&self) {
        self.waiting.state.lock().unreachable = true;
        self.waiting.changed.notify_one();
    }
}

impl Drop for Expected {
    fn drop(&mut self) {
        let mut all = self.answers.waiting.lock();
        let ours = all
            .get(&self.command_id)
            .is_some_and(|there| Arc::ptr_eq(there, &self.waiting));
        if ours {
            all.remove(&self.command_id);
            self.answers.count.fetch_sub(1, Ordering::Release);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn wanted_events_are_handed_over_once_and_in_order_and_others_only_heard() {
        let answers = Arc::new(Answers::default());
        let expected = answers.expect("c", &[EventType::FileContent]);
        assert!(!answers.is_idle());
        answers.give("other", "file-content", None, &Bytes::from_static(b"0"));
        answers.give("c", "log-chunk", Some(1), &Bytes::from_static(b"1"));
        expected.heard().await;
        for _ in 0..2 {
            answers.give("c", "file-content", Some(2), &Bytes::from_static(b"2"));
        }
        answers.give("c", "error", Some(3), &Bytes::from_static(b"3"));
        assert_eq!(expected.next().await, Ok(Bytes::from_static(b"2")));
        assert_eq!(expected.next().await, Ok(Bytes::from_static(b"3")));
        expected.give_up();
        assert_eq!(expected.next().await, Err(Unreachable));
        drop(expected);
        assert!(answers.is_idle());
    }

    #[tokio::test]
    async fn what_waits_is_bounded_by_bytes() {
        let answers = Arc::new(Answers::default());
        let expected = answers.expect("c", &[EventType::LogChunk]);
        let event = Bytes::from(vec![0; MAX_WAITING_BYTES / 2]);
        for _ in 0..3 {
            answers.give("c", "log-chunk", None, &event);
        }
        assert_eq!(expected.waiting.state.lock().events.len(), 2);
    }
}
