//! The rows as they are beside the rows as they should be.

use hopline_state::group::{RawState, SessionChange};
use hopline_state::repair::{CommandRepair, SessionRepair};
use hopline_state::rows::{Command, CommandStatus, Decision, Note, Session, Todo, ToolCall};
use hopline_state::{Repair, SessionKey, StateError, Store};
use hopline_wire::Timestamp;

use super::merge::{self, Unlike};
use super::refold::Refold;
use super::report::{Difference, Report, told};
use super::{Rebuilt, Standing};
use crate::fold::Fold;
use crate::generation;

/// What differs, and what puts it right.
pub(super) struct Comparison {
    differences: Vec<Difference>,
    repair: Repair,
    has_repair: bool,
}

/// A column's name and what it says.
type Column<'a> = (&'static str, Option<std::borrow::Cow<'a, str>>);

impl Comparison {
    /// Compares everything that follows from the log.
    pub(super) async fn make(
        found: &dyn Store,
        standing: &Standing,
        refold: &Refold,
    ) -> Result<Self, StateError> {
        let session = &standing.session;
        let (command_id, decisions) = (session.command_id.clone(), standing.decisions.len());
        let mut comparison = Self {
            differences: Vec::new(),
            repair: Repair::nothing(session.id, command_id, refold.at(), decisions),
            has_repair: false,
        };
        let expected = &*refold.rows;
        comparison.log(refold);
        comparison.decisions(&standing.decisions, &expected.decisions(session.id).await?);
        comparison.command(standing, refold).await?;
        comparison.session(standing, refold).await?;
        let todos = (
            found.todos(session.id).await?,
            expected.todos(session.id).await?,
        );
        comparison.todos(todos.0, todos.1);
        comparison.tool_calls(merge::unlike(found, expected, session.id).await?);
        comparison.notes(merge::unlike(found, expected, session.id).await?);
        Ok(comparison)
    }

    /// The report with all differences, and the repair if anything can be put right.
    pub(super) fn conclude(self, mut report: Report) -> Rebuilt {
        for difference in self.differences {
            report.differs(difference);
        }
        Rebuilt {
            report,
            repair: self.has_repair.then_some(self.repair),
        }
    }

    fn differ(
        &mut self,
        table: &str,
        key: &str,
        column: Option<&str>,
        found: Option<&str>,
        expected: Option<&str>,
    ) {
        self.differences.push(Difference {
            table: table.to_owned(),
            key: told(key),
            column: column.map(str::to_owned),
            found: found.map(told),
            expected: expected.map(told),
        });
    }

    /// Compares the columns of a row that is on both sides; says whether any differs.
    fn columns(
        &mut self,
        table: &str,
        key: &str,
        found: Vec<Column<'_>>,
        expected: Vec<Column<'_>>,
    ) -> bool {
        let mut differs = false;
        for ((column, there), (_, should)) in found.into_iter().zip(expected) {
            if there != should {
                self.differ(
                    table,
                    key,
                    Some(column),
                    there.as_deref(),
                    should.as_deref(),
                );
                differs = true;
            }
        }
        differs
    }

    /// Compares a row that may be on one side alone; says whether anything differs.
    fn row(
        &mut self,
        table: &str,
        key: &str,
        found: Option<Vec<Column<'_>>>,
        expected: Option<Vec<Column<'_>>>,
    ) -> bool {
        match (found, expected) {
            (Some(found), Some(expected)) => self.columns(table, key, found, expected),
            (None, None) => false,
            (found, expected) => {
                let found = found.map(|columns| in_short(&columns));
                let expected = expected.map(|columns| in_short(&columns));
                self.differ(table, key, None, found.as_deref(), expected.as_deref());
                true
            }
        }
    }

    fn log(&mut self, refold: &Refold) {
        for (seq, logged, now) in &refold.judged_otherwise {
            let (found, expected) = (logged.as_str(), now.as_str());
            self.differ(
                "runner_events",
                &seq.to_string(),
                Some("outcome"),
                Some(found),
                Some(expected),
            );
        }
    }

    fn decisions(&mut self, found: &[Decision], expected: &[Decision]) {
        let mut missing: Vec<&Decision> = expected.iter().collect();
        for there in found {
            match missing.iter().position(|should| *should == there) {
                Some(place) => drop(missing.remove(place)),
                None => self.decision(there, true),
            }
        }
        for should in missing {
            self.decision(should, false);
        }
    }

