//! Commands: what a server asks of a runner, one JSON object each.

use serde::de::{self, Deserializer, Visitor};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use std::collections::BTreeMap;

use crate::carrier::Carrier;
use crate::event::Encoding;

/// The types of commands that the format names.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum CommandType {
    /// Run an agent.
    StartBuild,
    /// End a build.
    CancelBuild,
    /// Start a project's dev server.
    StartDevServer,
    /// Stop it.
    StopDevServer,
    /// Give its output again.
    FetchLogs,
    /// Say how you are.
    RunnerHealthCheck,
    /// Delete a project's folder.
    DeleteProjectFiles,
    /// Read a file.
    ReadFile,
    /// Write a file.
    WriteFile,
    /// List a folder.
    ListFiles,
}

impl CommandType {
    /// Every type, in the order of the format's table.
    pub const ALL: [Self; 10] = [
        Self::StartBuild,
        Self::CancelBuild,
        Self::StartDevServer,
        Self::StopDevServer,
        Self::FetchLogs,
        Self::RunnerHealthCheck,
        Self::DeleteProjectFiles,
        Self::ReadFile,
        Self::WriteFile,
        Self::ListFiles,
    ];

    /// The type's name on the wire.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::StartBuild => "start-build",
            Self::CancelBuild => "cancel-build",
            Self::StartDevServer => "start-dev-server",
            Self::StopDevServer => "stop-dev-server",
            Self::FetchLogs => "fetch-logs",
            Self::RunnerHealthCheck => "runner-health-check",
            Self::DeleteProjectFiles => "delete-project-files",
            Self::ReadFile => "read-file",
            Self::WriteFile => "write-file",
            Self::ListFiles => "list-files",
        }
    }

    /// The type of this name; none for a type that the format does not name.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.as_str() == name)
    }
}

/// A command with every field it came with.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Command {
    /// The command's identity; a runner executes it once.
    pub id: String,
    /// The `type`; any text, known or not.
    #[serde(rename = "type")]
    pub kind: String,
    /// The project.
    #[serde(rename = "projectId", default, skip_serializing_if = "Option::is_none")]
    pub project_id: Option<String>,
    /// When it was asked, in ISO 8601.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timestamp: Option<String>,
    /// The trace carrier. Kept raw until it is read, so that a malformed one cannot fail the command.
    #[serde(rename = "_sentry", default, skip_serializing_if = "Option::is_none")]
    pub carrier: Option<Value>,
    /// Everything else: the members of the payload, beside each other or inside `payload`.
    #[serde(flatten)]
    pub fields: Map<String, Value>,
}

impl Command {
    /// A command with this payload.
    ///
    /// # Errors
    /// If the payload does not serialise to a JSON object.
    pub fn new<T: Serialize>(
        id: String,
        kind: CommandType,
        payload: &T,
    ) -> Result<Self, serde_json::Error> {
        let fields = match serde_json::to_value(payload)? {
            Value::Object(fields) => fields,
            Value::Null => Map::new(),
            _ => {
                return Err(serde::ser::Error::custom(
                    "expected the payload to be an object",
                ));
            }
        };
        let mut all = Map::new();
        all.insert("payload".into(), Value::Object(fields));
        Ok(Self {
            id,
            kind: kind.as_str().into(),
            project_id: None,
            timestamp: None,
            carrier: None,
            fields: all,
        })
    }

    /// The command's type, if the format names it.
    #[must_use]
    pub fn command_type(&self) -> Option<CommandType> {
        CommandType::named(&self.kind)
    }

    /// The carrier, if it has the right shape.
    #[must_use]
    pub fn read_carrier(&self) -> Option<Carrier> {
        Carrier::deserialize(self.carrier.as_ref()?).ok()
    }

