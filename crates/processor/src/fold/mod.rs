//! The fold: from a build's events, in order, to its rows.
//!
//! [`Build::apply`] is pure: what it does follows from the events and decisions so far alone. The state it
//! needs to go on is bounded and stored with every commit (`generation_sessions.fold`), so a restart, or
//! another server, goes on where the last commit ended. It keeps where the last few texts end; where
//! an older one ends is asked of its row ([`Stop::NeedsText`]), which says the same.

pub(crate) mod changes;
mod events;
mod fields;
#[cfg(test)]
mod tests;
mod texts;

use std::sync::Arc;

use hopline_state::group::{ProjectChange, RawState, SessionChange};
use hopline_state::rows::{
    Decision, DecisionKind, ProjectStatus, Session, SessionStatus, ToolState,
};
use hopline_state::store::LastPart;
use hopline_wire::Timestamp;
use hopline_wire::ingest::RejectCode;
use hopline_wire::part::{PLAN_TOOL, Part, Plan, TextKind, TodoStatus};
use hopline_wire::text::storable_json;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

pub(crate) use self::changes::Changes;
use self::changes::{row_key, text_key};
pub(crate) use self::events::{CommandFold, Folded, lost_range};
use self::texts::Texts;
use crate::outcomes::Outcomes;

/// When and where an event stands.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Moment {
    /// Its sequence number.
    pub(crate) seq: u64,
    /// The number of the event before it.
    pub(crate) previous: u64,
    /// When it was made.
    pub(crate) at: Timestamp,
    /// When the server received it.
    pub(crate) received: Timestamp,
    /// Whether it came without a number, from a peer of the original's making.
    pub(crate) legacy: bool,
}

impl Moment {
    const fn row(&self) -> (u64, Timestamp) {
        (self.seq, self.at)
    }
}

/// Why an event was not folded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Stop {
    /// It is wrong.
    Refused(Refusal),
    /// Where this text ends must be looked up first; nothing has changed yet.
    NeedsText(TextKind, Arc<str>),
}

/// Why an event is wrong. The reason may quote the event, which may be large, and is kept, logged and sent back: it is
/// cut.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Refusal {
    pub(crate) code: RejectCode,
    pub(crate) error: String,
}

impl Refusal {
    pub(crate) fn new(code: RejectCode, error: impl ToString) -> Self {
        let error = Self::cut(error.to_string());
        Self { code, error }
    }

    /// The code in a logged reason, which begins with it.
    pub(crate) fn code_in(reason: Option<&str>) -> RejectCode {
        let named = reason.and_then(|reason| reason.split(':').next());
        let known = |code: &RejectCode| named == Some(code.as_str());
        let code = RejectCode::ALL.into_iter().find(known);
        code.unwrap_or(RejectCode::BadEvent)
    }

    /// A reason at the length that is kept.
    pub(crate) fn cut(mut reason: String) -> String {
        const LONGEST: usize = 300;
        if reason.len() > LONGEST {
            reason.truncate(hopline_wire::text::prefix(&reason, LONGEST).len());
            reason.push('…');
        }
        reason
    }
}

/// What the fold keeps between commits, besides the columns of the session's row.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct Fold {
    /// How many todos the plan has.
    todo_count: i32,
    /// The first todo in progress; -1 if there is none.
    active_index: i32,
    /// Whether the build's end was the server's decision.
    decided: bool,
    /// How the events so far have ended; none if an older version began the build.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) outcomes: Option<Outcomes>,
    /// Where texts end.
    texts: Texts,
}

impl Default for Fold {
    fn default() -> Self {
        Self {
            todo_count: 0,
            active_index: -1,
            decided: false,
            outcomes: Some(Outcomes::default()),
            texts: Texts::default(),
        }
    }
}

impl Fold {
    /// A stored state; none if it cannot be read.
    pub(crate) fn read(json: &str) -> Option<Self> {
        serde_json::from_str(json).ok()
    }

    /// Whether a stored state says the same as one that was folded again, besides where texts end. Which of many texts
    /// are remembered, and in which order, may differ. A log knows nothing of duplicates.
    pub(crate) fn agrees(&self, expected: &Self) -> bool {
        self.todo_count == expected.todo_count
            && self.active_index == expected.active_index
            && self.decided == expected.decided
            && self.texts.as_many_as(&expected.texts)
            && (self.outcomes.is_none()
                || self.outcomes == expected.with_duplicates_of(self).outcomes)
    }

    /// This, with the duplicates that a stored state has counted.
    pub(crate) fn with_duplicates_of(&self, stored: &Self) -> Self {
        let mut with = self.clone();
        if let (Some(outcomes), Some(stored)) = (&mut with.outcomes, &stored.outcomes) {
            outcomes.duplicate = stored.duplicate;
        }
        with
    }

