//! One command's task: takes what has come for it, folds it, has it committed, answers.
//!
//! It has at most one batch under way, so a command's events are committed in order. Its memory is a copy of
//! the database: whenever a commit does not go through, the copy is dropped and read anew, so nothing is ever
//! half applied.

use std::sync::Arc;
use std::time::Duration;

use hopline_state::doorbell::Moved;
use hopline_state::rows::{Decision, DecisionKind, SessionStatus};
use hopline_state::{Repair, StateError};
use hopline_telemetry::TraceContext;
use hopline_wire::Timestamp;
use tokio::sync::{OwnedSemaphorePermit, mpsc, oneshot};
use tokio::time::Instant;
use uuid::Uuid;

use crate::command::CommandState;
use crate::committer::{Answer, Committer, chain};
use crate::feed::{Change, ChangeTrace};
use crate::incoming::Incoming;
use crate::refresh;
use crate::round::{Folding, Round, Verdicts};
use crate::service::{Shared, SubmitError};

/// How many requests a round takes together, and about how many events.
const ROUND_REQUESTS: usize = 64;
const ROUND_EVENTS: usize = 2_000;

/// How long what comes after a build's end may wait to be written in full.
const LONGEST_REFRESH_WAIT: Duration = Duration::from_secs(5 * 60);

/// What a command's task is asked to do.
pub(crate) enum Work {
    /// Settle events.
    Events {
        events: Vec<Incoming>,
        answer: oneshot::Sender<Result<CommandReply, SubmitError>>,
        /// Their share of the bytes under way, given back when they are settled.
        room: Arc<OwnedSemaphorePermit>,
    },
    /// Record a decision.
    Decide {
        kind: DecisionKind,
        reason: String,
        /// Only if nothing was heard since then.
        quiet_since: Option<Timestamp>,
        answer: oneshot::Sender<Result<bool, SubmitError>>,
    },
    /// Write the full state if it is due.
    Refresh,
    /// Put the build's rows right.
    Repair {
        repair: Box<Repair>,
        answer: oneshot::Sender<Result<bool, StateError>>,
    },
}

/// What became of one request's events of a command.
#[derive(Debug)]
pub(crate) struct CommandReply {
    /// The last settled sequence number.
    pub(crate) last_seq: u64,
    /// The rest.
    pub(crate) verdicts: Verdicts,
}

/// A request's events and where its answer goes.
struct Request {
    events: Vec<Incoming>,
    answer: oneshot::Sender<Result<CommandReply, SubmitError>>,
    _room: Arc<OwnedSemaphorePermit>,
}

struct Actor {
    shared: Arc<Shared>,
    command_id: Arc<str>,
    committer: Committer,
    state: Option<CommandState>,
    /// When events last came.
    heard_at: Timestamp,
    /// How long the full state, once it is due, may be changed further before it is written.
    refresh_wait: Duration,
    /// When it is to be written.
    refresh_at: Option<Instant>,
    /// How long this task stays without work: longer once it has written a state late, since what it knows of how
    /// often that was goes with it.
    idle_after: Duration,
    /// The persist span of the last traced event: what writing the full state is a consequence of.
    last_span: Option<TraceContext>,
}

/// How a round is tried: again, and more carefully, as long as the database refuses it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Care {
    /// Together with other commands.
    Normal,
    /// In a group of its own.
    Alone,
    /// In a group of its own, refusing its only event.
    Refusing,
}

/// Why a round did not go through.
enum Failure {
    /// The command was moved on; read it anew.
    Moved,
    /// Not now.
    Unavailable(Arc<StateError>),
    /// Not like this.
    Refused(Arc<StateError>),
}

impl From<StateError> for Failure {
    fn from(error: StateError) -> Self {
        Self::Unavailable(error.into())
    }
}