    /// Reads the payload, such as [`StartBuild`]: from the member `payload` if it is an object, as the
    /// original writes it, else from the command's own members.
    ///
    /// # Errors
    /// What was expected, if a field is missing or has the wrong type.
    pub fn payload<T: serde::de::DeserializeOwned>(&self) -> Result<T, serde_json::Error> {
        let fields = match self.fields.get("payload") {
            Some(Value::Object(inner)) => inner,
            _ => &self.fields,
        };
        serde_json::from_value(Value::Object(fields.clone()))
    }
}

/// What a build is for.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum OperationType {
    /// The first build of a project.
    #[default]
    InitialBuild,
    /// Something new in a project that is there.
    Enhancement,
    /// A small, precise change.
    FocusedEdit,
    /// Going on where the last build ended.
    Continuation,
}

impl OperationType {
    /// The operation's name on the wire and in rows.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::InitialBuild => "initial-build",
            Self::Enhancement => "enhancement",
            Self::FocusedEdit => "focused-edit",
            Self::Continuation => "continuation",
        }
    }
}

/// The payload of `start-build`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct StartBuild {
    /// What is asked, for people and agents.
    #[serde(default)]
    pub prompt: String,
    /// What the build is for.
    #[serde(default)]
    pub operation_type: OperationType,
    /// The project's folder name at the runner.
    #[serde(default)]
    pub project_slug: String,
    /// The project's name for people.
    #[serde(default)]
    pub project_name: String,
    /// Which agent runs: `command`, `steps`, `stream`.
    #[serde(default)]
    pub agent: String,
    /// Whatever else the agent wants to know.
    #[serde(default, skip_serializing_if = "Value::is_null")]
    pub context: Value,
    /// The program of the agents `command` and `stream`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub command: Option<CommandLine>,
    /// The steps of the agent `steps`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub steps: Option<Vec<Step>>,
    /// Members this version does not know.
    #[serde(flatten)]
    pub more: Map<String, Value>,
}

/// A program to run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(untagged)]
pub enum CommandLine {
    /// For the shell.
    Shell(String),
    /// The program and its arguments.
    Argv(Vec<String>),
}

/// By hand, since what is derived does not say what it expected.
impl<'de> Deserialize<'de> for CommandLine {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(CommandLineVisitor)
    }
}

struct CommandLineVisitor;

impl<'de> Visitor<'de> for CommandLineVisitor {
    type Value = CommandLine;

    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("what to run: a line for the shell or a list of words")
    }

    fn visit_str<E: de::Error>(self, line: &str) -> Result<CommandLine, E> {
        Ok(CommandLine::Shell(line.to_owned()))
    }

    fn visit_string<E: de::Error>(self, line: String) -> Result<CommandLine, E> {
        Ok(CommandLine::Shell(line))
    }

    fn visit_seq<A: de::SeqAccess<'de>>(self, words: A) -> Result<CommandLine, A::Error> {
        let words = de::value::SeqAccessDeserializer::new(words);
        Vec::deserialize(words).map(CommandLine::Argv)
    }
}

impl std::fmt::Display for CommandLine {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Shell(line) => f.write_str(line),
            Self::Argv(argv) => f.write_str(&argv.join(" ")),
        }
    }
}

/// One step of the agent `steps`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Step {
    /// Its name: its todo and its span bear it.
    pub name: String,
    /// What to run.
    pub run: CommandLine,
    /// Variables added to its environment.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub env: BTreeMap<String, String>,
    /// Where to run it, relative to the project's folder and inside it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cwd: Option<String>,
    /// After how many seconds it is ended; never, if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timeout_seconds: Option<u64>,
    /// Members this version does not know.
    #[serde(flatten)]
    pub more: Map<String, Value>,
}

/// The payload of `cancel-build`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct CancelBuild {
    /// The command that started the build.
    pub target_command_id: String,
}

