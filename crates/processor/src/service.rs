//! The processor's outside: events in, verdicts out.
//!
//! Each command with events under way has a task of its own ([`crate::actor`]), made on demand and gone when
//! the command is idle; all of them hand their batches to one committer. What is under way is bounded by bytes;
//! a request that finds no room waits, and is handed back when its patience ends.

use std::collections::HashMap;
use std::sync::Arc;

use hopline_state::doorbell::Moved;
use hopline_state::rows::DecisionKind;
use hopline_state::{StateError, Store};
use hopline_telemetry::Tracer;
use hopline_telemetry::metrics::Metrics;
use hopline_wire::event::EventType;
use hopline_wire::ingest::{IngestReply, RejectCode, Rejection};
use parking_lot::Mutex;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc, oneshot};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::actor::{self, CommandReply, Work};
use crate::committer::{Committer, chain};
use crate::elsewhere::Rung;
use crate::feed::Feed;
use crate::incoming::Incoming;
use crate::metrics::{Ended, PartKind, ProcessorMetrics};
use crate::options::Options;
use crate::outcomes::Outcomes;
use crate::rebuild::{self, RebuildError, Rebuilt, Report};
use crate::status::runner_of;
use crate::{elsewhere, retention, watch};

/// Why events were handed back. The sender keeps them and tries again.
#[derive(Debug, Clone, thiserror::Error)]
pub enum SubmitError {
    /// Too much is under way.
    #[error("submit events: too many bytes are under way")]
    Overloaded,
    /// The database cannot take them just now.
    #[error("submit events: {0}")]
    Unavailable(Arc<StateError>),
    /// The processor is being stopped.
    #[error("submit events: the processor is being stopped")]
    Stopping,
}

/// What became of a request's events.
#[derive(Debug, Default)]
pub struct Settled {
    /// The answer to their sender.
    pub reply: IngestReply,
    /// The reply's rejections by their event's place in the request.
    rejected: HashMap<usize, usize>,
    numbered: HashMap<usize, u64>,
}

impl Settled {
    /// The rejection of the event at this place in the request, if it was refused.
    #[must_use]
    pub fn rejection(&self, place: usize) -> Option<&Rejection> {
        let at = self.rejected.get(&place)?;
        self.reply.rejected.get(*at)
    }

    /// The number that the event at this place in the request was given, if it came without one and is settled now.
    #[must_use]
    pub fn number(&self, place: usize) -> Option<u64> {
        self.numbered.get(&place).copied()
    }

    fn reject(&mut self, (place, rejection): (usize, Rejection)) {
        self.rejected.insert(place, self.reply.rejected.len());
        self.reply.rejected.push(rejection);
    }
}

/// Counts under-way bytes in units of this size, so that the count fits a semaphore's.
const ROOM_UNIT: usize = 1 << 10;

/// How many requests wait for one command.
const INBOX: usize = 64;

/// The processor, running.
pub struct Processor {
    handle: Handle,
    committer: JoinHandle<()>,
    others: Vec<JoinHandle<()>>,
}

/// The way to the processor; cheap to clone.
#[derive(Clone)]
pub struct Handle {
    shared: Arc<Shared>,
}

/// What all tasks of the processor share.
pub(crate) struct Shared {
    pub(crate) options: Options,
    pub(crate) store: Arc<dyn Store>,
    pub(crate) tracer: Tracer,
    pub(crate) metrics: ProcessorMetrics,
    pub(crate) feed: Feed,
    /// What other servers are to be told; none if there can be none.
    pub(crate) rung: Option<Rung>,
    pub(crate) stopping: CancellationToken,
    /// One permit: full states are made one after the other, to bound what they take in memory.
    pub(crate) refreshing: Semaphore,
    /// One permit: logs are folded again one after the other.
    rebuilding: Semaphore,
    committer: Mutex<Option<Committer>>,
    commands: Mutex<HashMap<Arc<str>, mpsc::Sender<Work>>>,
    room: Arc<Semaphore>,
}

impl Processor {
    /// Starts the processor on the current tokio runtime. Builds that had ended without their full state being
    /// written are seen to.
    #[must_use]
    pub fn start(
        options: Options,
        store: Arc<dyn Store>,
        tracer: Tracer,
        metrics: &Metrics,
    ) -> Self {
        let metrics = ProcessorMetrics::register(metrics);
        let (committer, committing) = Committer::start(
            Arc::clone(&store),
            tracer.clone(),
            metrics.clone(),
            &options,
        );
        let bell = store.doorbell();
        let room = Semaphore::new((options.max_bytes_under_way / ROOM_UNIT).max(1));
        let shared = Arc::new(Shared {
            options,
            store,
            tracer,
            metrics,
            feed: Feed::default(),
            rung: bell.as_ref().map(|_| Rung::default()),
            stopping: CancellationToken::new(),
            refreshing: Semaphore::new(1),
            rebuilding: Semaphore::new(1),
            committer: Mutex::new(Some(committer)),
            commands: Mutex::default(),
            room: Arc::new(room),
        });
        let mut others = Vec::new();
        others.extend(
            bell.into_iter()
                .flat_map(|bell| elsewhere::start(&shared, bell)),
        );
        let handle = Handle { shared };
        others.push(tokio::spawn(watch::run(handle.clone())));
        others.push(tokio::spawn(retention::run(handle.clone())));
        Self {
            handle,
            committer: committing,
            others,
        }
    }