/// The life of a command's task.
pub(crate) async fn run(
    shared: Arc<Shared>,
    command_id: Arc<str>,
    mut works: mpsc::Receiver<Work>,
    own_inbox: mpsc::WeakSender<Work>,
    committer: Committer,
) {
    shared.metrics.active_commands.inc();
    let mut actor = Actor {
        shared: Arc::clone(&shared),
        command_id: Arc::clone(&command_id),
        committer,
        state: None,
        heard_at: Timestamp::default(),
        refresh_wait: shared.options.refresh_after,
        refresh_at: None,
        idle_after: shared.options.idle_after,
        last_span: None,
    };
    loop {
        let refresh_due = actor.state.as_ref().is_some_and(|state| state.state_due);
        match tokio::time::timeout_at(actor.wait_until(refresh_due), works.recv()).await {
            Ok(Some(first)) => actor.take(first, &mut works).await,
            Ok(None) => break,
            Err(_) if refresh_due => actor.refresh_late().await,
            Err(_) => {
                if shared.retire(&command_id, &own_inbox, &works) {
                    // Whoever held the inbox while it was taken out of the register may still use it.
                    works.close();
                    while let Some(work) = works.recv().await {
                        actor.take(work, &mut works).await;
                    }
                    break;
                }
            }
        }
    }
    if actor.state.as_ref().is_some_and(|state| state.state_due) {
        actor.refresh().await;
    }
    shared.metrics.active_commands.dec();
}

impl Actor {
    /// Until when work is waited for.
    fn wait_until(&mut self, refresh_due: bool) -> Instant {
        let now = Instant::now();
        if refresh_due {
            return *self.refresh_at.get_or_insert(now + self.refresh_wait);
        }
        self.refresh_at = None;
        now + self.idle_after
    }

    /// Works off `first` and whatever else waits.
    async fn take(&mut self, first: Work, works: &mut mpsc::Receiver<Work>) {
        let mut requests = Vec::new();
        let mut events_left = ROUND_EVENTS;
        let mut next = Some(first);
        while let Some(work) = next.take() {
            match work {
                Work::Events {
                    events,
                    answer,
                    room,
                } => {
                    events_left = events_left.saturating_sub(events.len());
                    requests.push(Request {
                        events,
                        answer,
                        _room: room,
                    });
                    if events_left > 0 && requests.len() < ROUND_REQUESTS {
                        next = works.try_recv().ok();
                    }
                }
                Work::Decide {
                    kind,
                    reason,
                    quiet_since,
                    answer,
                } => {
                    self.settle(std::mem::take(&mut requests)).await;
                    let decided = self.decide(kind, reason, quiet_since).await;
                    // Whoever asked may have gone; the decision stands.
                    let _ = answer.send(decided);
                }
                Work::Repair { repair, answer } => {
                    self.settle(std::mem::take(&mut requests)).await;
                    // Whoever asked may have gone; what is written stands.
                    let _ = answer.send(self.repair(*repair).await);
                }
                Work::Refresh => {
                    // Whoever asks cannot know that this task has it in hand, and waits.
                    let waits = self.refresh_at.is_some();
                    if !waits && self.load().await.is_ok_and(|state| state.state_due) {
                        self.refresh_late().await;
                    }
                }
            }
        }
        self.settle(requests).await;
    }

    /// Settles requests together, and answers each.
    async fn settle(&mut self, requests: Vec<Request>) {
        if requests.is_empty() {
            return;
        }
        self.heard_at = Timestamp::now();
        let was_final = self.is_final();
        let mut verdicts: Vec<Verdicts> = Vec::new();
        verdicts.resize_with(requests.len(), Verdicts::default);
        let settled = self.settle_events(&requests, &mut verdicts).await;
        let last_seq = self
            .state
            .as_ref()
            .map_or(0, |state| state.position.last_seq);
        for (request, verdicts) in requests.into_iter().zip(verdicts) {
            let reply = match &settled {
                Ok(()) => Ok(CommandReply { last_seq, verdicts }),
                Err(error) => Err(error.clone()),
            };
            // Whoever asked may have gone; what is settled stays settled.
            let _ = request.answer.send(reply);
        }
        if !was_final {
            self.refresh_if_final().await;
        }
    }

