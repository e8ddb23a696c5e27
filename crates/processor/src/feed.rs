//! The change feed: what was committed, to whoever follows a build.
//!
//! A subscriber has a queue of its own, bounded by bytes. One that does not keep up loses what waits and is
//! told so ([`Delivery::Lagged`]); it takes a snapshot and goes on. Publishing never waits, and for what
//! nobody follows nothing is even built.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Weak};

use hopline_telemetry::TraceContext;
use hopline_wire::span::EventKeys;
use hopline_wire::{SpanId, Timestamp};
use parking_lot::{Mutex, RwLock};
use serde::Serialize;
use serde_json::value::RawValue;
use tokio::sync::Notify;
use uuid::Uuid;

/// How many bytes of changes wait for one subscriber.
const QUEUE_BYTES: usize = 4 << 20;

/// The kinds of updates that browsers know.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum UpdateKind {
    /// The whole state.
    StateUpdate,
    /// A tool call as it now is.
    ToolCall,
    /// The plan as it now is.
    TodoUpdate,
    /// More of a text.
    TextDelta,
    /// The session's own row as it now is.
    Session,
}

/// One update, as it stands in a `batch-update`.
#[derive(Debug, Clone, Serialize)]
pub struct Update {
    /// What it is.
    #[serde(rename = "type")]
    pub kind: UpdateKind,
    /// What it says.
    pub data: Box<RawValue>,
    /// When the event that caused it was made.
    pub timestamp: Timestamp,
}

/// What one commit changed in one build.
#[derive(Debug)]
pub struct Change {
    /// The build's project.
    pub project_id: Uuid,
    /// The build.
    pub session_id: Uuid,
    /// The last event before it.
    pub after: u64,
    /// The last event included.
    pub seq: u64,
    /// The updates, in order.
    pub updates: Vec<Update>,
    /// Whether to flush at once: the plan or the build's status changed.
    pub urgent: bool,
    /// The traces of the events, the recorded ones with their persist spans.
    pub traces: Vec<ChangeTrace>,
}

/// A trace whose events caused a change.
#[derive(Debug, Clone)]
pub struct ChangeTrace {
    /// Where the trace stands: its first persist span in the change; as it came if it is not recorded.
    pub context: TraceContext,
    /// Its other persist spans in the change.
    pub others: Vec<SpanId>,
    /// What all its events have in common: project, command and build.
    pub event: EventKeys,
}

impl Change {
    fn bytes(&self) -> usize {
        let each = |update: &Update| update.data.get().len() + 64;
        self.updates.iter().map(each).sum::<usize>() + 256
    }
}

/// What to follow.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Interest {
    /// One build.
    Session(Uuid),
    /// All builds of a project.
    Project(Uuid),
}

/// What a subscriber gets.
#[derive(Debug, Clone)]
pub enum Delivery {
    /// A change.
    Change(Arc<Change>),
    /// It did not keep up: changes were left out, and it needs a snapshot.
    Lagged,
}

/// Where changes are published; cheap to clone.
#[derive(Clone, Default)]
pub struct Feed {
    subscribers: Arc<RwLock<HashMap<Interest, Vec<Weak<Queue>>>>>,
}

#[derive(Default)]
struct Queue {
    waiting: Mutex<Waiting>,
    arrived: Notify,
}

#[derive(Default)]
struct Waiting {
    changes: VecDeque<Arc<Change>>,
    bytes: usize,
    lagged: bool,
    /// How far the subscriber knows each build, once it was told of it. Two may tell of a build: the task of its command
    /// here, and whoever reads what another server has committed.
    told: HashMap<Uuid, u64>,
}

/// A subscriber's end. Dropping it ends the subscription.
pub struct Subscription {
    queue: Arc<Queue>,
    interest: Interest,
    feed: Feed,
}

impl Feed {
    /// Begins to follow. A snapshot taken after this call and the changes received leave no hole between
    /// them; changes at or below the snapshot's `seq` are in it.
    #[must_use]
    pub fn subscribe(&self, interest: Interest) -> Subscription {
        let queue = Arc::new(Queue::default());
        let mut subscribers = self.subscribers.write();
        let queues = subscribers.entry(interest).or_default();
        queues.push(Arc::downgrade(&queue));
        Subscription {
            queue,
            interest,
            feed: self.clone(),
        }
    }

    /// Whether anybody follows the build or its project.
    pub(crate) fn is_followed(&self, project_id: Uuid, session_id: Uuid) -> bool {
        let subscribers = self.subscribers.read();
        !subscribers.is_empty()
            && (subscribers.contains_key(&Interest::Session(session_id))
                || subscribers.contains_key(&Interest::Project(project_id)))
    }

    /// Hands the change to everyone who follows.
    pub(crate) fn publish(&self, change: Change) {
        let bytes = change.bytes();
        let change = Arc::new(change);
        self.each(change.project_id, change.session_id, |queue| {
            queue.push(&change, bytes);
        });
    }

    /// Tells everyone who follows that up to the event `seq` there were changes for which nothing was built, and what they
    /// have read of the build may be older: they began to follow while one was being committed, or another server did so.
    pub(crate) fn left_out(&self, project_id: Uuid, session_id: Uuid, seq: u64) {
        self.each(project_id, session_id, |queue| queue.lag(session_id, seq));
    }

