//! The events that are no parts of a stream: what they say of the build, the project and the command.

use hopline_state::group::ProjectChange;
use hopline_state::rows::{CommandStatus, Decision, Outcome, SessionStatus};
use hopline_wire::command::CommandType;
use hopline_wire::event::{
    BuildCompleted, EventType, Failed, FileContent, FileList, FileWritten, FilesDeleted, LogChunk,
    PortDetected, ProcessExited, ProjectMetadata, RunnerStatus,
};
use hopline_wire::ingest::RejectCode;
use hopline_wire::part::Part;
use hopline_wire::text::storable_json;
use serde::de::DeserializeOwned;
use uuid::Uuid;

use super::{Build, Changes, End, Moment, Refusal, Stop};
use crate::incoming::Incoming;

/// A command as folded so far: what its events change, besides its place.
#[derive(Debug, Clone)]
pub(crate) struct CommandFold {
    /// The command's type; none for one that the server never gave or whose type it does not know.
    pub(crate) kind: Option<CommandType>,
    /// Its project, if it is there.
    pub(crate) project_id: Option<Uuid>,
    /// Whether it has ended; the first end holds.
    pub(crate) has_ended: bool,
    /// Its build, if it is one.
    pub(crate) build: Option<Build>,
}

/// What an event has come to.
#[derive(Debug)]
pub(crate) struct Folded {
    /// For the log.
    pub(crate) outcome: Outcome,
    /// Why it is not committed.
    pub(crate) reason: Option<String>,
    /// Whether it ended the build, and how.
    pub(crate) finalized: Option<SessionStatus>,
}

const COMMITTED: Folded = Folded {
    outcome: Outcome::Committed,
    reason: None,
    finalized: None,
};

impl CommandFold {
    /// Folds one event. `part` is what a `build-stream` event holds.
    pub(crate) fn apply(
        &mut self,
        event: &Incoming,
        part: Option<&Part<'_>>,
        moment: &Moment,
        changes: &mut Changes,
    ) -> Result<Folded, Stop> {
        if let Some(part) = part {
            if let Some(build) = &mut self.build {
                build.apply(part, moment, changes)?;
                self.go_on_if_reopened(changes);
            }
            return Ok(COMMITTED);
        }
        let folded = self.apply_whole(event, moment, changes);
        folded.map_err(Stop::Refused)
    }

    /// Notes that an event has come that changes nothing else.
    pub(crate) fn touch(&mut self, moment: &Moment, changes: &mut Changes) {
        if let Some(build) = &mut self.build {
            build.touch(moment, changes);
            self.go_on_if_reopened(changes);
        }
    }

    /// A build that runs again is a command that runs again.
    fn go_on_if_reopened(&mut self, changes: &mut Changes) {
        if self.has_ended && changes.reopened {
            self.has_ended = false;
            changes.command_status = Some((CommandStatus::Acked, None));
        }
    }

    fn acked(&self, changes: &mut Changes) {
        if !self.has_ended {
            changes.command_status = Some((CommandStatus::Acked, None));
        }
    }

    fn ended(&mut self, status: CommandStatus, moment: &Moment, changes: &mut Changes) {
        if !self.has_ended {
            self.has_ended = true;
            changes.command_status = Some((status, Some(moment.at)));
        }
    }

    /// Folds a decision of the server about the build at its place; says whether it changed anything.
    pub(crate) fn decide(&mut self, decision: Decision, changes: &mut Changes) -> bool {
        let at = decision.at;
        let Some(build) = &mut self.build else {
            return false;
        };
        if !build.decide(decision, changes) {
            return false;
        }
        if changes.reopened {
            self.go_on_if_reopened(changes);
        } else {
            self.has_ended = true;
            changes.command_status = Some((CommandStatus::Failed, Some(at)));
        }
        true
    }

    fn apply_whole(
        &mut self,
        event: &Incoming,
        moment: &Moment,
        changes: &mut Changes,
    ) -> Result<Folded, Refusal> {
        match event.event_type() {
            Some(EventType::Ack) => {
                self.touch(moment, changes);
                // To some commands that is the whole answer.
                match self.kind {
                    Some(CommandType::CancelBuild) => {
                        self.ended(CommandStatus::Ended, moment, changes);
                    }
                    _ => self.acked(changes),
                }
            }
            Some(EventType::BuildCompleted) => return self.completed(event, moment, changes),
            Some(EventType::BuildFailed) => return self.failed(event, true, moment, changes),
            Some(EventType::Error) => return self.failed(event, moment.legacy, moment, changes),
            Some(EventType::ProjectMetadata) => self.metadata(event, moment, changes)?,
            Some(EventType::PortDetected) => self.port_detected(event, moment, changes)?,
            Some(EventType::ProcessExited) => self.process_exited(event, moment, changes)?,
            Some(EventType::EventsLost) => return Ok(self.lost(event, moment, changes)),
            Some(EventType::FilesDeleted) => {
                self.answered::<FilesDeleted>(event, moment, changes)?
            }
            Some(EventType::FileWritten) => self.answered::<FileWritten>(event, moment, changes)?,
            Some(EventType::FileContent) => self.answered::<FileContent>(event, moment, changes)?,
            Some(EventType::FileList) => self.answered::<FileList>(event, moment, changes)?,
            Some(EventType::RunnerStatus) => {
                self.answered::<RunnerStatus>(event, moment, changes)?
            }
            Some(EventType::LogChunk) => {
                read::<LogChunk>(event)?;
                self.touch(moment, changes);
            }
            Some(EventType::BuildStream | EventType::BuildProgress) | None => {
                self.touch(moment, changes);
            }
        }
        Ok(COMMITTED)
    }

