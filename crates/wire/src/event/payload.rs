//! What each type of event has of its own, typed and owned. Read one with [`Event::payload`](super::Event::payload).
//! A field that may be left out may be `null` as well.

use serde::{Deserialize, Deserializer, Serialize};
use serde_json::{Map, Value};

/// Reads a field that has a default, which `null` stands for too.
fn or_default<'de, D: Deserializer<'de>, T: Deserialize<'de> + Default>(
    field: D,
) -> Result<T, D::Error> {
    Ok(Option::deserialize(field)?.unwrap_or_default())
}

/// The fields of `build-completed`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct BuildCompleted {
    /// What was done.
    #[serde(default, deserialize_with = "or_default")]
    pub payload: CompletedPayload,
    /// The exit code of the agent's program.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub exit_code: Option<i32>,
}

/// The `payload` of `build-completed`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct CompletedPayload {
    /// The todos as they ended.
    #[serde(default, deserialize_with = "or_default")]
    pub todos: Vec<CompletedTodo>,
    /// A sentence for people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub summary: Option<String>,
}

/// One todo in `build-completed`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct CompletedTodo {
    /// Its id, which the format leaves to the agent.
    #[serde(default)]
    pub id: Value,
    /// What was to be done.
    #[serde(default, deserialize_with = "or_default")]
    pub title: String,
    /// How it ended.
    #[serde(default, deserialize_with = "or_default")]
    pub status: String,
}

/// The fields of `build-failed` and `error`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Failed {
    /// What went wrong, for people.
    #[serde(default, deserialize_with = "or_default")]
    pub error: String,
    /// Where in the code, if the runner says.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stack: Option<String>,
    /// What went wrong, for programs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub code: Option<String>,
    /// The program's exit code.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub exit_code: Option<i32>,
    /// The signal that ended the program.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub signal: Option<Value>,
}

/// The fields of `project-metadata`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProjectMetadata {
    /// What was found.
    pub payload: ProjectMetadataPayload,
}

/// The `payload` of `project-metadata`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ProjectMetadataPayload {
    /// The project's folder on the runner.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub path: Option<String>,
    /// What kind of project it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub project_type: Option<String>,
    /// How its dev server is started.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub run_command: Option<String>,
    /// The port its dev server listens on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub port: Option<u16>,
}

/// The fields of `files-deleted`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct FilesDeleted {
    /// The project's slug.
    pub slug: String,
}

/// The fields of `file-written`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct FileWritten {
    /// The project's slug.
    pub slug: String,
    /// The file, relative to the project's folder.
    pub file_path: String,
}

/// How a file's content is written in JSON.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Encoding {
    /// As it is.
    #[default]
    Utf8,
    /// In base 64 (RFC 4648, section 4), for what is no UTF-8.
    Base64,
}

/// The fields of `file-content`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct FileContent {
    /// The project's slug.
    pub slug: String,
    /// The file, relative to the project's folder.
    pub file_path: String,
    /// What is in it.
    pub content: String,
    /// How `content` is written.
    #[serde(default, deserialize_with = "or_default")]
    pub encoding: Encoding,
    /// The file's size in bytes.
    pub size: u64,
}

/// The fields of `file-list`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileList {
    /// The project's slug.
    pub slug: String,
    /// The folder's entries.
    pub files: Vec<FileEntry>,
}

/// One entry of a folder.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileEntry {
    /// The entry's name.
    pub name: String,
    /// What it is: `file`, `directory`, `symlink` or `other`.
    #[serde(rename = "type")]
    pub kind: String,
    /// Its path relative to the project's folder.
    pub path: String,
    /// Its size in bytes; 0 for a folder.
    #[serde(default, deserialize_with = "or_default")]
    pub size: u64,
}

/// The fields of `log-chunk`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct LogChunk {
    /// `stdout` or `stderr`.
    pub stream: String,
    /// The output.
    pub data: String,
    /// Where the next chunk begins, to be handed to `fetch-logs`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cursor: Option<u64>,
}

/// The fields of `port-detected`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct PortDetected {
    /// The port that the dev server listens on.
    pub port: u16,
    /// The framework, where it is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub framework: Option<String>,
}

/// The fields of `process-exited`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ProcessExited {
    /// The exit code, if the process ended by itself.
    #[serde(default)]
    pub exit_code: Option<i32>,
    /// The signal's name, if one ended it.
    #[serde(default)]
    pub signal: Option<Value>,
    /// How long it ran, in milliseconds.
    #[serde(default, deserialize_with = "or_default")]
    pub duration_ms: u64,
}

/// The fields of `ack`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ack {
    /// A word for people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
}

/// The fields of `runner-status`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct RunnerStatus {
    /// How the runner is.
    pub payload: RunnerStatusPayload,
}

/// The `payload` of `runner-status`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct RunnerStatusPayload {
    /// In a word.
    #[serde(default, deserialize_with = "or_default")]
    pub status: String,
    /// The runner's version.
    #[serde(default, deserialize_with = "or_default")]
    pub version: String,
    /// Its machine.
    #[serde(default, deserialize_with = "or_default")]
    pub hostname: String,
    /// The machine's system and architecture.
    #[serde(default, deserialize_with = "or_default")]
    pub platform: String,
    /// For how many seconds it has run.
    #[serde(default, deserialize_with = "or_default")]
    pub uptime_seconds: f64,
    /// The machine's load average over a minute.
    #[serde(default, deserialize_with = "or_default")]
    pub load: f64,
    /// What else the runner says.
    #[serde(flatten)]
    pub more: Map<String, Value>,
}

/// The fields of `events-lost`; the event's own `seq` is `to`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct EventsLost {
    /// The first lost sequence number.
    pub from: u64,
    /// The last.
    pub to: u64,
    /// Why.
    #[serde(default, deserialize_with = "or_default")]
    pub reason: String,
}
