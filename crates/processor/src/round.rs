//! One round of a command: the events that waited, judged one by one, folded, and made ready to commit.
//!
//! A round touches nothing but its own copy of the command. If its commit fails, both are dropped.

use std::sync::Arc;

use hopline_state::group::{
    CommandBatch, CommandChange, Log, RawState, SessionBatch, UnknownCommand,
};
use hopline_state::rows::{Decision, LoggedEvent, Outcome, SessionStatus, Todo};
use hopline_telemetry::contract::keys;
use hopline_telemetry::{Hop, TraceContext, Tracer, tracer};
use hopline_wire::Timestamp;
use hopline_wire::command::CommandType;
use hopline_wire::event::EventType;
use hopline_wire::ingest::{RejectCode, Rejection};
use hopline_wire::part::{Part, TextKind};
use hopline_wire::span::{EventKeys, Span, Text};
use uuid::Uuid;

use crate::command::{CommandState, Place};
use crate::feed::Update;
use crate::fold::{Changes, Folded, Moment, Refusal, Stop};
use crate::generation;
use crate::incoming::Incoming;
use crate::metrics::{Ended, EventOutcome, PartKind};
use crate::updates;

/// What a round makes of one request's events.
#[derive(Debug, Default)]
pub(crate) struct Verdicts {
    /// The events refused for good, each with its place in the request.
    pub(crate) rejected: Vec<(usize, Rejection)>,
    /// The numbers of events that came without one, each with the event's place in the request.
    pub(crate) numbered: Vec<(usize, u64)>,
    /// Whether events were left out because others before them are missing.
    pub(crate) gap: bool,
    /// Whether any event was settled.
    pub(crate) settled: bool,
}

/// Why an event is refused that the database never takes.
const POISONED: &str = "the database does not take it";

/// A round in the making.
pub(crate) struct Round<'a> {
    /// Makes the spans; none where nobody is told anything.
    tracer: Option<&'a Tracer>,
    state: CommandState,
    max_event_bytes: usize,
    expected_last_seq: u64,
    log: Log,
    changes: Changes,
    spans: Vec<Span>,
    contexts: Vec<TraceContext>,
    taken_up: Vec<(PartKind, Timestamp)>,
    outcomes: Vec<Ended>,
    create: Option<UnknownCommand>,
    met_gap: bool,
    was_ended: bool,
}

/// A round, ready to commit.
pub(crate) struct Folding {
    /// The command as it will be once the batch is committed.
    pub(crate) state: CommandState,
    /// What to commit; none if nothing changed.
    pub(crate) batch: Option<CommandBatch>,
    /// The persist spans, without their end.
    pub(crate) spans: Vec<Span>,
    /// Where the events' traces stand, one by one: at those spans, or as they came where nothing is recorded.
    pub(crate) contexts: Vec<TraceContext>,
    /// When each event was taken up.
    pub(crate) taken_up: Vec<(PartKind, Timestamp)>,
    /// How the events ended.
    pub(crate) outcomes: Vec<Ended>,
    /// What to tell those who follow the build, if any do: the updates, and whether they are urgent.
    pub(crate) updates: Option<(Vec<Update>, bool)>,
}

impl<'a> Round<'a> {
    /// Begins a round from where the command stands.
    pub(crate) fn begin(
        state: CommandState,
        tracer: Option<&'a Tracer>,
        max_event_bytes: usize,
    ) -> Self {
        let build = state.fold.build.as_ref();
        Self {
            tracer,
            max_event_bytes,
            expected_last_seq: state.position.last_seq,
            was_ended: build.is_some_and(|build| build.session.status != SessionStatus::Active),
            state,
            log: Log::default(),
            changes: Changes::default(),
            spans: Vec::new(),
            contexts: Vec::new(),
            taken_up: Vec::new(),
            outcomes: Vec::new(),
            create: None,
            met_gap: false,
        }
    }

