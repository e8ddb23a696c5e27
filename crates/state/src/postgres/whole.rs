//! A build with its rows, as they stood after one commit, the newest first where there are too many.

use std::collections::VecDeque;

use deadpool_postgres::{Object, Transaction};
use tokio_postgres::{IsolationLevel, Portal, Row};
use uuid::Uuid;

use super::convert::{Columns, during};
use super::query::row;
use super::sessions::{
    NOTE, READ_CALLS, READ_NOTES, TOOL_CALL, note_of, session, todos, tool_call_of,
};
use crate::error::StateError;
use crate::reading::Newest;
use crate::store::{SessionKey, WholeSession};

type Result<T> = std::result::Result<T, StateError>;

const OPERATION: &str = "SELECT generation_sessions";
/// How many rows are read at once: with parts of 16 KiB a megabyte at most.
const ROWS: i32 = 64;

pub(super) async fn whole_session(
    client: &mut Object,
    session_id: Uuid,
    bytes: usize,
) -> Result<Option<WholeSession>> {
    // One snapshot, so that every row is of the same commit.
    let snapshot = client.build_transaction().read_only(true);
    let snapshot = snapshot.isolation_level(IsolationLevel::RepeatableRead);
    let snapshot = snapshot.start().await.map_err(during(OPERATION))?;
    let Some(build) = session(&snapshot, &SessionKey::Id(session_id)).await? else {
        return Ok(None);
    };
    let name = "SELECT name FROM projects WHERE id = $1";
    let project_name = match row(&snapshot, OPERATION, name, &[&build.project_id]).await? {
        Some(row) => Columns::of(&row, OPERATION).take()?,
        None => String::new(),
    };
    let newest = newest(&snapshot, session_id, bytes).await?;
    let whole = WholeSession {
        project_name,
        todos: todos(&snapshot, session_id).await?,
        tool_calls: newest.tool_calls,
        notes: newest.notes,
        cut_at: newest.cut_at,
        session: build,
    };
    // There is nothing to keep; what a failure here would mean, the next use of the connection finds out.
    let _ = snapshot.rollback().await;
    Ok(Some(whole))
}

/// The newest tool calls and parts of texts that have room, in the order they began.
async fn newest(snapshot: &Transaction<'_>, session_id: Uuid, bytes: usize) -> Result<Newest> {
    let calls = format!("{TOOL_CALL} ORDER BY first_seq DESC");
    let mut calls = Rows::open(snapshot, READ_CALLS, &calls, session_id, tool_call_of).await?;
    let notes = format!("{NOTE} ORDER BY first_seq DESC, part DESC");
    let mut notes = Rows::open(snapshot, READ_NOTES, &notes, session_id, note_of).await?;
    let mut newest = Newest::new(bytes);
    let mut next_call = calls.next().await?;
    let mut next_note = notes.next().await?;
    loop {
        let has_turn = |call: &mut _| Newest::comes_first(call, next_note.as_ref());
        if let Some(call) = next_call.take_if(has_turn) {
            if !newest.take_call(call) {
                break;
            }
            next_call = calls.next().await?;
        } else if let Some(note) = next_note.take() {
            if !newest.take_note(note) {
                break;
            }
            next_note = notes.next().await?;
        } else {
            break;
        }
    }
    Ok(newest.in_order())
}

/// The rows of a statement, read some at a time.
struct Rows<'t, T> {
    snapshot: &'t Transaction<'t>,
    operation: &'static str,
    portal: Portal,
    read: fn(&Row) -> Result<T>,
    waiting: VecDeque<Row>,
    is_over: bool,
}

impl<'t, T> Rows<'t, T> {
    async fn open(
        snapshot: &'t Transaction<'t>,
        operation: &'static str,
        sql: &str,
        session_id: Uuid,
        read: fn(&Row) -> Result<T>,
    ) -> Result<Self> {
        let statement = snapshot.prepare_cached(sql).await;
        let statement = statement.map_err(during(operation))?;
        let portal = snapshot.bind(&statement, &[&session_id]).await;
        Ok(Self {
            snapshot,
            operation,
            portal: portal.map_err(during(operation))?,
            read,
            waiting: VecDeque::new(),
            is_over: false,
        })
    }

    async fn next(&mut self) -> Result<Option<T>> {
        if self.waiting.is_empty() && !self.is_over {
            let rows = self.snapshot.query_portal(&self.portal, ROWS).await;
            self.waiting = rows.map_err(during(self.operation))?.into();
            self.is_over = self.waiting.is_empty();
        }
        let row = self.waiting.pop_front();
        row.as_ref().map(self.read).transpose()
    }
}