    async fn settle_events(
        &mut self,
        requests: &[Request],
        verdicts: &mut Vec<Verdicts>,
    ) -> Result<(), SubmitError> {
        let mut events: Vec<(usize, &Incoming)> = Vec::new();
        for (request, each) in requests.iter().enumerate() {
            events.extend(each.events.iter().map(|event| (request, event)));
        }
        // Requests may have overtaken each other. Unnumbered events stay where they are.
        if events.iter().all(|(_, event)| event.seq().is_some()) {
            events.sort_by_key(|(_, event)| event.seq());
        }
        let fresh = || {
            let mut fresh: Vec<Verdicts> = Vec::new();
            fresh.resize_with(requests.len(), Verdicts::default);
            fresh
        };
        let mut care = Care::Normal;
        // Moved on by someone else, a round is tried anew; each try sees a later state.
        for _ in 0..4 {
            *verdicts = fresh();
            match self.try_round(&events, verdicts, care).await {
                Ok(()) => return Ok(()),
                Err(Failure::Moved) => {}
                Err(Failure::Unavailable(error)) => return Err(SubmitError::Unavailable(error)),
                Err(Failure::Refused(_)) if care == Care::Normal => care = Care::Alone,
                Err(Failure::Refused(_)) => {
                    *verdicts = fresh();
                    return self.one_by_one(&events, verdicts).await;
                }
            }
        }
        let told = "the command keeps moving on elsewhere";
        let error = StateError::unavailable("commit a group", told);
        Err(SubmitError::Unavailable(Arc::new(error)))
    }

    /// The database refuses a round for good: the event that it refuses is found and rejected, so that it
    /// does not block its command for ever.
    async fn one_by_one(
        &mut self,
        events: &[(usize, &Incoming)],
        verdicts: &mut [Verdicts],
    ) -> Result<(), SubmitError> {
        for event in events {
            let mut care = Care::Alone;
            loop {
                match self
                    .try_round(std::slice::from_ref(event), verdicts, care)
                    .await
                {
                    Ok(()) => break,
                    Err(Failure::Refused(_)) if care == Care::Alone => care = Care::Refusing,
                    Err(Failure::Moved) => {}
                    Err(Failure::Unavailable(error) | Failure::Refused(error)) => {
                        return Err(SubmitError::Unavailable(error));
                    }
                }
            }
        }
        Ok(())
    }

    /// Folds events from where the command stands and commits them. Unless that goes through, the command's
    /// state is dropped.
    async fn try_round(
        &mut self,
        events: &[(usize, &Incoming)],
        verdicts: &mut [Verdicts],
        care: Care,
    ) -> Result<(), Failure> {
        let from_memory = self.state.is_some();
        self.load().await?;
        let Some(state) = self.state.take() else {
            return Err(Failure::Moved);
        };
        let shared = Arc::clone(&self.shared);
        let mut round = Round::begin(state, Some(&shared.tracer), shared.options.max_event_bytes);
        // The last project that was looked for: events of a command that has none name the same one again and again.
        let mut looked_for = None;
        for (request, event) in events {
            let refuse = care == Care::Refusing;
            if let Some(named) = round.needs_project(event)
                && looked_for.as_ref() != Some(named)
            {
                if let Some(id) = find_project(&shared, named).await? {
                    round.set_project(id);
                }
                looked_for = Some(Arc::clone(named));
            }
            while let Err((kind, id)) = round.take(event, refuse, &mut verdicts[*request]) {
                let Some(build) = &round.state().fold.build else {
                    break;
                };
                let end = shared.store.last_note_part(build.id(), kind, &id).await?;
                round.remember_text(kind, &id, end);
            }
        }
        if from_memory && round.met_gap() {
            // Another server may have settled what seems to be missing.
            return Err(Failure::Moved);
        }
        self.finish(round, care).await
    }

