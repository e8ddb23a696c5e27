//! The group commit: what arrived while the last commit ran is the next group.
//!
//! One task takes the folded batches of all commands, commits as many together as the bounds allow, and
//! answers each. When the database refuses a group for good, every command in it tries again alone
//! ([`Commit::alone`]), so that one poisoned batch does not take its neighbours with it.

use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use hopline_state::group::{StatementTiming, Statements};
use hopline_state::{BatchOutcome, CommandBatch, Committed, Group, StateError, Store};
use hopline_telemetry::pending::{UNFINISHED_AFTER, unfinished, while_open};
use hopline_telemetry::{Tracer, logs, tracer};
use hopline_wire::Timestamp;
use hopline_wire::span::Span;
use parking_lot::Mutex;
use tokio::sync::{mpsc, oneshot};

use crate::metrics::{PartKind, ProcessorMetrics};
use crate::options::Options;
use crate::statements::{self, Shares, Teller};

/// How often it is looked whether a statement takes long.
const LOOK_EVERY: Duration = Duration::from_millis(200);

/// How many batches wait. Each command has at most one.
const QUEUE: usize = 1_024;

/// The persist spans of a batch, open until whoever ends them takes them; whoever waits shows them meanwhile.
type OpenSpans = Arc<Mutex<Vec<Span>>>;

/// A batch on its way into the database.
pub(crate) struct Commit {
    pub(crate) batch: CommandBatch,
    pub(crate) spans: OpenSpans,
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
    tracer: Tracer,
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
            tracer: tracer.clone(),
            metrics,
            group_events: options.group_events,
            group_bytes: options.group_bytes,
        };
        let task = tokio::spawn(service.run(commits));
        (Self { queue, tracer }, task)
    }

    /// Commits a batch together with those of others, and tells its spans: unfinished ones too, if it takes long.
    pub(crate) async fn commit(
        &self,
        batch: CommandBatch,
        spans: Vec<Span>,
        taken_up: Vec<(PartKind, Timestamp)>,
        alone: bool,
    ) -> Answer {
        let is_traced = !spans.is_empty();
        let spans = Arc::new(Mutex::new(spans));
        let (answer, answered) = oneshot::channel();
        let commit = Commit {
            batch,
            spans: Arc::clone(&spans),
            taken_up,
            alone,
            answer,
        };
        let committed = async {
            match self.queue.send(commit).await {
                Ok(()) => answered.await.unwrap_or_else(|_| ended()),
                Err(_) => ended(),
            }
        };
        if !is_traced {
            return committed.await;
        }
        let mut shown = false;
        let answer = while_open(self.tracer.pipeline(), committed, || {
            shown = true;
            spans.lock().clone()
        });
        let answer = answer.await;
        if shown {
            self.end_what_nobody_ended(&spans);
        }
        answer
    }

    /// Spans that were shown, and are not those that the events are told by in the end: of a command that was moved on
    /// elsewhere, whose events are folded anew.
    fn end_what_nobody_ended(&self, spans: &OpenSpans) {
        let now = Timestamp::now();
        let left = std::mem::take(&mut *spans.lock());
        self.tracer.record_all(left.into_iter().map(|mut span| {
            span.end = now;
            let told = "the command was moved on elsewhere, or the server is ending";
            tracer::fail(&mut span, "not_committed", told, now);
            span
        }));
    }
}

fn ended() -> Answer {
    let error = StateError::unavailable("commit a group", "the processor has ended");
    Answer::Failed(Arc::new(error))
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
    spans: OpenSpans,
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
        let mut teller = Teller::new(&self.tracer, self.store.system());
        let group = Group::new(batches);
        let progress = group.progress.clone();
        let mut committing = pin!(self.store.commit(group));
        let committed = loop {
            match tokio::time::timeout(LOOK_EVERY, committing.as_mut()).await {
                Ok(committed) => break committed,
                Err(_) => {
                    let statement = progress.statements().under_way;
                    if let Some(statement) = statement.filter(is_long) {
                        let spans = teller.unfinished(&shares(&waiters), statement);
                        self.tracer.record_all(spans.iter().map(unfinished));
                    }
                }
            }
        };
        match committed {
            Ok(committed) => {
                self.metrics.committed(events);
                self.settle(waiters, &committed, start, teller);
            }
            Err(error) => {
                self.metrics.failed(&error);
                let transient = error.is_transient();
                let spans: Vec<_> = waiters.iter().map(|waiter| waiter.spans.lock()).collect();
                let traces = spans.iter().flat_map(|spans| spans.iter());
                tracing::warn!(
                    trace_id = logs::trace_ids(traces.map(|span| span.trace_id)),
                    error = chain(&error),
                    reason = error.error_type(),
                    transient,
                    "a group commit failed"
                );
                drop(spans);
                self.give_back(waiters, error, start, (teller, progress.statements()));
            }
        }
    }

    /// Answers every waiter first, then tells the spans.
    fn settle(
        &self,
        waiters: Vec<Waiter>,
        committed: &Committed,
        start: Timestamp,
        teller: Teller<'_>,
    ) {
        let end = committed
            .statements
            .last()
            .map_or_else(Timestamp::now, |commit| commit.end);
        let mut told = Vec::with_capacity(waiters.len());
        for (waiter, outcome) in waiters.into_iter().zip(&committed.outcomes) {
            let applied = *outcome == BatchOutcome::Applied;
            let answer = if applied {
                told.push((waiter.take_spans(), waiter.touched));
                self.metrics.persisted(&waiter.taken_up, end);
                Answer::Committed
            } else {
                Answer::Moved
            };
            // Whoever asked may have gone; the rows stand all the same.
            let _ = waiter.answer.send(answer);
        }
        let spans = teller.committed(told, committed, [start, end]);
        self.tracer.record_all(spans);
    }

    fn give_back(
        &self,
        waiters: Vec<Waiter>,
        error: StateError,
        start: Timestamp,
        (teller, statements): (Teller<'_>, Statements),
    ) {
        let error = Arc::new(error);
        let mut told = Vec::new();
        for waiter in waiters {
            told.push((waiter.take_spans(), waiter.touched));
            let answer = if error.is_transient() {
                Answer::Failed(Arc::clone(&error))
            } else {
                Answer::Refused(Arc::clone(&error))
            };
            let _ = waiter.answer.send(answer);
        }
        let spans = teller.failed(told, &statements, &error, start);
        self.tracer.record_all(spans);
    }
}

impl Waiter {
    fn take_spans(&self) -> Vec<Span> {
        std::mem::take(&mut *self.spans.lock())
    }
}

fn is_long(statement: &StatementTiming) -> bool {
    let nanos = Timestamp::now().nanos_since(statement.start);
    Duration::from_nanos(nanos) > UNFINISHED_AFTER
}

/// The traces of a group that is being committed.
fn shares(waiters: &[Waiter]) -> Shares {
    let spans: Vec<_> = waiters.iter().map(|waiter| waiter.spans.lock()).collect();
    let touched = waiters.iter().map(|waiter| waiter.touched);
    Shares::of(spans.iter().map(|spans| &spans[..]).zip(touched))
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
