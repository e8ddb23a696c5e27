//! The group commit: what arrived while the last commit ran is the next group.
//!
//! One task takes the folded batches of all commands, commits as many together as the bounds allow, and
//! answers each. When the database refuses a group for good, every command in it tries again alone
//! ([`Commit::alone`]), so that one poisoned batch does not take its neighbours with it.

use std::sync::Arc;

use hopline_state::{BatchOutcome, CommandBatch, Committed, Group, StateError, Store};
use hopline_telemetry::{Tracer, logs};
use hopline_wire::Timestamp;
use hopline_wire::span::Span;
use tokio::sync::{mpsc, oneshot};

use crate::metrics::{PartKind, ProcessorMetrics};
use crate::options::Options;
use crate::statements;

/// How many batches wait. Each command has at most one.
const QUEUE: usize = 1_024;

/// A batch on its way into the database.
pub(crate) struct Commit {
    pub(crate) batch: CommandBatch,
    pub(crate) spans: Vec<Span>,
    pub(crate) taken_up: Vec<(PartKind, Timestamp)>,
    /// Whether it must be a group of its own.
    pub(crate) alone: bool,
    answer: oneshot::Sender<Answer>,
}

/// What became of a batch.
#[derive(Debug)]
pub(crate) enum Answer {
    /// It is in the database.
    Committed,
    /// Someone else has moved the command on, or its rows have changed.
    Moved,
    /// It is not in the database, and may be tried again.
    Failed(Arc<StateError>),
    /// The database will never take it.
    Refused(Arc<StateError>),
}

/// Where batches are handed in; cheap to clone.
#[derive(Clone)]
pub(crate) struct Committer {
    queue: mpsc::Sender<Commit>,
}

impl Committer {
    /// Starts the task. It ends when the last handle is dropped and everything is committed.
    pub(crate) fn start(
        store: Arc<dyn Store>,
        tracer: Tracer,
        metrics: ProcessorMetrics,
        options: &Options,
    ) -> (Self, tokio::task::JoinHandle<()>) {
        let (queue, commits) = mpsc::channel(QUEUE);
        let service = Service {
            store,
            tracer,
            metrics,
            group_events: options.group_events,
            group_bytes: options.group_bytes,
        };
        let task = tokio::spawn(service.run(commits));
        (Self { queue }, task)
    }

    /// Commits a batch together with those of others, and tells its spans.
    pub(crate) async fn commit(
        &self,
        batch: CommandBatch,
        spans: Vec<Span>,
        taken_up: Vec<(PartKind, Timestamp)>,
        alone: bool,
    ) -> Answer {
        let (answer, answered) = oneshot::channel();
        let commit = Commit {
            batch,
            spans,
            taken_up,
            alone,
            answer,
        };
        let ended = || {
            let source = "the processor has ended".into();
            Answer::Failed(Arc::new(StateError::Unavailable {
                operation: "commit a group",
                code: None,
                source,
            }))
        };
        if self.queue.send(commit).await.is_err() {
            return ended();
        }
        answered.await.unwrap_or_else(|_| ended())
    }
}

struct Service {
    store: Arc<dyn Store>,
    tracer: Tracer,
    metrics: ProcessorMetrics,
    group_events: usize,
    group_bytes: usize,
}

/// The parts of a commit that stay here while its batch is with the store.
struct Waiter {
    spans: Vec<Span>,
    taken_up: Vec<(PartKind, Timestamp)>,
    touched: statements::Touched,
    answer: oneshot::Sender<Answer>,
}

impl Service {
    async fn run(self, mut commits: mpsc::Receiver<Commit>) {
        let mut held_back = None;
        loop {
            let first = match held_back.take() {
                Some(commit) => Some(commit),
                None => commits.recv().await,
            };
            let Some(first) = first else { return };
            let group;
            (group, held_back) = self.gather(first, &mut commits);
            self.commit_group(group).await;
        }
    }

    /// The group that begins with `first`, and a commit that did not fit into it.
    fn gather(
        &self,
        first: Commit,
        commits: &mut mpsc::Receiver<Commit>,
    ) -> (Vec<Commit>, Option<Commit>) {
        let mut events = self.group_events;
        let mut bytes = self.group_bytes;
        let mut group = Vec::new();
        let mut next = Some(first);
        while let Some(commit) = next {
            if commit.alone && !group.is_empty() {
                return (group, Some(commit));
            }
            events = events.saturating_sub(commit.batch.log.rows.len());
            bytes = bytes.saturating_sub(commit.batch.log.bytes());
            let full = commit.alone || events == 0 || bytes == 0;
            group.push(commit);
            next = if full { None } else { commits.try_recv().ok() };
        }
        (group, None)
    }

    async fn commit_group(&self, group: Vec<Commit>) {
        let events = group.iter().map(|commit| commit.batch.log.rows.len()).sum();
        let (batches, waiters): (Vec<_>, Vec<_>) = group.into_iter().map(apart).unzip();
        let start = Timestamp::now();
        match self.store.commit(Group { batches }).await {
            Ok(committed) => {
                self.metrics.committed(events);
                self.settle(waiters, &committed, start);
            }
            Err(error) => {
                self.metrics.failed();
                let transient = error.is_transient();
                let spans = waiters.iter().flat_map(|waiter| &waiter.spans);
                tracing::warn!(
                    trace_id = logs::trace_ids(spans.map(|span| span.trace_id)),
                    error = chain(&error),
                    transient,
                    "a group commit failed"
                );
                self.give_back(waiters, error, start);
            }
        }
    }

    /// Answers every waiter first, then tells the spans.
    fn settle(&self, waiters: Vec<Waiter>, committed: &Committed, start: Timestamp) {
        let end = committed
            .statements
            .last()
            .map_or_else(Timestamp::now, |commit| commit.end);
        let mut told = Vec::with_capacity(waiters.len());
        for (waiter, outcome) in waiters.into_iter().zip(&committed.outcomes) {
            let applied = *outcome == BatchOutcome::Applied;
            let answer = if applied {
                Answer::Committed
            } else {
                Answer::Moved
            };
            // Whoever asked may have gone; the rows stand all the same.
            let _ = waiter.answer.send(answer);
            if applied {
                self.metrics.persisted(&waiter.taken_up, end);
                told.push((waiter.spans, waiter.touched));
            }
        }
        let spans = statements::spans(
            &self.tracer,
            self.store.system(),
            told,
            committed,
            [start, end],
        );
        self.tracer.record_all(spans);
    }

    fn give_back(&self, waiters: Vec<Waiter>, error: StateError, start: Timestamp) {
        let error = Arc::new(error);
        let mut told = Vec::new();
        for waiter in waiters {
            let answer = if error.is_transient() {
                Answer::Failed(Arc::clone(&error))
            } else {
                Answer::Refused(Arc::clone(&error))
            };
            let _ = waiter.answer.send(answer);
            told.push(waiter.spans);
        }
        let spans =
            statements::failed_spans(&self.tracer, self.store.system(), told, &error, start);
        self.tracer.record_all(spans);
    }
}

fn apart(commit: Commit) -> (CommandBatch, Waiter) {
    let waiter = Waiter {
        touched: statements::Touched::of(&commit.batch),
        spans: commit.spans,
        taken_up: commit.taken_up,
        answer: commit.answer,
    };
    (commit.batch, waiter)
}

/// An error with everything that caused it.
pub(crate) fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text.push_str(": ");
        text.push_str(&cause.to_string());
        source = cause.source();
    }
    text
}