    /// The state as it is stored.
    pub(crate) fn write(&self) -> String {
        // Numbers, texts and lists serialise without fail.
        serde_json::to_string(self).unwrap_or_default()
    }

    /// Where the texts that it remembers end.
    pub(crate) fn text_ends(&self) -> impl Iterator<Item = (TextKind, &Arc<str>, LastPart)> + '_ {
        self.texts.ends()
    }
}

/// A build as folded so far.
#[derive(Debug, Clone)]
pub(crate) struct Build {
    /// Its row, as it now is.
    pub(crate) session: Session,
    /// The rest.
    pub(crate) fold: Fold,
    /// Whether nothing was ever committed for it.
    pub(crate) is_new: bool,
}

impl Build {
    /// A build as its row tells it.
    pub(crate) fn load(session: Session, fold: Option<&str>) -> Self {
        let is_new = fold.is_none();
        // A state that cannot be read is that of another version. The texts' rows tell where they end, and
        // the next plan removes whatever todos there are beyond it.
        let fold = fold.map_or_else(Fold::default, |json| {
            serde_json::from_str(json).unwrap_or_else(|error| {
                let trace_id = session.trace_id.map(tracing::field::display);
                tracing::warn!(trace_id, session = %session.id, %error, "the stored fold cannot be read");
                Fold {
                    todo_count: i32::MAX,
                    outcomes: None,
                    texts: Texts::forgotten(),
                    ..Fold::default()
                }
            })
        });
        Self {
            session,
            fold,
            is_new,
        }
    }

    /// The first todo in progress; -1 if there is none.
    pub(crate) const fn active_index(&self) -> i32 {
        self.fold.active_index
    }

    /// Tells where a text ends, as its row says it (none: it has no row).
    pub(crate) fn remember_text(&mut self, kind: TextKind, id: &Arc<str>, end: Option<LastPart>) {
        let new = LastPart { part: 0, bytes: 0 };
        self.fold.texts.put(kind, id, end.unwrap_or(new));
    }

    /// Notes that an event has come: a provisional end is taken back by it.
    pub(crate) fn touch(&mut self, moment: &Moment, changes: &mut Changes) {
        self.session.updated_at = moment.at;
        if self.session.status == SessionStatus::Active || self.session.is_final {
            return;
        }
        if self.fold.decided {
            changes.decisions.push(Decision {
                after_seq: moment.previous,
                kind: DecisionKind::Reopened,
                reason: "an event came".into(),
                at: Timestamp::from_millis(moment.received.as_millis()),
            });
        }
        self.reopen(moment.at, changes);
    }

    fn reopen(&mut self, at: Timestamp, changes: &mut Changes) {
        self.fold.decided = false;
        let session = &mut self.session;
        session.status = SessionStatus::Active;
        session.ended_at = None;
        session.error_message = None;
        session.exit_code = None;
        session.summary = None;
        changes.reopenings += 1;
        changes.session_changed = true;
        changes.project(ProjectChange {
            project_id: session.project_id,
            status: Some(ProjectStatus::InProgress),
            error_message: Some(None),
            last_activity_at: Some(at),
            ..ProjectChange::default()
        });
    }

    /// Folds one part.
    pub(crate) fn apply(
        &mut self,
        part: &Part<'_>,
        moment: &Moment,
        changes: &mut Changes,
    ) -> Result<(), Stop> {
        match part {
            Part::TextDelta { kind, id, delta } => {
                let id: Arc<str> = text_key(id).into();
                self.append(*kind, &id, delta, moment, changes)?;
            }
            Part::Reasoning { message } => {
                self.touch(moment, changes);
                changes.line(message, self.fold.active_index, moment.row());
            }
            Part::ToolInput {
                id,
                name,
                input,
                todo_index,
            } => {
                let plan = (name == PLAN_TOOL).then(|| Plan::read(input)).transpose();
                let plan =
                    plan.map_err(|bad| Stop::Refused(Refusal::new(RejectCode::BadPart, bad)))?;
                self.touch(moment, changes);
                if let Some(plan) = &plan {
                    self.plan(plan, moment, changes);
                }
                let index = todo_index.unwrap_or(self.fold.active_index);
                let input = storable_json(input.get()).into_owned();
                changes.tool_input(&row_key(id), name, input, index, moment.row());
                if let Some(plan) = &plan {
                    self.complete_if_done(plan, moment, changes);
                }
            }
            Part::ToolOutput { id, output } => {
                let output = storable_json(output.get()).into_owned();
                self.output(id, output, ToolState::OutputAvailable, moment, changes);
            }
            Part::ToolError { id, error } => {
                let output = serde_json::Value::from(error.as_ref()).to_string();
                self.output(id, output, ToolState::OutputError, moment, changes);
            }
            Part::Start { .. }
            | Part::TextStart { .. }
            | Part::TextEnd { .. }
            | Part::ToolInputStart { .. }
            | Part::Finish
            | Part::Error { .. }
            | Part::Done
            | Part::Other { .. } => self.touch(moment, changes),
        }
        Ok(())
    }

