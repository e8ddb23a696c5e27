//! The second fold: a log, from its first event on, into a database that nobody else knows.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use hopline_state::rows::{
    Command, CommandStatus, Decision, LoggedEvent, Outcome, Session, SessionStatus,
};
use hopline_state::sqlite::SqliteStore;
use hopline_state::store::LoadedCommand;
use hopline_state::{BatchOutcome, Group, StateError, Store};
use hopline_wire::event::EventType;
use hopline_wire::part::TextKind;
use uuid::Uuid;

use super::{LOG_PAGE, RebuildError};
use crate::command::CommandState;
use crate::fold::Build;
use crate::incoming::Reader;
use crate::round::Round;

/// How far a log was folded.
pub(super) enum Advanced {
    /// To its end.
    ToTheEnd,
    /// To where an event is missing.
    Missing {
        /// That event.
        first: u64,
    },
}

/// A build that is folded again.
pub(super) struct Refold {
    /// The rows as they should be.
    pub(super) rows: Arc<dyn Store>,
    folder: Folder,
    state: Option<CommandState>,
    /// How many of the decisions were folded.
    decided: usize,
    events: u64,
    /// Whether the log says when the last event was made.
    knows_time: bool,
    /// Events that end otherwise than the log says: their numbers, what it says, and what they come to now.
    pub(super) judged_otherwise: Vec<(u64, Outcome, Outcome)>,
}

/// A folder that goes with its owner.
struct Folder(PathBuf);

impl Drop for Folder {
    fn drop(&mut self) {
        if let Err(error) = std::fs::remove_dir_all(&self.0) {
            tracing::warn!(folder = %self.0.display(), %error, "could not remove a folder");
        }
    }
}

impl Refold {
    /// Begins with the build as it was when it was started.
    pub(super) async fn begin(
        found: &dyn Store,
        loaded: &LoadedCommand,
        scratch: &Path,
    ) -> Result<Self, RebuildError> {
        let folder = scratch.join(format!("rebuild-{}", Uuid::new_v4()));
        std::fs::create_dir_all(&folder).map_err(RebuildError::Scratch)?;
        let folder = Folder(folder);
        let path = folder.0.join("rows.db");
        let opened = tokio::task::spawn_blocking(move || SqliteStore::open(&path)).await;
        let opened = opened.map_err(|error| RebuildError::Scratch(error.into()))?;
        let rows: Arc<dyn Store> = Arc::new(opened?);
        let (command, session) = started(loaded);
        if let Some(session) = &session
            && let Some(project) = found.project(session.project_id).await?
        {
            rows.create_project(project).await?;
            rows.create_build(command.clone(), session.clone()).await?;
        }
        let loaded = LoadedCommand {
            command,
            project_name: loaded.project_name.clone(),
            session: session.map(|session| (session, None)),
            decisions: 0,
            raw_state_due: false,
        };
        let id = Arc::from(loaded.command.id.as_str());
        Ok(Self {
            rows,
            folder,
            state: Some(CommandState::load(id, loaded)),
            decided: 0,
            events: 0,
            knows_time: false,
            judged_otherwise: Vec::new(),
        })
    }

    /// The last event that was folded.
    pub(super) fn at(&self) -> u64 {
        self.state
            .as_ref()
            .map_or(0, |state| state.position.last_seq)
    }

    /// How many rows of the log were folded.
    pub(super) const fn events(&self) -> u64 {
        self.events
    }

    /// Whether the log says when the last event was made.
    pub(super) const fn knows_time(&self) -> bool {
        self.knows_time
    }

    /// The build as folded so far.
    pub(super) fn build(&self) -> Option<&Build> {
        self.state.as_ref()?.fold.build.as_ref()
    }

    /// Folds what is left of the log, with these decisions at their places.
    pub(super) async fn advance(
        &mut self,
        found: &dyn Store,
        decisions: &[Decision],
    ) -> Result<Advanced, RebuildError> {
        let command_id = self.command_id();
        loop {
            let page = found.events(&command_id, self.at(), LOG_PAGE).await?;
            let end = match first_missing(&page, self.at()) {
                Some(first) => return Ok(Advanced::Missing { first }),
                None => page.last().map(|event| event.seq),
            };
            self.fold(page, decisions).await?;
            if end.is_none() {
                break;
            }
        }
        // A log that was removed as a whole is told from one that nobody has written to by what the rows say.
        let is_empty = self.at() == 0;
        let loaded = found.load_command(&command_id).await?;
        let settled = loaded.map_or(0, |loaded| loaded.command.last_seq);
        if is_empty && settled > 0 {
            return Ok(Advanced::Missing { first: 1 });
        }
        Ok(Advanced::ToTheEnd)
    }

