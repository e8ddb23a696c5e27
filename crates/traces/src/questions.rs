//! Questions to the spans of a store, and their answers: what everything else sees of a query engine.

use std::ops::Range;

use hopline_wire::Timestamp;
use serde::{Deserialize, Serialize};

/// Answers questions about spans. Calls block, for as long as the answer takes; within tokio use `spawn_blocking`.
pub trait Questions: Send + Sync {
    /// Answers a question.
    ///
    /// # Errors
    /// [`QuestionError`].
    fn ask(&self, question: &Question) -> Result<Answer, QuestionError>;
}

/// In which language a question is asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Language {
    /// Hopline's own (`docs/queries.md`).
    Query,
    /// SQL over the table `spans`.
    Sql,
}

/// A question.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Question {
    /// As it was asked.
    pub text: String,
    /// In which language.
    pub language: Language,
    /// What `since 1h` counts from.
    pub now: Timestamp,
    /// How many rows the answer may have, whatever the question says.
    pub limit: usize,
}

/// An answer: a table.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Answer {
    /// The columns. Those of a time series begin with its time.
    pub columns: Vec<Column>,
    /// The rows: as many values as there are columns. Numbers beyond 53 bits are texts.
    pub rows: Vec<Vec<serde_json::Value>>,
    /// Whether there are more rows than the answer may have.
    pub more: bool,
}

impl Answer {
    /// The answer as comma-separated values (RFC 4180): a line of names, then one for each row.
    #[must_use]
    pub fn to_csv(&self) -> String {
        let mut out = String::new();
        csv_line(
            &mut out,
            self.columns.iter().map(|column| column.name.clone()),
        );
        for row in &self.rows {
            let values = row.iter().map(|value| match value {
                serde_json::Value::Null => String::new(),
                serde_json::Value::String(text) => text.clone(),
                other => other.to_string(),
            });
            csv_line(&mut out, values);
        }
        out
    }
}

fn csv_line(out: &mut String, values: impl Iterator<Item = String>) {
    for (at, value) in values.enumerate() {
        if at > 0 {
            out.push(',');
        }
        match value.contains(['"', ',', '\r', '\n']) {
            true => {
                out.push('"');
                out.push_str(&value.replace('"', "\"\""));
                out.push('"');
            }
            false => out.push_str(&value),
        }
    }
    out.push_str("\r\n");
}

/// A column of an answer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Column {
    /// As the question calls it.
    pub name: String,
    /// What its values are.
    pub unit: Unit,
}

/// What values are, so that people can be shown them well.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Unit {
    /// Whatever they look like.
    Plain,
    /// Lengths of time, in nanoseconds.
    Nanoseconds,
    /// Lengths of time, in milliseconds.
    Milliseconds,
    /// Shares, from 0 to 1.
    Share,
    /// Points in time, as texts in ISO 8601.
    Time,
    /// The time of a series, likewise.
    Bucket,
}

/// Why a question has no answer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum QuestionError {
    /// The question is not understood.
    #[error("{}", .0.message)]
    Mistake(Mistake),
    /// The answer would take longer than it may.
    #[error("the answer takes longer than {seconds} s: ask for a shorter time, or for less")]
    TooLong {
        /// As long as it may take.
        seconds: u64,
    },
    /// The answer would take more memory than it may.
    #[error(
        "the answer takes more memory than it may: ask for a shorter time, or for fewer groups"
    )]
    TooMuch,
    /// The spans could not be read.
    #[error("ask the spans: {0}")]
    Failed(String),
}

/// What of a question is not understood.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Mistake {
    /// What is wrong and what was expected.
    pub message: String,
    /// Where in the question: bytes. Where that is not known, all of it.
    pub at: Range<usize>,
    /// What could stand there.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub expected: Vec<String>,
    /// What was probably meant.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub suggestion: Option<String>,
}

impl From<Mistake> for QuestionError {
    fn from(mistake: Mistake) -> Self {
        Self::Mistake(mistake)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn values_that_would_break_a_line_are_quoted() {
        let column = |name: &str| Column {
            name: name.into(),
            unit: Unit::Plain,
        };
        let answer = Answer {
            columns: vec![column("a"), column("b,c")],
            rows: vec![
                vec![json!("say \"x\""), json!(1.5)],
                vec![json!(null), json!("two\nlines")],
            ],
            more: false,
        };
        let expected = "a,\"b,c\"\r\n\"say \"\"x\"\"\",1.5\r\n,\"two\nlines\"\r\n";
        assert_eq!(answer.to_csv(), expected);
    }
}