    fn append(
        &mut self,
        kind: TextKind,
        id: &Arc<str>,
        delta: &str,
        moment: &Moment,
        changes: &mut Changes,
    ) -> Result<(), Stop> {
        let end = if changes.knows_text(kind, id) {
            None
        } else {
            let end = self.fold.texts.end_of(kind, id);
            end.map_err(|_| Stop::NeedsText(kind, Arc::clone(id)))?
        };
        self.touch(moment, changes);
        let index = self.fold.active_index;
        changes.append((kind, id), end, delta, index, moment.row());
        Ok(())
    }

    fn output(
        &mut self,
        id: &str,
        output: String,
        state: ToolState,
        moment: &Moment,
        changes: &mut Changes,
    ) {
        self.touch(moment, changes);
        let index = self.fold.active_index;
        changes.tool_output(&row_key(id), output, state, index, moment.row());
    }

    fn plan(&mut self, plan: &Plan, moment: &Moment, changes: &mut Changes) {
        changes.plan(plan, self.fold.todo_count, moment.at);
        self.fold.todo_count = i32::try_from(plan.todos.len()).unwrap_or(i32::MAX);
        self.fold.active_index = plan.active_index();
    }

    /// On a legacy link a build whose todos are all done counts as done, until something else comes.
    fn complete_if_done(&mut self, plan: &Plan, moment: &Moment, changes: &mut Changes) {
        let done = |todo: &hopline_wire::part::Todo| todo.status == TodoStatus::Completed;
        let all_done = !plan.todos.is_empty() && plan.todos.iter().all(done);
        if moment.legacy && all_done && !self.session.is_final {
            let ended = End {
                status: SessionStatus::Completed,
                ..End::default()
            };
            self.end(ended, moment.at, changes);
        }
    }

    /// Ends the build.
    fn end(&mut self, end: End, at: Timestamp, changes: &mut Changes) {
        let session = &mut self.session;
        session.status = end.status;
        session.is_final = end.is_final;
        session.ended_at = Some(at);
        session.error_message.clone_from(&end.error_message);
        session.exit_code = end.exit_code;
        session.summary = end.summary;
        changes.session_changed = true;
        let status = match end.status {
            SessionStatus::Active => ProjectStatus::InProgress,
            SessionStatus::Completed => ProjectStatus::Completed,
            SessionStatus::Failed => ProjectStatus::Failed,
        };
        changes.project(ProjectChange {
            project_id: session.project_id,
            status: Some(status),
            error_message: Some(end.error_message),
            last_activity_at: Some(at),
            ..ProjectChange::default()
        });
    }

    /// Folds a decision of the server at its place; says whether it changed anything.
    pub(crate) fn decide(&mut self, decision: Decision, changes: &mut Changes) -> bool {
        let runs = self.session.status == SessionStatus::Active;
        match decision.kind {
            _ if self.session.is_final => return false,
            DecisionKind::Reopened if !runs => self.reopen(decision.at, changes),
            DecisionKind::Silence | DecisionKind::Unreachable | DecisionKind::Cancelled if runs => {
                let ended = End {
                    status: SessionStatus::Failed,
                    // Silence may be broken by a later event. The others are an end that somebody waits for.
                    is_final: decision.kind != DecisionKind::Silence,
                    error_message: Some(decision.reason.clone()),
                    ..End::default()
                };
                self.end(ended, decision.at, changes);
                self.fold.decided = true;
            }
            _ => return false,
        }
        changes.decisions.push(decision);
        true
    }

    /// Closes a run of events: remembers where texts end, and gives the session's row.
    pub(crate) fn close_run(&mut self, changes: &Changes, raw_state: RawState) -> SessionChange {
        for (kind, id, end) in changes.text_ends() {
            self.fold.texts.put(kind, id, end);
        }
        self.is_new = false;
        let session = &self.session;
        SessionChange {
            status: session.status,
            is_final: session.is_final,
            incomplete: session.incomplete,
            error_message: session.error_message.clone(),
            exit_code: session.exit_code,
            ended_at: session.ended_at,
            summary: session.summary.clone(),
            fold: self.fold.write(),
            raw_state,
            updated_at: session.updated_at,
        }
    }

    /// The build.
    pub(crate) const fn id(&self) -> Uuid {
        self.session.id
    }
}

/// How a build ends.
struct End {
    status: SessionStatus,
    is_final: bool,
    error_message: Option<String>,
    exit_code: Option<i32>,
    summary: Option<String>,
}

impl Default for End {
    fn default() -> Self {
        Self {
            status: SessionStatus::Failed,
            is_final: false,
            error_message: None,
            exit_code: None,
            summary: None,
        }
    }
}