/// The payload of `start-dev-server`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct StartDevServer {
    /// What starts it, for the shell.
    pub run_command: String,
    /// Where, relative to the project's folder and inside it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub working_directory: Option<String>,
    /// Variables added to its environment.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub env: BTreeMap<String, String>,
    /// The port to ask for, through the variable `PORT`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub preferred_port: Option<u16>,
    /// The framework, where it is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub framework: Option<String>,
    /// The project's folder name at the runner.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub project_slug: Option<String>,
}

/// The payload of `fetch-logs`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct FetchLogs {
    /// Where to go on, from a `log-chunk`; from the oldest that is kept, if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cursor: Option<u64>,
    /// At most how many chunks.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limit: Option<u32>,
}

/// The payload of `delete-project-files`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeleteProjectFiles {
    /// The project's folder name at the runner.
    pub slug: String,
}

/// The payload of `read-file`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ReadFile {
    /// The project's folder name at the runner.
    pub slug: String,
    /// The file, relative to the project's folder.
    pub file_path: String,
}

/// The payload of `write-file`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct WriteFile {
    /// The project's folder name at the runner.
    pub slug: String,
    /// The file, relative to the project's folder.
    pub file_path: String,
    /// What to write.
    pub content: String,
    /// How `content` is written.
    #[serde(default)]
    pub encoding: Encoding,
}

/// The payload of `list-files`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ListFiles {
    /// The project's folder name at the runner.
    pub slug: String,
    /// The folder, relative to the project's.
    #[serde(default)]
    pub path: String,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_named_type_is_found_by_its_name() {
        for kind in CommandType::ALL {
            assert_eq!(CommandType::named(kind.as_str()), Some(kind));
        }
    }

    #[test]
    fn the_payload_is_read_beside_the_common_fields_and_inside_payload() {
        let beside = r#"{"id":"1","type":"read-file","slug":"s","filePath":"f"}"#;
        let inside = r#"{"id":"1","type":"read-file","payload":{"slug":"s","filePath":"f"}}"#;
        for json in [beside, inside] {
            let command: Command = serde_json::from_str(json).unwrap();
            let payload: ReadFile = command.payload().unwrap();
            assert_eq!(
                (payload.slug.as_str(), payload.file_path.as_str()),
                ("s", "f")
            );
        }
    }

    #[test]
    fn unknown_fields_survive_and_a_malformed_carrier_is_ignored() {
        let json = r#"{"id":"1","type":"of-tomorrow","_sentry":5,"new":[1]}"#;
        let command: Command = serde_json::from_str(json).unwrap();
        assert_eq!(command.read_carrier(), None);
        let again: Value = serde_json::to_value(&command).unwrap();
        assert_eq!(again, serde_json::from_str::<Value>(json).unwrap());
    }

    #[test]
    fn a_program_is_an_argument_list_or_a_line_for_the_shell() {
        let json = r#"{"agent":"steps","steps":[{"name":"a","run":"make"},{"name":"b","run":["make","test"],"timeoutSeconds":5}]}"#;
        let build: StartBuild = serde_json::from_str(json).unwrap();
        let steps = build.steps.unwrap();
        assert_eq!(steps[0].run, CommandLine::Shell("make".into()));
        assert_eq!(steps[1].run.to_string(), "make test");
    }

    #[test]
    fn what_is_no_program_is_told_what_was_expected() {
        for run in ["5", "null", "{}", "[5]"] {
            let json = format!(r#"{{"name":"a","run":{run}}}"#);
            let error = serde_json::from_str::<Step>(&json).unwrap_err().to_string();
            let expected = if run == "[5]" {
                "a string"
            } else {
                "a line for the shell or a list of words"
            };
            assert!(error.contains(expected), "{error}");
        }
    }

    #[test]
    fn a_step_of_a_newer_peer_survives_a_round_trip() {
        let json = r#"{"name":"a","run":"make","timeoutSeconds":5,"retries":2}"#;
        let step: Step = serde_json::from_str(json).unwrap();
        assert_eq!(step.timeout_seconds, Some(5));
        assert_eq!(serde_json::to_string(&step).unwrap(), json);
    }
}
