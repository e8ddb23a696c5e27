//! Events: what a runner reports, one JSON object each.
//!
//! [`EventHead`] is what every hop reads of a received event; it borrows from the bytes. [`Event`] is
//! the owned form with every unknown field kept. [`Envelope`] writes an event's bytes without a detour.

use std::borrow::Cow;
use std::collections::HashMap;
use std::ops::Range;

use serde::{Deserialize, Deserializer, Serialize};
use serde_json::value::RawValue;
use serde_json::{Map, Value};

use crate::carrier::Carrier;
use crate::text;

mod payload;

pub use payload::*;

/// The types of events that the format names.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum EventType {
    /// One part of an agent's stream.
    BuildStream,
    /// A build has ended well.
    BuildCompleted,
    /// A build has failed.
    BuildFailed,
    /// A command has failed.
    Error,
    /// What the runner found out about the project.
    ProjectMetadata,
    /// A project's files are gone.
    FilesDeleted,
    /// A file is written.
    FileWritten,
    /// A file's content.
    FileContent,
    /// A folder's entries.
    FileList,
    /// Output of a dev server.
    LogChunk,
    /// A dev server listens.
    PortDetected,
    /// A dev server has ended.
    ProcessExited,
    /// How far a build is.
    BuildProgress,
    /// A command has arrived.
    Ack,
    /// The runner is well.
    RunnerStatus,
    /// Events that the runner can no longer give.
    EventsLost,
}

/// How an event takes part in its trace.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Tracing {
    /// Every hop makes a span of it.
    Traced,
    /// It carries its trace, but hops make no span of it.
    Carried,
    /// It has nothing to do with any trace.
    Never,
}

impl EventType {
    /// Every type, in the order of the format's table.
    pub const ALL: [Self; 16] = [
        Self::BuildStream,
        Self::BuildCompleted,
        Self::BuildFailed,
        Self::Error,
        Self::ProjectMetadata,
        Self::FilesDeleted,
        Self::FileWritten,
        Self::FileContent,
        Self::FileList,
        Self::LogChunk,
        Self::PortDetected,
        Self::ProcessExited,
        Self::BuildProgress,
        Self::Ack,
        Self::RunnerStatus,
        Self::EventsLost,
    ];

    /// The type's name on the wire.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::BuildStream => "build-stream",
            Self::BuildCompleted => "build-completed",
            Self::BuildFailed => "build-failed",
            Self::Error => "error",
            Self::ProjectMetadata => "project-metadata",
            Self::FilesDeleted => "files-deleted",
            Self::FileWritten => "file-written",
            Self::FileContent => "file-content",
            Self::FileList => "file-list",
            Self::LogChunk => "log-chunk",
            Self::PortDetected => "port-detected",
            Self::ProcessExited => "process-exited",
            Self::BuildProgress => "build-progress",
            Self::Ack => "ack",
            Self::RunnerStatus => "runner-status",
            Self::EventsLost => "events-lost",
        }
    }

    /// The type of this name; none for a type that the format does not name, which is no error.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.as_str() == name)
    }

    /// How events of this type take part in their trace, unless a setting says otherwise.
    #[must_use]
    pub const fn tracing(self) -> Tracing {
        match self {
            Self::BuildStream
            | Self::BuildCompleted
            | Self::BuildFailed
            | Self::Error
            | Self::ProjectMetadata
            | Self::FilesDeleted
            | Self::FileWritten
            | Self::EventsLost => Tracing::Traced,
            Self::Ack | Self::RunnerStatus => Tracing::Never,
            Self::FileContent
            | Self::FileList
            | Self::LogChunk
            | Self::PortDetected
            | Self::ProcessExited
            | Self::BuildProgress => Tracing::Carried,
        }
    }

    /// Whether the log keeps the bodies of events of this type. Files and logs are large, and no row is
    /// folded from them.
    #[must_use]
    pub const fn body_is_logged(self) -> bool {
        !matches!(self, Self::FileContent | Self::FileList | Self::LogChunk)
    }
}