    fn decision(&mut self, decision: &Decision, is_there: bool) {
        let key = format!("after {}", decision.after_seq);
        let text = format!("{}: {}", decision.kind.as_str(), decision.reason);
        let (found, expected) = match is_there {
            true => (Some(text.as_str()), None),
            false => (None, Some(text.as_str())),
        };
        self.differ("session_decisions", &key, None, found, expected);
    }

    async fn command(&mut self, standing: &Standing, refold: &Refold) -> Result<(), StateError> {
        let found = &standing.loaded.command;
        let loaded = refold.rows.load_command(&found.id).await?;
        let Some(expected) = loaded.map(|loaded| loaded.command) else {
            return Ok(());
        };
        // Until an event says something, the server alone does.
        let is_told = expected.status != CommandStatus::Queued;
        let view = |row: &Command| {
            let mut columns = vec![number("last_seq", row.last_seq)];
            if is_told {
                columns.push(("status", Some(row.status.as_str().into())));
                columns.push(time("ended_at", row.ended_at));
            }
            columns
        };
        if self.columns("commands", &found.id, view(found), view(&expected)) {
            self.has_repair = true;
            self.repair.command = Some(CommandRepair {
                last_seq: expected.last_seq,
                status: is_told.then_some((expected.status, expected.ended_at)),
            });
        }
        Ok(())
    }

    async fn session(&mut self, standing: &Standing, refold: &Refold) -> Result<(), StateError> {
        let found = &standing.session;
        let rows = &refold.rows;
        let (Some(expected), Some(build)) = (
            rows.session(SessionKey::Id(found.id)).await?,
            refold.build(),
        ) else {
            return Ok(());
        };
        let knows_time = refold.knows_time();
        let key = found.id.to_string();
        let (there, should) = (
            session_columns(found, knows_time),
            session_columns(&expected, knows_time),
        );
        let mut differs = self.columns("generation_sessions", &key, there, should);
        let stored = standing.fold.as_deref().and_then(Fold::read);
        let fold = match &stored {
            Some(stored) => build.fold.with_duplicates_of(stored).write(),
            None => build.fold.write(),
        };
        let is_same_fold = match (&stored, build.is_new) {
            (None, is_new) => is_new && standing.fold.is_none(),
            (Some(stored), false) => same_fold(stored, &build.fold, rows.as_ref(), found).await?,
            (Some(_), true) => false,
        };
        if !is_same_fold {
            let there = standing.fold.as_deref();
            self.differ(
                "generation_sessions",
                &key,
                Some("fold"),
                there,
                Some(&fold),
            );
            differs = true;
        }
        let raw_state = self.raw_state(standing, refold, &expected).await?;
        differs |= raw_state != RawState::Keep;
        if differs {
            self.has_repair = true;
            self.repair.session = Some(SessionRepair {
                last_seq: expected.last_seq,
                row: SessionChange {
                    status: expected.status,
                    is_final: expected.is_final,
                    incomplete: expected.incomplete,
                    error_message: expected.error_message,
                    exit_code: expected.exit_code,
                    ended_at: expected.ended_at,
                    summary: expected.summary,
                    fold,
                    raw_state,
                    updated_at: if knows_time {
                        expected.updated_at
                    } else {
                        found.updated_at
                    },
                },
            });
        }
        Ok(())
    }

    /// Compares `raw_state`, unless it is still to be written.
    async fn raw_state(
        &mut self,
        standing: &Standing,
        refold: &Refold,
        session: &Session,
    ) -> Result<RawState, StateError> {
        let is_running = session.status == hopline_state::rows::SessionStatus::Active;
        let expected = match is_running {
            true => refold.rows.raw_state(session.id).await?,
            false => generation::assemble(&refold.rows, session.id).await?,
        };
        let found = standing.raw_state.as_deref();
        if (found.is_none() && !is_running) || found == expected.as_deref() {
            return Ok(RawState::Keep);
        }
        let key = session.id.to_string();
        let table = "generation_sessions";
        self.differ(table, &key, Some("raw_state"), found, expected.as_deref());
        Ok(expected.map_or(RawState::Due, RawState::Set))
    }

    fn todos(&mut self, found: Vec<Todo>, expected: Vec<Todo>) {
        for there in &found {
            if !expected.iter().any(|should| should.index == there.index) {
                let key = there.index.to_string();
                self.row("generation_todos", &key, Some(todo_columns(there)), None);
                self.repair.no_todos.push(there.index);
                self.has_repair = true;
            }
        }
        for should in expected {
            let there = found.iter().find(|there| there.index == should.index);
            let (key, there) = (should.index.to_string(), there.map(todo_columns));
            if self.row("generation_todos", &key, there, Some(todo_columns(&should))) {
                self.repair.todos.push(should);
                self.has_repair = true;
            }
        }
    }

