//! What folding a log again tells.

use hopline_wire::{TraceId, text};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// How many differences a report lists; the rest are counted.
const LISTED: usize = 1_000;

/// How many bytes of a value are told.
const VALUE_BYTES: usize = 200;

/// What folding a build's log again has shown.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Report {
    /// The build's session.
    pub session_id: Uuid,
    /// The command that it belongs to.
    pub command_id: String,
    /// Its trace.
    pub trace_id: Option<TraceId>,
    /// The last event that its row tells of.
    pub last_seq: u64,
    /// How many rows of the log were folded.
    pub events: u64,
    /// What came of it.
    pub verdict: Verdict,
    /// The first event that should be in the log and is not.
    pub missing_from: Option<u64>,
    /// In how many places rows differ.
    pub difference_count: u64,
    /// The first of them.
    pub differences: Vec<Difference>,
}

/// What came of folding a log again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// The rows are what the log makes them.
    Same,
    /// They are not.
    Differs,
    /// They were not, and were put right.
    Repaired,
    /// The log was removed, so nobody can say.
    LogRemoved,
    /// The log has a hole, so nobody can say.
    LogIncomplete,
    /// The build went on each time that it was looked at.
    MovedOn,
}

/// One place where a row is not what the log makes it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Difference {
    /// The table.
    pub table: String,
    /// The row, by its natural key.
    pub key: String,
    /// The column; none if the row as a whole is missing, or should not be there.
    pub column: Option<String>,
    /// What it says, cut to a sensible length; none if it is null or missing.
    pub found: Option<String>,
    /// What it should say, likewise.
    pub expected: Option<String>,
}

impl Report {
    /// Whether all is well with the build's rows, as far as can be said.
    #[must_use]
    pub const fn is_fine(&self) -> bool {
        matches!(self.verdict, Verdict::Same | Verdict::Repaired)
    }

    /// Adds a difference.
    pub(super) fn differs(&mut self, difference: Difference) {
        self.verdict = Verdict::Differs;
        self.difference_count += 1;
        if self.differences.len() < LISTED {
            self.differences.push(difference);
        }
    }

    /// Notes that what could be put right was, or that the build had gone on meanwhile.
    pub(crate) fn repaired(&mut self, written: bool) {
        let is_repaired = |difference: &Difference| !is_source(&difference.table);
        if !written {
            self.verdict = Verdict::MovedOn;
        } else if self.differences.iter().all(is_repaired) {
            self.verdict = Verdict::Repaired;
        }
    }

    /// Notes that the event `first` and maybe others are missing in the log.
    pub(super) fn without_log(mut self, first: u64) -> Self {
        self.missing_from = Some(first);
        if first == 1 {
            self.verdict = Verdict::LogRemoved;
        }
        self
    }
}

/// Whether a table is one that rows are folded from. It is never repaired.
fn is_source(table: &str) -> bool {
    matches!(table, "runner_events" | "session_decisions")
}

/// A value at the length that is told.
pub(super) fn told(value: &str) -> String {
    let beginning = text::prefix(value, VALUE_BYTES);
    if beginning.len() == value.len() {
        return value.to_owned();
    }
    format!("{beginning}… ({} bytes)", value.len())
}
