//! A build with its rows, as they stood after one commit, the newest first where there are too many.

use hopline_wire::limits::RAW_STATE_FIELD_BYTES;
use rusqlite::{Connection, OptionalExtension};
use uuid::Uuid;

use super::convert::Id;
use super::sessions::{NOTE, TOOL_CALL, note_of, session, todos, tool_call_of};
use crate::rows::{Note, ToolCall};
use crate::store::{ROW_BYTES, SessionKey, WholeSession};

/// How many bytes may be read for each that counts: long inputs and outputs count only in part.
const READ_FACTOR: usize = 8;

pub(super) fn whole_session(
    connection: &Connection,
    session_id: Uuid,
    bytes: usize,
) -> rusqlite::Result<Option<WholeSession>> {
    // One transaction, so that every row is of the same commit.
    let snapshot = connection.unchecked_transaction()?;
    let Some(row) = session(&snapshot, &SessionKey::Id(session_id))? else {
        return Ok(None);
    };
    let project_name = snapshot
        .prepare_cached("SELECT name FROM projects WHERE id = ?")?
        .query_row([Id(row.project_id)], |row| row.get(0))
        .optional()?;
    let newest = newest(&snapshot, session_id, Room::of(bytes))?;
    Ok(Some(WholeSession {
        project_name: project_name.unwrap_or_default(),
        todos: todos(&snapshot, session_id)?,
        tool_calls: newest.tool_calls,
        notes: newest.notes,
        cut_at: newest.cut_at,
        session: row,
    }))
}

struct Newest {
    tool_calls: Vec<ToolCall>,
    notes: Vec<Note>,
    cut_at: Option<u64>,
}

/// The newest tool calls and parts of texts that have room, in the order they began.
fn newest(connection: &Connection, session_id: Uuid, mut room: Room) -> rusqlite::Result<Newest> {
    let mut calls = connection.prepare_cached(&format!("{TOOL_CALL} ORDER BY first_seq DESC"))?;
    let mut calls = calls.query_map([Id(session_id)], tool_call_of)?;
    let mut notes =
        connection.prepare_cached(&format!("{NOTE} ORDER BY first_seq DESC, part DESC"))?;
    let mut notes = notes.query_map([Id(session_id)], note_of)?;
    let mut taken = Newest {
        tool_calls: Vec::new(),
        notes: Vec::new(),
        cut_at: None,
    };
    let mut next_call = calls.next().transpose()?;
    let mut next_note = notes.next().transpose()?;
    // Both go back in time; the later of the two has its turn.
    loop {
        let note_seq = next_note.as_ref().map_or(0, |note| note.first_seq);
        if let Some(call) = next_call.take_if(|call| call.first_seq >= note_seq) {
            if !room.take([call.input.as_deref(), call.output.as_deref()]) {
                taken.cut_at = Some(call.first_seq);
                break;
            }
            taken.tool_calls.push(call);
            next_call = calls.next().transpose()?;
        } else if let Some(note) = next_note.take() {
            if !room.take([Some(&note.content), None]) {
                taken.cut_at = Some(note.first_seq);
                break;
            }
            taken.notes.push(note);
            next_note = notes.next().transpose()?;
        } else {
            break;
        }
    }
    taken.tool_calls.reverse();
    taken.notes.reverse();
    Ok(taken)
}

/// How much may still be taken.
struct Room {
    counted: usize,
    read: usize,
}

impl Room {
    fn of(bytes: usize) -> Self {
        Self {
            counted: bytes,
            read: bytes.saturating_mul(READ_FACTOR),
        }
    }

    /// Makes room for a row with these contents; says whether there was any.
    fn take(&mut self, contents: [Option<&str>; 2]) -> bool {
        let lengths = contents.map(|text| text.map_or(0, str::len));
        let counted = lengths.map(|length| length.min(RAW_STATE_FIELD_BYTES));
        let left = |room: usize, lengths: [usize; 2]| {
            room.checked_sub(ROW_BYTES + lengths.iter().sum::<usize>())
        };
        let left = left(self.counted, counted).zip(left(self.read, lengths));
        let has_room = left.is_some();
        (self.counted, self.read) = left.unwrap_or_default();
        has_room
    }
}