    fn tool_calls(&mut self, unlike: Unlike<ToolCall>) {
        for (id, (there, should)) in unlike {
            let found = there.as_ref().map(call_columns);
            let expected = should.as_ref().map(call_columns);
            self.row("generation_tool_calls", &id, found, expected);
            match should {
                Some(row) => self.repair.tool_calls.push(row),
                None => self.repair.no_tool_calls.push(id),
            }
            self.has_repair = true;
        }
    }

    fn notes(&mut self, unlike: Unlike<Note>) {
        for ((kind, text_id, part), (there, should)) in unlike {
            let key = format!("{kind} {text_id} part {part}");
            let found = there.as_ref().map(note_columns);
            let expected = should.as_ref().map(note_columns);
            self.row("generation_notes", &key, found, expected);
            match (should, there) {
                (Some(row), _) => self.repair.notes.push(row),
                (None, Some(row)) => {
                    let key = (row.kind, row.text_id, row.part);
                    self.repair.no_notes.push(key);
                }
                (None, None) => {}
            }
            self.has_repair = true;
        }
    }
}

/// Whether a stored fold says the same as one that was folded again. How events are cut into commits shows in the order
/// of the texts that it remembers and in which it remembers; where each ends is told by the text's rows.
async fn same_fold(
    found: &Fold,
    expected: &Fold,
    rows: &dyn Store,
    session: &Session,
) -> Result<bool, StateError> {
    if !found.agrees(expected) {
        return Ok(false);
    }
    for (kind, id, end) in found.text_ends() {
        let should = rows.last_note_part(session.id, kind, id).await?;
        let nothing = hopline_state::store::LastPart { part: 0, bytes: 0 };
        if should.unwrap_or(nothing) != end {
            return Ok(false);
        }
    }
    Ok(true)
}

/// A row that is on one side alone, as it is told.
fn in_short(columns: &[Column<'_>]) -> String {
    let said = columns.iter().filter_map(|(name, value)| {
        let value = value.as_deref()?;
        Some(format!("{name}={}", hopline_wire::text::prefix(value, 60)))
    });
    said.collect::<Vec<_>>().join(" ")
}

fn text<'a>(name: &'static str, value: &'a str) -> Column<'a> {
    (name, Some(value.into()))
}

fn maybe<'a>(name: &'static str, value: Option<&'a String>) -> Column<'a> {
    (name, value.map(|value| value.as_str().into()))
}

fn number(name: &'static str, value: impl ToString) -> Column<'static> {
    (name, Some(value.to_string().into()))
}

fn time(name: &'static str, value: Option<Timestamp>) -> Column<'static> {
    (name, value.map(|value| value.to_string().into()))
}

fn session_columns(row: &Session, with_time: bool) -> Vec<Column<'_>> {
    let mut columns = vec![
        text("status", row.status.as_str()),
        number("final", row.is_final),
        number("incomplete", row.incomplete),
        maybe("error_message", row.error_message.as_ref()),
        (
            "exit_code",
            row.exit_code.map(|code| code.to_string().into()),
        ),
        number("last_seq", row.last_seq),
        time("ended_at", row.ended_at),
        maybe("summary", row.summary.as_ref()),
    ];
    if with_time {
        columns.push(time("updated_at", Some(row.updated_at)));
    }
    columns
}

fn todo_columns(row: &Todo) -> Vec<Column<'_>> {
    vec![
        text("content", &row.content),
        text("active_form", &row.active_form),
        text("status", row.status.as_str()),
        time("created_at", Some(row.created_at)),
        time("updated_at", Some(row.updated_at)),
    ]
}

fn call_columns(row: &ToolCall) -> Vec<Column<'_>> {
    vec![
        number("todo_index", row.todo_index),
        text("name", &row.name),
        maybe("input", row.input.as_ref()),
        maybe("output", row.output.as_ref()),
        text("state", row.state.as_str()),
        number("first_seq", row.first_seq),
        time("started_at", row.started_at),
        time("ended_at", row.ended_at),
        time("created_at", Some(row.created_at)),
        time("updated_at", Some(row.updated_at)),
    ]
}

fn note_columns(row: &Note) -> Vec<Column<'_>> {
    vec![
        number("todo_index", row.todo_index),
        text("content", &row.content),
        number("first_seq", row.first_seq),
        time("created_at", Some(row.created_at)),
    ]
}