    /// The way to it.
    #[must_use]
    pub fn handle(&self) -> Handle {
        self.handle.clone()
    }

    /// Takes no more events, finishes those that are under way, and ends.
    pub async fn stop(self) {
        let shared = &self.handle.shared;
        shared.stopping.cancel();
        // In this order: no command's task is made any more once the register is empty.
        shared.committer.lock().take();
        shared.commands.lock().clear();
        // The committer ends when the last command's task has let go of it. A task that panicked is done too.
        for task in self.others {
            let _ = task.await;
        }
        let _ = self.committer.await;
        elsewhere::tell_the_last(shared).await;
    }
}

impl Handle {
    /// Takes events, in the order given for each command, and returns when the fate of each is settled in the
    /// database.
    ///
    /// # Errors
    /// [`SubmitError`] if some command's events could not be settled; those of others may have been, which
    /// sending all of them again does not change.
    pub async fn submit(&self, events: Vec<Incoming>) -> Result<Settled, SubmitError> {
        if self.shared.stopping.is_cancelled() {
            return Err(SubmitError::Stopping);
        }
        let bytes = events.iter().map(Incoming::size).sum();
        let room = Arc::new(self.shared.make_room(bytes).await?);
        let mut settled = Settled::default();
        let mut by_command: Vec<(Arc<str>, Vec<Incoming>)> = Vec::new();
        let mut places: HashMap<Arc<str>, usize> = HashMap::new();
        for (place, mut event) in events.into_iter().enumerate() {
            event.place = place;
            self.note_runner(&event).await?;
            let Some(command_id) = event.command_id() else {
                if let Some(rejection) = self.unaddressed(&event) {
                    settled.reject((place, rejection));
                }
                continue;
            };
            let place = match by_command.last() {
                Some((last, _)) if last == command_id => by_command.len() - 1,
                _ => *places.entry(Arc::clone(command_id)).or_insert_with(|| {
                    by_command.push((Arc::clone(command_id), Vec::new()));
                    by_command.len() - 1
                }),
            };
            by_command[place].1.push(event);
        }
        let mut waiting = Vec::with_capacity(by_command.len());
        for (command_id, events) in by_command {
            let (answer, answered) = oneshot::channel();
            let work = Work::Events {
                events,
                answer,
                room: Arc::clone(&room),
            };
            self.shared.send(&command_id, work).await?;
            waiting.push((command_id, answered));
        }
        drop(room);
        let mut applied = waiting.is_empty();
        for (command_id, answered) in waiting {
            let answer = answered.await.map_err(|_| SubmitError::Stopping)?;
            applied |= add(&mut settled, &command_id, answer?);
        }
        settled.reply.ok = applied;
        Ok(settled)
    }

    /// Records a decision of the server about a command's build, at its place among the events; says whether it
    /// changed anything.
    ///
    /// # Errors
    /// [`SubmitError`]; then nothing is recorded.
    pub async fn decide(
        &self,
        command_id: &str,
        kind: DecisionKind,
        reason: String,
    ) -> Result<bool, SubmitError> {
        let (answer, answered) = oneshot::channel();
        let work = Work::Decide {
            kind,
            reason,
            quiet_since: None,
            answer,
        };
        self.shared.send(&command_id.into(), work).await?;
        answered.await.map_err(|_| SubmitError::Stopping)?
    }

    /// Folds the log of a build again and compares; with `write` puts its rows right. None if there is no such build.
    ///
    /// # Errors
    /// [`RebuildError`]; then nothing is changed.
    pub async fn rebuild(
        &self,
        session_id: Uuid,
        write: bool,
    ) -> Result<Option<Report>, RebuildError> {
        let shared = &self.shared;
        let scratch = shared.options.scratch.as_deref();
        let scratch = scratch.ok_or(RebuildError::NoScratch)?;
        let turn = shared.rebuilding.acquire().await;
        let _turn = turn.map_err(|_| RebuildError::Stopping)?;
        let looked = rebuild::look(&*shared.store, session_id, scratch).await?;
        let Some(Rebuilt { mut report, repair }) = looked else {
            return Ok(None);
        };
        let Some(repair) = repair.filter(|_| write) else {
            return Ok(Some(report));
        };
        let (answer, answered) = oneshot::channel();
        let command_id = report.command_id.as_str().into();
        let repair = Box::new(repair);
        let sent = shared.send(&command_id, Work::Repair { repair, answer });
        sent.await.map_err(|_| RebuildError::Stopping)?;
        let written = answered.await.map_err(|_| RebuildError::Stopping)?;
        report.repaired(written?);
        Ok(Some(report))
    }

    /// How events have ended since the processor was started, those of all commands together.
    #[must_use]
    pub fn outcomes(&self) -> Outcomes {
        self.shared.metrics.outcomes()
    }