    /// Tells everyone that anything may have changed unnoticed.
    pub(crate) fn lost_track(&self) {
        let subscribers = self.subscribers.read();
        for queue in subscribers.values().flatten().filter_map(Weak::upgrade) {
            queue.waiting.lock().lag();
            queue.arrived.notify_one();
        }
    }

    fn each(&self, project_id: Uuid, session_id: Uuid, tell: impl Fn(&Queue)) {
        let interests = [Interest::Session(session_id), Interest::Project(project_id)];
        let subscribers = self.subscribers.read();
        let queues = interests
            .iter()
            .filter_map(|interest| subscribers.get(interest));
        for queue in queues.flatten().filter_map(Weak::upgrade) {
            tell(&queue);
        }
    }
}

impl Queue {
    fn push(&self, change: &Arc<Change>, bytes: usize) {
        let mut waiting = self.waiting.lock();
        let told = waiting.told.insert(change.session_id, change.seq);
        if let Some(told) = told {
            // Told already, by the other one of the two who may.
            if change.after < told && change.seq <= told {
                waiting.told.insert(change.session_id, told);
                return;
            }
            // What lies between was committed elsewhere; so the snapshot that is taken now has it, and this too.
            if change.after != told {
                waiting.lag();
                drop(waiting);
                self.arrived.notify_one();
                return;
            }
        }
        if change.updates.is_empty() {
            return;
        }
        if waiting.bytes + bytes > QUEUE_BYTES {
            waiting.lag();
        }
        // What comes before the subscriber has taken note of its lag is in the snapshot that it will take.
        if !waiting.lagged {
            waiting.bytes += bytes;
            waiting.changes.push_back(Arc::clone(change));
        }
        drop(waiting);
        self.arrived.notify_one();
    }

    fn lag(&self, session_id: Uuid, seq: u64) {
        let mut waiting = self.waiting.lock();
        waiting.lag();
        let told = waiting.told.entry(session_id).or_default();
        *told = seq.max(*told);
        drop(waiting);
        self.arrived.notify_one();
    }

    fn take(&self) -> Option<Delivery> {
        let mut waiting = self.waiting.lock();
        if std::mem::take(&mut waiting.lagged) {
            return Some(Delivery::Lagged);
        }
        let change = waiting.changes.pop_front()?;
        waiting.bytes -= change.bytes();
        Some(Delivery::Change(change))
    }
}

impl Waiting {
    fn lag(&mut self) {
        self.changes.clear();
        self.bytes = 0;
        self.lagged = true;
    }
}

impl Subscription {
    /// The next change, or that some were missed. Waits as long as it takes; dropping the future loses
    /// nothing.
    pub async fn next(&mut self) -> Delivery {
        loop {
            if let Some(delivery) = self.queue.take() {
                return delivery;
            }
            self.queue.arrived.notified().await;
        }
    }
}

impl Drop for Subscription {
    fn drop(&mut self) {
        let mut subscribers = self.feed.subscribers.write();
        if let Some(queues) = subscribers.get_mut(&self.interest) {
            queues.retain(|queue| !Weak::ptr_eq(queue, &Arc::downgrade(&self.queue)));
            if queues.is_empty() {
                subscribers.remove(&self.interest);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn change(session_id: Uuid, seq: u64, bytes: usize) -> Change {
        let data = RawValue::from_string(format!("\"{}\"", "x".repeat(bytes))).unwrap();
        let timestamp = Timestamp::default();
        Change {
            project_id: Uuid::nil(),
            session_id,
            after: seq.saturating_sub(1),
            seq,
            updates: vec![Update {
                kind: UpdateKind::TextDelta,
                data,
                timestamp,
            }],
            urgent: false,
            traces: Vec::new(),
        }
    }

    #[tokio::test]
    async fn a_subscriber_gets_what_it_follows_in_order_and_nothing_else() {
        let feed = Feed::default();
        let (mine, other) = (Uuid::from_u128(1), Uuid::from_u128(2));
        let mut subscription = feed.subscribe(Interest::Session(mine));
        for (session, seq) in [(mine, 1), (other, 5), (mine, 2)] {
            feed.publish(change(session, seq, 1));
        }
        for expected in [1, 2] {
            let Delivery::Change(change) = subscription.next().await else {
                panic!("it lagged");
            };
            assert_eq!(change.seq, expected);
        }
        assert!(subscription.queue.take().is_none());
    }

    #[tokio::test]
    async fn a_subscriber_that_does_not_keep_up_is_told_and_then_goes_on() {
        let feed = Feed::default();
        let session = Uuid::from_u128(1);
        let mut subscription = feed.subscribe(Interest::Project(Uuid::nil()));
        for seq in 0..10 {
            feed.publish(change(session, seq, QUEUE_BYTES / 4));
        }
        assert!(matches!(subscription.next().await, Delivery::Lagged));
        feed.publish(change(session, 10, 1));
        assert!(matches!(subscription.next().await, Delivery::Change(change) if change.seq == 10));
    }

    #[test]
    fn nobody_follows_once_the_subscription_is_dropped() {
        let feed = Feed::default();
        let session = Uuid::from_u128(1);
        let subscription = feed.subscribe(Interest::Session(session));
        assert!(feed.is_followed(Uuid::nil(), session));
        drop(subscription);
        assert!(!feed.is_followed(Uuid::nil(), session));
    }
}
