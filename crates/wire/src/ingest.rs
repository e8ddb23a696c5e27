//! What the server answers to a broker's `POST /api/runner/events`.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// The path of the ingest endpoint.
pub const PATH: &str = "/api/runner/events";

/// Why an event was refused for good. It has used up its sequence number, unless that is [`Self::NotYours`], and
/// blocks nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RejectCode {
    /// The event names no project, or one that does not exist.
    NoProject,
    /// A field is missing or has the wrong type.
    BadEvent,
    /// The part inside a `build-stream` event cannot be read.
    BadPart,
    /// The event is larger than `maxEventBytes`.
    TooLarge,
    /// The command belongs to another runner, and so do its sequence numbers.
    NotYours,
}

impl RejectCode {
    /// Every code, for metrics that must show a zero too.
    pub const ALL: [Self; 5] = [
        Self::NoProject,
        Self::BadEvent,
        Self::BadPart,
        Self::TooLarge,
        Self::NotYours,
    ];

    /// The code's name on the wire.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::NoProject => "no_project",
            Self::BadEvent => "bad_event",
            Self::BadPart => "bad_part",
            Self::TooLarge => "too_large",
            Self::NotYours => "not_yours",
        }
    }
}

/// One refused event.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Rejection {
    /// The command, where the event named one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub command_id: Option<String>,
    /// The sequence number, where the event had one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub seq: Option<u64>,
    /// The reason, for programs.
    pub code: RejectCode,
    /// The reason, for people: what was expected.
    pub error: String,
}

/// The answer 200: each command of the request judged alone, in order. Also the answer 409, when gaps
/// let nothing be applied.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct IngestReply {
    /// Whether anything was applied.
    pub ok: bool,
    /// Per command, the last settled sequence number.
    #[serde(default)]
    pub acked: BTreeMap<String, u64>,
    /// The events refused for good.
    #[serde(default)]
    pub rejected: Vec<Rejection>,
    /// Per command with a gap, the sequence number expected next.
    #[serde(default)]
    pub gaps: BTreeMap<String, u64>,
}

/// The body of every answer that is no success.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ErrorReply {
    /// What went wrong and what was expected, for people.
    pub error: String,
    /// What went wrong, for programs.
    pub code: String,
}