    /// Commits a round, and tells those who follow.
    async fn finish(&mut self, round: Round<'_>, care: Care) -> Result<(), Failure> {
        let shared = Arc::clone(&self.shared);
        let build = round.state().fold.build.as_ref();
        let ids = build.map(|build| (build.session.project_id, build.id()));
        let followed =
            ids.is_some_and(|(project, session)| shared.feed.is_followed(project, session));
        let todos = match ids {
            Some((_, session)) if round.needs_todos() => shared.store.todos(session).await?,
            _ => Vec::new(),
        };
        let after = round.begun_after();
        let Folding {
            state,
            batch,
            spans,
            contexts,
            taken_up,
            outcomes,
            updates,
        } = round.finish(&todos, followed);
        if let Some(batch) = batch {
            let alone = care != Care::Normal;
            match self.committer.commit(batch, spans, taken_up, alone).await {
                Answer::Committed => {}
                Answer::Moved => return Err(Failure::Moved),
                Answer::Failed(error) => return Err(Failure::Unavailable(error)),
                Answer::Refused(error) => return Err(Failure::Refused(error)),
            }
            if let Some((project_id, session_id)) = ids {
                shared.moved(Moved {
                    project_id,
                    session_id,
                    seq: state.position.last_seq,
                    anew: false,
                });
            }
        }
        shared.metrics.settled(&outcomes);
        if let Some(context) = contexts.iter().rfind(|context| context.is_recorded()) {
            self.last_span = Some(context.clone());
        }
        match (updates, ids) {
            (Some((updates, urgent)), Some((project_id, session_id))) => {
                shared.feed.publish(Change {
                    project_id,
                    session_id,
                    after,
                    seq: state.position.last_seq,
                    updates,
                    urgent,
                    traces: by_trace(contexts, &state),
                });
            }
            // Nothing was built, since nobody followed. Whoever has begun meanwhile has missed it.
            (None, Some((project_id, session_id)))
                if shared.feed.is_followed(project_id, session_id) =>
            {
                let seq = state.position.last_seq;
                shared.feed.left_out(project_id, session_id, seq);
            }
            _ => {}
        }
        self.state = Some(state);
        Ok(())
    }

    /// The command as the database has it, unless it is at hand.
    async fn load(&mut self) -> Result<&mut CommandState, StateError> {
        if self.state.is_none() {
            let loaded = self.shared.store.load_command(&self.command_id).await?;
            let id = Arc::clone(&self.command_id);
            self.state = Some(match loaded {
                Some(loaded) => CommandState::load(id, loaded),
                None => CommandState::unknown(id),
            });
        }
        let id = &self.command_id;
        Ok(self
            .state
            .get_or_insert_with(|| CommandState::unknown(Arc::clone(id))))
    }

    async fn decide(
        &mut self,
        kind: DecisionKind,
        reason: String,
        quiet_since: Option<Timestamp>,
    ) -> Result<bool, SubmitError> {
        let unavailable = |error| SubmitError::Unavailable(error);
        if quiet_since.is_some_and(|since| self.heard_at >= since) {
            return Ok(false);
        }
        for _ in 0..3 {
            let state = self
                .load()
                .await
                .map_err(|error| unavailable(error.into()))?;
            // An event came just before the time for it was up.
            if kind == DecisionKind::Unreachable && state.position.last_seq > 0 {
                return Ok(false);
            }
            let decision = Decision {
                after_seq: state.position.last_seq,
                kind,
                reason: reason.clone(),
                at: Timestamp::from_millis(Timestamp::now().as_millis()),
            };
            let Some(state) = self.state.take() else {
                continue;
            };
            let shared = Arc::clone(&self.shared);
            let mut round =
                Round::begin(state, Some(&shared.tracer), shared.options.max_event_bytes);
            let changed = round.decide(decision);
            match self.finish(round, Care::Normal).await {
                Ok(()) => return Ok(changed),
                Err(Failure::Moved) => {}
                Err(Failure::Unavailable(error) | Failure::Refused(error)) => {
                    return Err(unavailable(error));
                }
            }
        }
        Ok(false)
    }