/// What a hop reads of an event: who it belongs to, where it stands, its trace, and a build-stream event's
/// data. All else stays in the bytes.
#[derive(Debug, Clone)]
pub struct EventHead<'a> {
    /// The `type`.
    pub kind: Cow<'a, str>,
    /// The command that the event answers; none for what a runner says about itself.
    pub command_id: Option<Cow<'a, str>>,
    /// The project.
    pub project_id: Option<Cow<'a, str>>,
    /// The runner's clock, as it came.
    pub timestamp: Option<Cow<'a, str>>,
    /// The sequence number, from 1; none from peers that number nothing.
    pub seq: Option<u64>,
    /// The `_sentry` field.
    pub carrier: Option<&'a RawValue>,
    /// The runner, as its broker wrote it.
    pub runner_id: Option<Cow<'a, str>>,
    /// Whether it came from a runner that may speak for its own commands alone, as its broker wrote it.
    pub runner_bound: bool,
    /// The link's connection, as the broker wrote it.
    pub link: Option<Cow<'a, str>>,
    /// The event's number on that connection, from 1.
    pub link_seq: Option<u64>,
    /// The `data` of a `build-stream` event.
    pub data: Option<&'a RawValue>,
}

/// An event whose head cannot be read, with as much as could be, so that it still uses up its place.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{problem}")]
pub struct BadEvent {
    /// What was expected.
    pub problem: String,
    /// The type, where it could be read.
    pub kind: Option<String>,
    /// The command, where it could be read.
    pub command_id: Option<String>,
    /// The project, where it could be read.
    pub project_id: Option<String>,
    /// The sequence number, where it could be read.
    pub seq: Option<u64>,
    /// Where in the event's JSON the value of `_sentry` stands, if it has one.
    pub carrier: Option<Range<usize>>,
    /// The runner, where it could be read.
    pub runner_id: Option<String>,
    /// Whether it came from a runner that may speak for its own commands alone.
    pub runner_bound: bool,
    /// The connection, where it could be read.
    pub link: Option<String>,
    /// The number on that connection, where it could be read.
    pub link_seq: Option<u64>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct RawHead<'a> {
    #[serde(rename = "type", borrow)]
    kind: Option<&'a RawValue>,
    #[serde(borrow)]
    command_id: Option<&'a RawValue>,
    #[serde(borrow)]
    project_id: Option<&'a RawValue>,
    #[serde(borrow)]
    timestamp: Option<&'a RawValue>,
    #[serde(borrow)]
    seq: Option<&'a RawValue>,
    #[serde(rename = "_sentry", borrow)]
    carrier: Option<&'a RawValue>,
    #[serde(borrow)]
    runner_id: Option<&'a RawValue>,
    #[serde(borrow)]
    runner_bound: Option<&'a RawValue>,
    #[serde(borrow)]
    link: Option<&'a RawValue>,
    #[serde(borrow)]
    link_seq: Option<&'a RawValue>,
    #[serde(borrow)]
    data: Option<&'a RawValue>,
}