    /// Judges and folds one event, by rising number. `poisoned` refuses it whatever it says.
    ///
    /// # Errors
    /// The text whose end must be looked up and told with [`Round::remember_text`] before the same event is
    /// given again; then nothing has changed.
    pub(crate) fn take(
        &mut self,
        event: &Incoming,
        poisoned: bool,
        verdicts: &mut Verdicts,
    ) -> Result<(), (TextKind, Arc<str>)> {
        if let Some(refusal) = self.takes_no_place(event) {
            self.ended(event.kind(), refusal.code.into(), 1);
            let rejection = rejection(event, None, refusal);
            verdicts.rejected.push((event.place, rejection));
            verdicts.settled = true;
            return Ok(());
        }
        if self.met_gap {
            verdicts.gap = true;
            return Ok(());
        }
        match self.state.position.place(event) {
            Place::Settled => {
                self.settled(event.kind(), EventOutcome::Duplicate, 1);
                verdicts.settled = true;
                Ok(())
            }
            Place::Gap => {
                self.met_gap = true;
                verdicts.gap = true;
                Ok(())
            }
            Place::Next(seq) => {
                let rejected = self.fold(event, seq, poisoned)?;
                let rejected = rejected.map(|rejection| (event.place, rejection));
                verdicts.rejected.extend(rejected);
                if event.seq().is_none() {
                    verdicts.numbered.push((event.place, seq));
                }
                verdicts.settled = true;
                Ok(())
            }
        }
    }

    /// Folds an event again that the log holds at `seq` with this outcome and reason; says how it ends now.
    ///
    /// # Errors
    /// As for [`Round::take`].
    pub(crate) fn take_again(
        &mut self,
        event: &Incoming,
        logged: &LoggedEvent,
    ) -> Result<Outcome, (TextKind, Arc<str>)> {
        let poison = |reason: &str| reason.ends_with(POISONED);
        let poisoned = logged.reason.as_deref().is_some_and(poison);
        let poisoned = poisoned && logged.outcome == Outcome::Rejected;
        self.fold(event, logged.seq, poisoned)?;
        let row = self.log.rows.last();
        Ok(row.map_or(logged.outcome, |row| row.outcome))
    }

    /// Passes over an event again whose body the log does not keep: it was too large, or of a type that changes nothing
    /// but when the build was last heard of.
    pub(crate) fn pass_again(&mut self, logged: &LoggedEvent) {
        let moment = Moment {
            seq: logged.seq,
            previous: self.state.position.last_seq,
            at: logged.received_at,
            received: logged.received_at,
            legacy: false,
        };
        self.state.fold.touch(&moment, &mut self.changes);
        let outcome = match logged.outcome {
            Outcome::Committed => EventOutcome::Committed,
            Outcome::Expired => EventOutcome::Expired,
            Outcome::Rejected => EventOutcome::Rejected(Refusal::code_in(logged.reason.as_deref())),
        };
        self.settled(&logged.kind, outcome, 1);
        self.stood_for(&logged.kind, moment.seq - moment.previous - 1);
        self.state.position.last_seq = logged.seq;
    }

    /// Counts events of the command that have ended, for their build too.
    fn settled(&mut self, kind: &str, outcome: EventOutcome, count: u64) {
        self.ended(kind, outcome, count);
        let build = self.state.fold.build.as_mut();
        if let Some(outcomes) = build.and_then(|build| build.fold.outcomes.as_mut()) {
            outcomes.count(outcome, count);
        }
    }

    /// Counts the events before one that it stands for, since they will not come.
    fn stood_for(&mut self, kind: &str, count: u64) {
        if count > 0 {
            self.settled(kind, EventOutcome::Expired, count);
        }
    }

    fn ended(&mut self, kind: &str, outcome: EventOutcome, count: u64) {
        self.outcomes.push(Ended {
            kind: PartKind::of(kind),
            outcome,
            count,
        });
    }