    /// Puts rows of the build right. What is known of it here may be as wrong as they were.
    async fn repair(&mut self, repair: Repair) -> Result<bool, StateError> {
        let written = self.shared.store.repair(repair).await?;
        self.state = None;
        let state = self.load().await?;
        if let Some(build) = &state.fold.build {
            let moved = Moved {
                project_id: build.session.project_id,
                session_id: build.id(),
                seq: state.position.last_seq,
                anew: true,
            };
            let Moved {
                project_id,
                session_id,
                seq,
                ..
            } = moved;
            self.shared.feed.left_out(project_id, session_id, seq);
            self.shared.moved(moved);
        }
        Ok(written)
    }

    fn is_final(&self) -> bool {
        let build = self
            .state
            .as_ref()
            .and_then(|state| state.fold.build.as_ref());
        build.is_some_and(|build| build.session.is_final)
    }

    /// A build that has ended for good has its full state written at once; one that may go on, when it is
    /// quiet.
    async fn refresh_if_final(&mut self) {
        self.refresh_wait = self.shared.options.refresh_after;
        let state = self.state.as_ref().filter(|state| state.state_due);
        let build = state.and_then(|state| state.fold.build.as_ref());
        let just_ended = build.is_some_and(|build| {
            build.session.is_final && build.session.ended_at == Some(build.session.updated_at)
        });
        if just_ended {
            self.refresh().await;
        }
    }

    /// Writes the full state of a build that had ended before.
    async fn refresh_late(&mut self) {
        self.idle_after = self.idle_after.max(LONGEST_REFRESH_WAIT);
        self.refresh().await;
    }

    /// Writes the full state. That costs as much as the build is long, so what goes on after its end makes it wait
    /// longer each time.
    async fn refresh(&mut self) {
        self.refresh_at = None;
        self.refresh_wait = (self.refresh_wait * 2).min(LONGEST_REFRESH_WAIT);
        let Some(state) = &mut self.state else {
            return;
        };
        let Some(build) = &state.fold.build else {
            state.state_due = false;
            return;
        };
        if build.session.status == SessionStatus::Active {
            state.state_due = false;
            return;
        }
        let (shared, last_seq) = (&self.shared, state.position.last_seq);
        match refresh::write(shared, &build.session, last_seq, self.last_span.as_ref()).await {
            Ok(()) => state.state_due = false,
            Err(error) => {
                let error = chain(&error);
                let trace_id = build.session.trace_id.map(tracing::field::display);
                tracing::warn!(trace_id, command = %self.command_id, error, "could not write a build's full state");
            }
        }
    }
}

/// Looks for a project by its name in events.
async fn find_project(shared: &Shared, named: &str) -> Result<Option<Uuid>, StateError> {
    let Ok(id) = Uuid::parse_str(named) else {
        return Ok(None);
    };
    let found = shared.store.project(id).await?;
    Ok(found.map(|project| project.id))
}

/// Persist spans by their trace.
fn by_trace(contexts: Vec<TraceContext>, state: &CommandState) -> Vec<ChangeTrace> {
    let mut traces: Vec<ChangeTrace> = Vec::new();
    for context in contexts {
        match traces
            .iter_mut()
            .rev()
            .find(|trace| trace.context.trace_id == context.trace_id)
        {
            Some(trace) if context.is_recorded() => trace.others.push(context.span_id),
            Some(_) => {}
            None => traces.push(ChangeTrace {
                context,
                others: Vec::new(),
                event: state.event_keys(),
            }),
        }
    }
    traces
}