    /// Whether the log has nothing that was not folded.
    pub(super) async fn is_at_the_end(&self, found: &dyn Store) -> Result<bool, StateError> {
        let one = hopline_state::Page { rows: 1, bytes: 0 };
        let more = found.events(&self.command_id(), self.at(), one).await?;
        Ok(more.is_empty())
    }

    /// Throws the rows away.
    pub(super) async fn end(self) {
        self.rows.close().await;
        drop(self.folder);
    }

    fn command_id(&self) -> Arc<str> {
        let state = self.state.as_ref();
        state.map_or_else(|| "".into(), |state| Arc::clone(&state.id))
    }

    /// Folds a page of the log, and the decisions before, between and right after its events.
    async fn fold(
        &mut self,
        page: Vec<LoggedEvent>,
        decisions: &[Decision],
    ) -> Result<(), RebuildError> {
        let Some(state) = self.state.take() else {
            return Ok(());
        };
        let mut round = Round::begin(state, None, usize::MAX);
        let mut reader = Reader::default();
        for logged in &page {
            self.decide(&mut round, decisions, logged.seq);
            self.take(&mut round, &mut reader, logged).await?;
            self.events += 1;
        }
        let after = round.state().position.last_seq + 1;
        if page.is_empty() {
            self.decide(&mut round, decisions, after);
        }
        let todos = match round.state().fold.build.as_ref() {
            Some(build) if round.needs_todos() => self.rows.todos(build.id()).await?,
            _ => Vec::new(),
        };
        let folding = round.finish(&todos, false);
        if let Some(mut batch) = folding.batch {
            // The log is where it is.
            batch.log = hopline_state::group::Log::default();
            let committed = self.rows.commit(Group::new(vec![batch])).await?;
            debug_assert_eq!(committed.outcomes, [BatchOutcome::Applied]);
        }
        self.state = Some(folding.state);
        Ok(())
    }

    /// Folds the decisions that stand before the event `seq`.
    fn decide(&mut self, round: &mut Round<'_>, decisions: &[Decision], seq: u64) {
        while let Some(decision) = decisions.get(self.decided)
            && decision.after_seq < seq
        {
            // One that changes nothing has no place among the decisions; the comparison tells.
            round.decide(decision.clone());
            self.decided += 1;
        }
    }

    async fn take(
        &mut self,
        round: &mut Round<'_>,
        reader: &mut Reader,
        logged: &LoggedEvent,
    ) -> Result<(), RebuildError> {
        let Some(body) = &logged.body else {
            self.knows_time = false;
            round.pass_again(logged);
            return Ok(());
        };
        self.knows_time = true;
        let event = reader.read(body.clone().into(), logged.received_at);
        let outcome = loop {
            match round.take_again(&event, logged) {
                Ok(outcome) => break outcome,
                Err((kind, id)) => self.tell_end(round, kind, &id).await?,
            }
        };
        if outcome != logged.outcome {
            let told = (logged.seq, logged.outcome, outcome);
            self.judged_otherwise.push(told);
        }
        Ok(())
    }

    async fn tell_end(
        &self,
        round: &mut Round<'_>,
        kind: TextKind,
        id: &Arc<str>,
    ) -> Result<(), StateError> {
        let Some(build) = &round.state().fold.build else {
            return Ok(());
        };
        let end = self.rows.last_note_part(build.id(), kind, id).await?;
        round.remember_text(kind, id, end);
        Ok(())
    }
}

/// A command and its build as they were when they were started.
fn started(loaded: &LoadedCommand) -> (Command, Option<Session>) {
    let command = Command {
        status: CommandStatus::Queued,
        last_seq: 0,
        link: None,
        link_seq: None,
        ended_at: None,
        ..loaded.command.clone()
    };
    let session = loaded.session.as_ref().map(|(session, _)| Session {
        status: SessionStatus::Active,
        is_final: false,
        incomplete: false,
        error_message: None,
        exit_code: None,
        last_seq: 0,
        ended_at: None,
        summary: None,
        updated_at: session.created_at,
        ..session.clone()
    });
    (command, session)
}

/// The first event of a page of the log, which follows the event `after`, that should be there and is not. An
/// `events-lost` stands for those before it.
fn first_missing(page: &[LoggedEvent], after: u64) -> Option<u64> {
    let mut last = after;
    for event in page {
        let stands_for_others = event.kind == EventType::EventsLost.as_str();
        if event.seq != last + 1 && !stands_for_others {
            return Some(last + 1);
        }
        last = event.seq;
    }
    None
}