impl<'a> EventHead<'a> {
    /// Reads an event's head out of its JSON.
    ///
    /// # Errors
    /// [`BadEvent`] if the text is no JSON object or a field of the head has the wrong type. A malformed
    /// carrier is no error here: see [`crate::carrier`].
    pub fn read(json: &'a str) -> Result<Self, Box<BadEvent>> {
        let raw: RawHead<'a> = serde_json::from_str(json).map_err(|error| {
            let problem = format!("expected an event as a JSON object: {error}");
            Box::new(Self::repeating(json).refused(problem, json))
        })?;
        let mut problem = None;
        let head = Self {
            kind: optional_text("type", raw.kind, &mut problem).unwrap_or_default(),
            command_id: optional_text("commandId", raw.command_id, &mut problem),
            project_id: optional_text("projectId", raw.project_id, &mut problem),
            timestamp: optional_text("timestamp", raw.timestamp, &mut problem),
            seq: optional_number("seq", raw.seq, &mut problem),
            carrier: raw.carrier.filter(|raw| raw.get() != "null"),
            runner_id: optional_text("runnerId", raw.runner_id, &mut problem),
            runner_bound: is_true(raw.runner_bound),
            link: optional_text("link", raw.link, &mut problem),
            link_seq: optional_number("linkSeq", raw.link_seq, &mut problem),
            data: raw.data,
        };
        if head.kind.is_empty() && problem.is_none() {
            problem = Some("expected type to be a text".to_owned());
        }
        match problem {
            None => Ok(head),
            Some(problem) => Err(Box::new(head.refused(problem, json))),
        }
    }

    /// The head of an object that has a member twice: the last one counts, as for JavaScript. Empty if the text is
    /// no object.
    fn repeating(json: &'a str) -> Self {
        let members: HashMap<String, &'a RawValue> = serde_json::from_str(json).unwrap_or_default();
        let mut ignored = None;
        let mut text = |name: &str| optional_text(name, members.get(name).copied(), &mut ignored);
        let (kind, command_id, project_id) = (text("type"), text("commandId"), text("projectId"));
        let (runner_id, link) = (text("runnerId"), text("link"));
        let mut number =
            |name: &str| optional_number(name, members.get(name).copied(), &mut ignored);
        Self {
            kind: kind.unwrap_or_default(),
            command_id,
            project_id,
            timestamp: None,
            seq: number("seq"),
            carrier: members
                .get("_sentry")
                .copied()
                .filter(|raw| raw.get() != "null"),
            runner_id,
            runner_bound: is_true(members.get("runnerBound").copied()),
            link,
            link_seq: number("linkSeq"),
            data: None,
        }
    }

    /// This head, read from `json`, as that of a refused event.
    fn refused(&self, problem: String, json: &str) -> BadEvent {
        let place = |raw: &RawValue| {
            let start = raw.get().as_ptr() as usize - json.as_ptr() as usize;
            start..start + raw.get().len()
        };
        let owned = |text: &Option<Cow<'a, str>>| text.as_deref().map(str::to_owned);
        BadEvent {
            problem,
            kind: Some(self.kind.clone().into_owned()).filter(|kind| !kind.is_empty()),
            command_id: owned(&self.command_id),
            project_id: owned(&self.project_id),
            seq: self.seq,
            carrier: self.carrier.map(place),
            runner_id: owned(&self.runner_id),
            runner_bound: self.runner_bound,
            link: owned(&self.link),
            link_seq: self.link_seq,
        }
    }

    /// The event's type, if the format names it.
    #[must_use]
    pub fn event_type(&self) -> Option<EventType> {
        EventType::named(&self.kind)
    }
}

fn is_true(raw: Option<&RawValue>) -> bool {
    raw.is_some_and(|raw| raw.get() == "true")
}

fn optional_text<'a>(
    field: &str,
    raw: Option<&'a RawValue>,
    problem: &mut Option<String>,
) -> Option<Cow<'a, str>> {
    let raw = raw.filter(|raw| raw.get() != "null")?;
    let text = text::string(raw);
    if text.is_none() {
        problem.get_or_insert_with(|| format!("expected {field} to be a text"));
    }
    text
}

fn optional_number(
    field: &str,
    raw: Option<&RawValue>,
    problem: &mut Option<String>,
) -> Option<u64> {
    let raw = raw.filter(|raw| raw.get() != "null")?;
    let number = raw
        .get()
        .parse()
        .ok()
        .filter(|number| *number >= 1 && *number <= i64::MAX as u64);
    if number.is_none() {
        problem.get_or_insert_with(|| format!("expected {field} to be a whole number from 1"));
    }
    number
}