    /// An event that is the whole answer to its command.
    fn answered<T: DeserializeOwned>(
        &mut self,
        event: &Incoming,
        moment: &Moment,
        changes: &mut Changes,
    ) -> Result<(), Refusal> {
        read::<T>(event)?;
        self.touch(moment, changes);
        // What a build says about files does not end it.
        if self.build.is_none() {
            self.ended(CommandStatus::Ended, moment, changes);
        }
        Ok(())
    }

    fn completed(
        &mut self,
        event: &Incoming,
        moment: &Moment,
        changes: &mut Changes,
    ) -> Result<Folded, Refusal> {
        let read: BuildCompleted = read(event)?;
        self.touch(moment, changes);
        self.ended(CommandStatus::Ended, moment, changes);
        let end = End {
            status: SessionStatus::Completed,
            is_final: true,
            error_message: None,
            exit_code: read.exit_code,
            summary: read.payload.summary,
        };
        Ok(self.finalize(end, moment, changes))
    }

    /// `build-failed`, and `error`, which ends a build only on a legacy link.
    fn failed(
        &mut self,
        event: &Incoming,
        ends_build: bool,
        moment: &Moment,
        changes: &mut Changes,
    ) -> Result<Folded, Refusal> {
        let read: Failed = read(event)?;
        self.touch(moment, changes);
        if self.build.is_some() && !ends_build {
            return Ok(COMMITTED);
        }
        self.ended(CommandStatus::Failed, moment, changes);
        let end = End {
            status: SessionStatus::Failed,
            is_final: true,
            error_message: Some(read.error),
            exit_code: read.exit_code,
            summary: None,
        };
        Ok(self.finalize(end, moment, changes))
    }

    fn finalize(&mut self, end: End, moment: &Moment, changes: &mut Changes) -> Folded {
        let status = end.status;
        let build = self.build.as_mut().filter(|build| !build.session.is_final);
        let finalized = build.map(|build| {
            build.end(end, moment.at, changes);
            status
        });
        Folded {
            finalized,
            ..COMMITTED
        }
    }

    fn metadata(
        &mut self,
        event: &Incoming,
        moment: &Moment,
        changes: &mut Changes,
    ) -> Result<(), Refusal> {
        let read: ProjectMetadata = read(event)?;
        let metadata = read.payload;
        self.touch(moment, changes);
        self.project(moment, changes, |change| {
            change.path = metadata.path;
            change.project_type = metadata.project_type;
            change.run_command = metadata.run_command;
            change.port = metadata.port;
        });
        Ok(())
    }

    fn port_detected(
        &mut self,
        event: &Incoming,
        moment: &Moment,
        changes: &mut Changes,
    ) -> Result<(), Refusal> {
        let read: PortDetected = read(event)?;
        self.touch(moment, changes);
        self.project(moment, changes, |change| {
            change.dev_server_port = Some(Some(read.port));
            change.dev_server_status = Some("running".into());
        });
        Ok(())
    }

    fn process_exited(
        &mut self,
        event: &Incoming,
        moment: &Moment,
        changes: &mut Changes,
    ) -> Result<(), Refusal> {
        let read: ProcessExited = read(event)?;
        self.touch(moment, changes);
        if self.build.is_none() {
            self.ended(CommandStatus::Ended, moment, changes);
        }
        let failed = read.exit_code.is_some_and(|code| code != 0);
        self.project(moment, changes, |change| {
            change.dev_server_port = Some(None);
            let status = if failed { "failed" } else { "stopped" };
            change.dev_server_status = Some(status.into());
        });
        Ok(())
    }

    fn project(
        &self,
        moment: &Moment,
        changes: &mut Changes,
        set: impl FnOnce(&mut ProjectChange),
    ) {
        let Some(project_id) = self.project_id else {
            return;
        };
        let mut change = ProjectChange {
            project_id,
            last_activity_at: Some(moment.at),
            ..ProjectChange::default()
        };
        set(&mut change);
        changes.project(change);
    }

    /// Events that the runner can no longer give. The event that says so is their stand-in, so it is taken
    /// whatever else it says.
    fn lost(&mut self, event: &Incoming, moment: &Moment, changes: &mut Changes) -> Folded {
        self.touch(moment, changes);
        if let Some(build) = &mut self.build {
            build.session.incomplete = true;
            changes.session_changed = true;
        }
        let reason = lost_range(event).reason;
        Folded {
            outcome: Outcome::Expired,
            reason: Some(reason.unwrap_or_else(|| "lost".into())),
            finalized: None,
        }
    }
}

/// What an `events-lost` says of the events it stands for, as far as it can be read.
#[derive(Debug, Default, serde::Deserialize)]
#[serde(default)]
pub(crate) struct LostRange {
    /// The first of them.
    pub(crate) from: Option<u64>,
    /// Why.
    reason: Option<String>,
}

/// Reads an `events-lost`.
pub(crate) fn lost_range(event: &Incoming) -> LostRange {
    serde_json::from_str(&storable_json(event.json())).unwrap_or_default()
}

/// Reads the fields that an event's type has of its own.
fn read<T: DeserializeOwned>(event: &Incoming) -> Result<T, Refusal> {
    // What no row can hold is replaced before the texts are taken out.
    serde_json::from_str(&storable_json(event.json())).map_err(|error| {
        Refusal::new(
            RejectCode::BadEvent,
            format!("{}: {error}", &**event.kind()),
        )
    })
}