    /// The change feed.
    #[must_use]
    pub fn feed(&self) -> &Feed {
        &self.shared.feed
    }

    pub(crate) fn shared(&self) -> &Arc<Shared> {
        &self.shared
    }

    /// Notes what a `runner-status` says of its runner.
    async fn note_runner(&self, event: &Incoming) -> Result<(), SubmitError> {
        if event.event_type() != Some(EventType::RunnerStatus) || event.problem().is_some() {
            return Ok(());
        }
        let Some(runner) = runner_of(event) else {
            return Ok(());
        };
        match self.shared.store.upsert_runner(runner).await {
            Err(error) if error.is_transient() => Err(SubmitError::Unavailable(error.into())),
            // Sent again it would be refused again, and hold up the events beside it.
            Err(error) => {
                tracing::warn!(error = chain(&error), "a runner's status is not kept");
                Ok(())
            }
            Ok(()) => Ok(()),
        }
    }

    /// An event without a command has no place and no row. It is only worth a word if it is wrong.
    fn unaddressed(&self, event: &Incoming) -> Option<Rejection> {
        let error = event.problem()?.to_owned();
        let code = RejectCode::BadEvent;
        self.shared.metrics.settled(&[Ended {
            kind: PartKind::of(event.kind()),
            outcome: code.into(),
            count: 1,
        }]);
        Some(Rejection {
            command_id: None,
            seq: event.seq(),
            code,
            error,
        })
    }
}

/// Adds a command's verdict to the answer; says whether any of its events was settled.
fn add(settled: &mut Settled, command_id: &Arc<str>, answer: CommandReply) -> bool {
    let reply = &mut settled.reply;
    if answer.last_seq > 0 {
        reply.acked.insert(command_id.to_string(), answer.last_seq);
    }
    if answer.verdicts.gap {
        let expected = answer.last_seq + 1;
        reply.gaps.insert(command_id.to_string(), expected);
    }
    settled.numbered.extend(answer.verdicts.numbered);
    for rejected in answer.verdicts.rejected {
        settled.reject(rejected);
    }
    answer.verdicts.settled
}

impl Shared {
    /// Waits for room for so many bytes.
    async fn make_room(&self, bytes: usize) -> Result<OwnedSemaphorePermit, SubmitError> {
        let most = (self.options.max_bytes_under_way / ROOM_UNIT).max(1);
        let units = u32::try_from((bytes / ROOM_UNIT + 1).min(most)).unwrap_or(u32::MAX);
        let room = Arc::clone(&self.room).acquire_many_owned(units);
        let room = tokio::time::timeout(self.options.patience, room).await;
        let room = room.map_err(|_| SubmitError::Overloaded)?;
        room.map_err(|_| SubmitError::Stopping)
    }

    /// Hands work to a command's task, which is made if there is none.
    pub(crate) async fn send(
        self: &Arc<Self>,
        command_id: &Arc<str>,
        mut work: Work,
    ) -> Result<(), SubmitError> {
        loop {
            let inbox = self.inbox(command_id)?;
            match inbox.send(work).await {
                Ok(()) => return Ok(()),
                // The task left between the look-up and the sending, or it panicked.
                Err(back) => {
                    work = back.0;
                    self.forget(command_id, &inbox);
                }
            }
        }
    }

    fn inbox(self: &Arc<Self>, command_id: &Arc<str>) -> Result<mpsc::Sender<Work>, SubmitError> {
        let mut commands = self.commands.lock();
        if let Some(inbox) = commands.get(command_id) {
            return Ok(inbox.clone());
        }
        let committer = self.committer.lock().clone();
        let committer = committer.ok_or(SubmitError::Stopping)?;
        let (inbox, works) = mpsc::channel(INBOX);
        commands.insert(Arc::clone(command_id), inbox.clone());
        let weak = inbox.downgrade();
        let task = actor::run(
            Arc::clone(self),
            Arc::clone(command_id),
            works,
            weak,
            committer,
        );
        tokio::spawn(task);
        Ok(inbox)
    }

    /// A build was moved on: the others are told.
    pub(crate) fn moved(&self, moved: Moved) {
        if let Some(rung) = &self.rung {
            rung.add(moved);
        }
    }

    fn forget(&self, command_id: &Arc<str>, inbox: &mpsc::Sender<Work>) {
        let mut commands = self.commands.lock();
        if commands
            .get(command_id)
            .is_some_and(|there| there.same_channel(inbox))
        {
            commands.remove(command_id);
        }
    }

    /// Takes an idle command's inbox out of the register, unless something has come in. From then on nobody
    /// can find it.
    pub(crate) fn retire(
        &self,
        command_id: &Arc<str>,
        inbox: &mpsc::WeakSender<Work>,
        works: &mpsc::Receiver<Work>,
    ) -> bool {
        let mut commands = self.commands.lock();
        if !works.is_empty() {
            return false;
        }
        let own = inbox.upgrade();
        let is_own = match (commands.get(command_id), &own) {
            (Some(there), Some(own)) => there.same_channel(own),
            _ => false,
        };
        if is_own {
            commands.remove(command_id);
        }
        true
    }
}