/// Writes one event's JSON. The fields common to all events come first, in a fixed order.
#[derive(Debug, Clone, Copy)]
pub struct Envelope<'a> {
    /// The `type`.
    pub kind: &'a str,
    /// The command, where there is one.
    pub command_id: Option<&'a str>,
    /// The project, where there is one.
    pub project_id: Option<&'a str>,
    /// The time, in ISO 8601.
    pub timestamp: &'a str,
    /// The sequence number, from 1.
    pub seq: Option<u64>,
    /// The values of the carrier: `trace`, and `baggage` if any.
    pub carrier: Option<(&'a str, Option<&'a str>)>,
}

impl Envelope<'_> {
    /// Writes the event into `out`; `fields` are the members of its own, as the JSON inside the braces
    /// (`"data":"…"`), empty if there are none.
    pub fn write(&self, fields: &str, out: &mut Vec<u8>) {
        out.extend_from_slice(b"{\"type\":");
        write_string(self.kind, out);
        let mut member = |name: &[u8], value: Option<&str>| {
            if let Some(value) = value {
                out.extend_from_slice(name);
                write_string(value, out);
            }
        };
        member(b",\"commandId\":", self.command_id);
        member(b",\"projectId\":", self.project_id);
        member(b",\"timestamp\":", Some(self.timestamp));
        if let Some(seq) = self.seq {
            out.extend_from_slice(b",\"seq\":");
            out.extend_from_slice(seq.to_string().as_bytes());
        }
        if let Some((trace, baggage)) = self.carrier {
            out.extend_from_slice(b",\"_sentry\":");
            write_carrier(trace, baggage, out);
        }
        if !fields.is_empty() {
            out.push(b',');
            out.extend_from_slice(fields.as_bytes());
        }
        out.push(b'}');
    }
}

/// Writes the value of a `_sentry` field.
pub fn write_carrier(trace: &str, baggage: Option<&str>, out: &mut Vec<u8>) {
    out.extend_from_slice(b"{\"trace\":");
    write_string(trace, out);
    if let Some(baggage) = baggage {
        out.extend_from_slice(b",\"baggage\":");
        write_string(baggage, out);
    }
    out.push(b'}');
}

/// Writes `text` as a JSON string.
pub fn write_string(text: &str, out: &mut Vec<u8>) {
    // A string serialises into memory without fail.
    let _ = serde_json::to_writer(out, text);
}

/// An event with every field it came with.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Event {
    /// The `type`; any text, known or not.
    #[serde(rename = "type")]
    pub kind: String,
    /// See [`EventHead::command_id`].
    #[serde(rename = "commandId", default, skip_serializing_if = "Option::is_none")]
    pub command_id: Option<String>,
    /// See [`EventHead::project_id`].
    #[serde(rename = "projectId", default, skip_serializing_if = "Option::is_none")]
    pub project_id: Option<String>,
    /// See [`EventHead::timestamp`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timestamp: Option<String>,
    /// See [`EventHead::seq`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub seq: Option<u64>,
    /// The trace carrier; none if it is malformed, which never fails the event.
    #[serde(
        rename = "_sentry",
        default,
        skip_serializing_if = "Option::is_none",
        deserialize_with = "carrier_if_right"
    )]
    pub carrier: Option<Carrier>,
    /// Everything else, to be read with [`Event::payload`].
    #[serde(flatten)]
    pub fields: Map<String, Value>,
}

fn carrier_if_right<'de, D: Deserializer<'de>>(value: D) -> Result<Option<Carrier>, D::Error> {
    let value = Value::deserialize(value)?;
    Ok(Carrier::deserialize(value).ok())
}

impl Event {
    /// Reads the fields that this event's type has of its own, such as [`BuildCompleted`].
    ///
    /// # Errors
    /// What was expected, if a field has the wrong type.
    pub fn payload<T: serde::de::DeserializeOwned>(&self) -> Result<T, serde_json::Error> {
        serde_json::from_value(Value::Object(self.fields.clone()))
    }
}

#[cfg(test)]
mod tests;
