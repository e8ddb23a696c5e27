//! What the API says and is told, as far as the commands need it. Members that are not named here are
//! passed over, so that a newer server is understood.

use hopline_processor::Outcomes;
use hopline_wire::command::{CommandLine, Step};
use hopline_wire::{Timestamp, TraceId};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

/// A project.
#[derive(Debug, Clone, Deserialize)]
pub(crate) struct Project {
    /// Its identity.
    pub(crate) id: String,
    /// Its name for people.
    pub(crate) name: String,
    /// Its folder's name at a runner.
    pub(crate) slug: String,
}

#[derive(Debug, Deserialize)]
pub(super) struct ProjectList {
    pub(super) projects: Vec<Project>,
}

#[derive(Debug, Serialize)]
pub(super) struct NewProject<'a> {
    pub(super) name: &'a str,
}

/// A build that is asked for.
#[derive(Debug, Clone, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct BuildRequest {
    /// The runner, if not the project's or the only one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) runner_id: Option<String>,
    /// Who runs it.
    pub(crate) agent: String,
    /// What is asked.
    pub(crate) prompt: String,
    /// Of the agents `command` and `stream`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) command: Option<CommandLine>,
    /// Of the agent `steps`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) steps: Option<Vec<Step>>,
    /// Variables whose values are masked.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) secrets: Vec<String>,
}

/// A build that is on its way.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Started {
    /// The build's row.
    pub(crate) session_id: String,
    /// Its trace.
    pub(crate) trace_id: TraceId,
}

/// A build as it stands.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Build {
    /// The build's row.
    pub(crate) session_id: String,
    /// The build.
    pub(crate) build_id: String,
    /// The command that asked a runner for it.
    pub(crate) command_id: String,
    /// Its project.
    pub(crate) project_id: String,
    /// Who runs it.
    pub(crate) agent_id: String,
    /// `active`, `completed` or `failed`.
    pub(crate) status: String,
    /// Whether nothing can change the status any more.
    #[serde(rename = "final")]
    pub(crate) is_final: bool,
    /// Whether events of it were lost.
    #[serde(default)]
    pub(crate) incomplete: bool,
    /// Why it failed.
    pub(crate) error_message: Option<String>,
    /// The exit code of what it ran.
    pub(crate) exit_code: Option<i64>,
    /// Its trace.
    pub(crate) trace_id: Option<TraceId>,
    /// How many events it has.
    pub(crate) last_seq: u64,
    /// How its events have ended; where one build is looked at.
    pub(crate) outcomes: Option<Outcomes>,
    /// When it began.
    pub(crate) started_at: Timestamp,
    /// When it ended.
    pub(crate) ended_at: Option<Timestamp>,
}

impl Build {
    /// How long it has taken, in nanoseconds; up to `now` while it runs.
    pub(crate) fn duration_nanos(&self, now: Timestamp) -> u64 {
        self.ended_at.unwrap_or(now).nanos_since(self.started_at)
    }

    /// Whether it ended well.
    pub(crate) fn is_completed(&self) -> bool {
        self.status == "completed"
    }
}

/// A page of builds.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct BuildList {
    /// The newest first.
    pub(crate) builds: Vec<Build>,
    /// Where the next page begins.
    pub(crate) next_cursor: Option<String>,
}

/// A page of a build's log.
#[derive(Debug, Deserialize)]
pub(super) struct EventList {
    pub(super) events: Vec<Event>,
}

/// An event of the log, as far as it matters here.
#[derive(Debug, Deserialize)]
pub(super) struct Event {
    /// Its place.
    pub(super) seq: u64,
    /// Its type.
    #[serde(rename = "type")]
    pub(super) kind: String,
    /// What became of it: `committed`, `rejected` or `expired`.
    pub(super) outcome: String,
    /// As it was received, which need not be a text that can be told on.
    pub(super) body: Option<Box<RawValue>>,
}

impl Event {
    /// Whether it holds a part of the build's stream that the server took.
    pub(super) fn is_stream(&self) -> bool {
        self.kind == "build-stream" && self.outcome == "committed"
    }
}

/// A runner.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Runner {
    /// Its name.
    pub(crate) id: String,
    /// Where its broker is reached.
    pub(crate) broker_url: Option<String>,
    /// `up` or `down`.
    pub(crate) link: String,
}

/// How a server is doing. What it counts it counts since it was started.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Status {
    /// Its version.
    pub(crate) version: String,
    /// When it was started.
    pub(crate) started_at: Timestamp,
    /// How long ago that was.
    pub(crate) uptime_seconds: u64,
    /// The database that its rows are in.
    pub(crate) database: String,
    /// The runners that are linked, by name.
    pub(crate) runners: Vec<String>,
    /// How many builds run.
    pub(crate) running_builds: u64,
    /// How events have ended.
    pub(crate) events: Outcomes,
    /// What became of its own spans.
    pub(crate) spans: SpanCounts,
}

/// What became of a server's own spans.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct SpanCounts {
    /// Taken, to be stored and sent on.
    pub(crate) taken: u64,
    /// Dropped.
    pub(crate) dropped: u64,
}

#[derive(Debug, Deserialize)]
pub(super) struct RunnerList {
    pub(super) runners: Vec<Runner>,
}