    /// The project that must be looked for, and told with [`Round::set_project`] if it is there, before the event is
    /// taken: the command has none yet, and the event, whose turn it is, names one.
    pub(crate) fn needs_project<'e>(&self, event: &'e Incoming) -> Option<&'e Arc<str>> {
        let is_next = || matches!(self.state.position.place(event), Place::Next(_));
        let needed = self.state.project.is_none() && !self.met_gap && is_next();
        event.project_id().filter(|_| needed)
    }

    /// Tells an unknown command the project that its events name.
    pub(crate) fn set_project(&mut self, id: Uuid) {
        self.state.set_project(id);
    }

    /// Tells where a text ends, as its row says it.
    pub(crate) fn remember_text(
        &mut self,
        kind: TextKind,
        id: &Arc<str>,
        end: Option<hopline_state::store::LastPart>,
    ) {
        if let Some(build) = &mut self.state.fold.build {
            build.remember_text(kind, id, end);
        }
    }

    /// Takes a decision of the server; says whether it changed anything.
    pub(crate) fn decide(&mut self, decision: Decision) -> bool {
        self.state.fold.decide(decision, &mut self.changes)
    }

    /// Whether events were left out because others before them are missing.
    pub(crate) const fn met_gap(&self) -> bool {
        self.met_gap
    }

    /// The last event before the round.
    pub(crate) const fn begun_after(&self) -> u64 {
        self.expected_last_seq
    }

    /// The command as it is at this point of the round.
    pub(crate) const fn state(&self) -> &CommandState {
        &self.state
    }

    /// Why the event is refused without a place among the command's: it has none, or it comes from a runner that the
    /// command was not given to. That one's numbers are its own; they must not use up those of the runner that runs it.
    fn takes_no_place(&self, event: &Incoming) -> Option<Refusal> {
        if event.has_no_place() {
            let error = event.problem().unwrap_or("expected a commandId");
            return Some(Refusal::new(RejectCode::BadEvent, error));
        }
        let not_yours = |error| Some(Refusal::new(RejectCode::NotYours, error));
        let another = "the command was given to another runner";
        match (self.state.runner_id.as_deref(), event.runner_id()) {
            (Some(own), Some(from)) if own == &**from => None,
            (Some(_), Some(_)) => not_yours(another),
            // Nobody gave the command to anyone, or nobody says whom the event is from.
            _ if event.is_bound() => not_yours("the command was not given to this runner"),
            _ => None,
        }
    }

    fn fold(
        &mut self,
        event: &Incoming,
        seq: u64,
        poisoned: bool,
    ) -> Result<Option<Rejection>, (TextKind, Arc<str>)> {
        let taken_up = Timestamp::now();
        let previous = self.state.position.last_seq;
        let moment = Moment {
            seq,
            previous,
            at: event.at(),
            received: event.received,
            legacy: event.seq().is_none(),
        };
        let fits = event.size() <= self.max_event_bytes;
        let data = fits.then(|| event.data()).flatten();
        let part = match self.judge(event, data.as_deref(), poisoned) {
            Ok(part) => Ok(part),
            Err(refusal) => Err(Stop::Refused(refusal)),
        };
        let kind = part.as_ref().map_or_else(
            |_| event.kind().clone(),
            |part| kind_text(event, part.as_ref()),
        );
        let folded = part.and_then(|part| {
            let fold = &mut self.state.fold;
            fold.apply(event, part.as_ref(), &moment, &mut self.changes)
        });
        let mut folded = match folded {
            Ok(folded) => folded,
            Err(Stop::NeedsText(kind, id)) => return Err((kind, id)),
            Err(Stop::Refused(refusal)) => {
                self.state.fold.touch(&moment, &mut self.changes);
                Folded::refused(refusal)
            }
        };
        let refusal = folded.refusal.take();
        self.note_unknown(event);
        let outcome = match (&refusal, folded.outcome) {
            (Some(refusal), _) => refusal.code.into(),
            (None, Outcome::Expired) => EventOutcome::Expired,
            (None, _) => EventOutcome::Committed,
        };
        self.settled(&kind, outcome, 1);
        self.stood_for(&kind, seq - previous - 1);
        self.note_span(event, &kind, &folded, refusal.as_ref(), taken_up, seq);
        self.taken_up.push((PartKind::of(&kind), taken_up));
        self.append_to_log(event, seq, folded);
        self.state.position.advance(event, seq);
        Ok(refusal.map(|refusal| rejection(event, Some(seq), refusal)))
    }

    /// Whether the event may be folded; the part in it, if it is one of a stream.
    fn judge<'e>(
        &self,
        event: &Incoming,
        data: Option<&'e str>,
        poisoned: bool,
    ) -> Result<Option<Part<'e>>, Refusal> {
        let bad = |error: &str| Err(Refusal::new(RejectCode::BadEvent, error));
        if event.size() > self.max_event_bytes {
            let error = format!(
                "expected an event of at most {} bytes, got {}",
                self.max_event_bytes,
                event.size()
            );
            return Err(Refusal::new(RejectCode::TooLarge, error));
        }
        if let Some(problem) = event.problem() {
            return bad(problem);
        }
        if poisoned {
            return bad(POISONED);
        }
        match (event.project_id(), &self.state.project) {
            (None, _) => {
                let error = "expected a projectId";
                return Err(Refusal::new(RejectCode::NoProject, error));
            }
            // What deletes the files of a project is given when the project is gone.
            (Some(_), None) if self.state.fold.kind == Some(CommandType::DeleteProjectFiles) => {}
            (Some(_), None) => {
                let error = "there is no such project";
                return Err(Refusal::new(RejectCode::NoProject, error));
            }
            (Some(named), Some(own)) if named != own => {
                return bad("expected the projectId of the command");
            }
            _ => {}
        }
        if event.event_type() != Some(EventType::BuildStream) {
            return Ok(None);
        }
        let Some(data) = data else {
            return bad("expected data to be a text");
        };
        let part = Part::in_event(data);
        part.map(Some)
            .map_err(|bad| Refusal::new(RejectCode::BadPart, bad))
    }

    /// A command that has no row gets one with its first event.
    fn note_unknown(&mut self, event: &Incoming) {
        if self.state.exists || self.create.is_some() {
            return;
        }
        self.create = Some(UnknownCommand {
            project_id: self.state.fold.project_id,
            runner_id: event.runner_id().map(|id| id.to_string()),
            trace_id: event.trace.as_ref().map(|trace| trace.trace_id),
            created_at: event.at(),
        });
    }

    fn note_span(
        &mut self,
        event: &Incoming,
        kind: &Text,
        folded: &Folded,
        refusal: Option<&Refusal>,
        taken_up: Timestamp,
        seq: u64,
    ) {
        let (Some(parent), Some(tracer)) = (&event.trace, self.tracer) else {
            return;
        };
        if !parent.is_recorded() {
            self.contexts.push(parent.clone());
            return;
        }
        let shared =
            |text: Option<&Arc<str>>| text.map_or(Text::EMPTY, |text| Arc::clone(text).into());
        let event_keys = EventKeys {
            event_type: kind.clone(),
            project_id: shared(event.project_id()),
            command_id: shared(Some(&self.state.id)),
            seq,
            session_id: shared(self.state.session.as_ref()),
        };
        let (hop, rest) = match folded.finalized {
            Some(status) => (Hop::FinalizeSession, Text::Static(status.as_str())),
            None => (Hop::PersistEvent, kind.clone()),
        };
        let mut span = tracer.begin_event(hop, rest, parent, taken_up, event_keys);
        if let Some(status) = folded.finalized {
            tracer::set(&mut span, keys::SESSION_STATUS, status.as_str());
            self.set_outcomes(&mut span);
        }
        if let Some(refusal) = refusal {
            let message = refusal.error.clone();
            tracer::fail(&mut span, refusal.code.as_str(), message, taken_up);
        }
        self.contexts.push(parent.child(span.span_id));
        self.spans.push(span);
    }

    /// Says on the span of a build's end how its events have ended.
    fn set_outcomes(&self, span: &mut Span) {
        let build = self.state.fold.build.as_ref();
        let Some(outcomes) = build.and_then(|build| build.fold.outcomes.as_ref()) else {
            return;
        };
        for (key, count) in [
            (keys::EVENTS_COMMITTED, outcomes.committed),
            (keys::EVENTS_REJECTED, outcomes.rejections()),
            (keys::EVENTS_EXPIRED, outcomes.expired),
            (keys::EVENTS_DUPLICATE, outcomes.duplicate),
        ] {
            tracer::set(span, key, i64::try_from(count).unwrap_or(i64::MAX));
        }
    }

    fn append_to_log(&mut self, event: &Incoming, seq: u64, folded: Folded) {
        let kept = event.size() <= self.max_event_bytes
            && event.event_type().is_none_or(EventType::body_is_logged);
        self.log.push(
            seq,
            event.kind().clone(),
            event.project_id().cloned(),
            kept.then(|| event.body()),
            folded.outcome,
            folded.reason,
            Timestamp::from_millis(event.received.as_millis()),
        );
    }

    /// Whether the todos must be read from their rows and given to [`Round::finish`]: an ended build runs again,
    /// and its state names them.
    pub(crate) fn needs_todos(&self) -> bool {
        let build = self.state.fold.build.as_ref();
        let runs = build.is_some_and(|build| build.session.status == SessionStatus::Active);
        runs && self.changes.reopenings > 0 && !self.changes.plan_given
    }

    /// Ends the round. `followed` says whether anybody follows the build.
    pub(crate) fn finish(mut self, todos: &[Todo], followed: bool) -> Folding {
        let changed = self.state.position.last_seq > self.expected_last_seq
            || !self.changes.decisions.is_empty();
        let build = self.state.fold.build.as_ref().filter(|_| followed);
        let updates = build.map(|build| {
            let urgent = self.changes.plan_given || self.changes.session_changed;
            (updates::updates(build, &self.changes), urgent)
        });
        let batch = changed.then(|| self.batch(todos));
        if changed {
            self.state.exists = true;
        }
        Folding {
            state: self.state,
            batch,
            spans: self.spans,
            contexts: self.contexts,
            taken_up: self.taken_up,
            outcomes: self.outcomes,
            updates,
        }
    }

    fn batch(&mut self, todos: &[Todo]) -> CommandBatch {
        let raw_state = self.raw_state(todos);
        let state = &mut self.state;
        match raw_state {
            RawState::Due => state.state_due = true,
            RawState::Set(_) => state.state_due = false,
            RawState::Keep => {}
        }
        let changes = &mut self.changes;
        let expected_decisions = state.decisions;
        state.decisions += changes.decisions.len() as u64;
        let session = state.fold.build.as_mut().map(|build| SessionBatch {
            session_id: build.id(),
            expected_decisions,
            todos_removed_from: changes.todos_removed_from,
            row: build.close_run(changes, raw_state),
            todos: std::mem::take(&mut changes.todos),
            tool_calls: std::mem::take(&mut changes.tool_calls),
            notes: std::mem::take(&mut changes.notes),
            decisions: std::mem::take(&mut changes.decisions),
        });
        CommandBatch {
            command_id: Arc::clone(&state.id),
            expected_last_seq: self.expected_last_seq,
            last_seq: state.position.last_seq,
            log: std::mem::take(&mut self.log),
            command: CommandChange {
                create: self.create.take(),
                status: changes.command_status,
                link: state.position.link.clone(),
            },
            session,
            project: changes.project.take(),
        }
    }

    /// What becomes of `raw_state`: while the build runs it follows the plan; once it has ended, whatever
    /// changes makes it due to be written in full.
    fn raw_state(&self, todos: &[Todo]) -> RawState {
        let Some(build) = &self.state.fold.build else {
            return RawState::Keep;
        };
        let running = build.session.status == SessionStatus::Active;
        if !running {
            let stale = !self.was_ended || self.changes.touch_state();
            return if stale { RawState::Due } else { RawState::Keep };
        }
        if !(build.is_new || self.changes.plan_given || self.changes.reopenings > 0) {
            return RawState::Keep;
        }
        let todos = if self.changes.plan_given {
            &self.changes.todos
        } else {
            todos
        };
        let index = build.active_index();
        let name = &self.state.project_name;
        RawState::Set(generation::running(&build.session, name, todos, index))
    }
}

fn rejection(event: &Incoming, seq: Option<u64>, refusal: Refusal) -> Rejection {
    Rejection {
        command_id: event.command_id().map(|id| id.to_string()),
        seq: event.seq().or(seq),
        code: refusal.code,
        error: refusal.error,
    }
}

/// The name of an event in spans and metrics: that of the part in it, if it is one of a stream.
fn kind_text(event: &Incoming, part: Option<&Part<'_>>) -> Text {
    let Some(part) = part else {
        return event.kind().clone();
    };
    match PartKind::of(part.kind()) {
        PartKind::Other => Text::from(hopline_wire::text::prefix(part.kind(), 128).to_owned()),
        known => Text::Static(known.as_str()),
    }
}
