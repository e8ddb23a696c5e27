//! The events that are no parts of a stream: what they say of the build, the project and the command.

use hopline_state::group::ProjectChange;
use hopline_state::rows::{CommandStatus, Decision, Outcome, SessionStatus};
use hopline_wire::command::CommandType;
use hopline_wire::event::EventType;
use hopline_wire::part::Part;
use hopline_wire::text::storable_json;
use uuid::Uuid;

use super::fields::Fields;
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
    /// What is wrong with an event that was folded all the same, as far as it could be read: nobody will say again
    /// that something has ended.
    pub(crate) refusal: Option<Refusal>,
}

const COMMITTED: Folded = Folded {
    outcome: Outcome::Committed,
    reason: None,
    finalized: None,
    refusal: None,
};

impl Folded {
    /// An event that is wrong.
    pub(crate) fn refused(refusal: Refusal) -> Self {
        Self {
            outcome: Outcome::Rejected,
            reason: Some(format!("{}: {}", refusal.code.as_str(), refusal.error)),
            finalized: None,
            refusal: Some(refusal),
        }
    }
}

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
            let before = changes.reopenings;
            if let Some(build) = &mut self.build {
                build.apply(part, moment, changes)?;
                self.go_on_if_reopened(before, changes);
            }
            return Ok(COMMITTED);
        }
        let folded = self.apply_whole(event, moment, changes);
        folded.map_err(Stop::Refused)
    }

    /// Notes that an event has come that changes nothing else.
    pub(crate) fn touch(&mut self, moment: &Moment, changes: &mut Changes) {
        let before = changes.reopenings;
        if let Some(build) = &mut self.build {
            build.touch(moment, changes);
            self.go_on_if_reopened(before, changes);
        }
    }

    /// A build that runs again is a command that runs again. `before` is how often builds had been taken up again
    /// when the event came: it may be one of many in its run, and others have ended the build since.
    fn go_on_if_reopened(&mut self, before: usize, changes: &mut Changes) {
        if self.has_ended && changes.reopenings > before {
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
        let (at, before) = (decision.at, changes.reopenings);
        let Some(build) = &mut self.build else {
            return false;
        };
        if !build.decide(decision, changes) {
            return false;
        }
        if changes.reopenings > before {
            self.go_on_if_reopened(before, changes);
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
        // What no row can hold is replaced before the texts are taken out.
        let json = storable_json(event.json());
        let fields = &Fields::of_event(&json);
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
            Some(EventType::BuildCompleted) => {
                return Ok(self.completed(fields, moment, changes));
            }
            Some(EventType::BuildFailed) => return Ok(self.failed(fields, true, moment, changes)),
            Some(EventType::Error) => {
                return Ok(self.failed(fields, moment.legacy, moment, changes));
            }
            Some(EventType::ProjectMetadata) => self.metadata(fields, moment, changes)?,
            Some(EventType::PortDetected) => self.port_detected(fields, moment, changes)?,
            Some(EventType::ProcessExited) => {
                return Ok(self.process_exited(fields, moment, changes));
            }
            Some(EventType::EventsLost) => return Ok(self.lost(event, moment, changes)),
            Some(
                answer @ (EventType::FilesDeleted
                | EventType::FileWritten
                | EventType::FileContent
                | EventType::FileList
                | EventType::RunnerStatus),
            ) => self.answered(answer, fields, moment, changes)?,
            Some(EventType::LogChunk) => {
                fields.needs_text("stream")?;
                fields.needs_text("data")?;
                fields.count("cursor")?;
                self.touch(moment, changes);
            }
            Some(EventType::BuildStream | EventType::BuildProgress) | None => {
                self.touch(moment, changes);
            }
        }
        Ok(COMMITTED)
    }

    /// An event that is the whole answer to its command.
    fn answered(
        &mut self,
        answer: EventType,
        fields: &Fields<'_>,
        moment: &Moment,
        changes: &mut Changes,
    ) -> Result<(), Refusal> {
        check_answer(answer, fields)?;
        self.touch(moment, changes);
        // What a build says about files does not end it.
        if self.build.is_none() {
            self.ended(CommandStatus::Ended, moment, changes);
        }
        Ok(())
    }

    fn completed(&mut self, fields: &Fields<'_>, moment: &Moment, changes: &mut Changes) -> Folded {
        let mut wrong = None;
        let summary = fields.object("payload");
        let summary = summary.and_then(|payload| payload.text("summary"));
        let end = End {
            status: SessionStatus::Completed,
            is_final: true,
            error_message: None,
            exit_code: as_far_as_read(fields.exit_code(), &mut wrong),
            summary: as_far_as_read(summary, &mut wrong),
        };
        self.touch(moment, changes);
        self.ended(CommandStatus::Ended, moment, changes);
        self.finalize(end, wrong, moment, changes)
    }

    /// `build-failed`, and `error`, which ends a build only on a legacy link.
    fn failed(
        &mut self,
        fields: &Fields<'_>,
        ends_build: bool,
        moment: &Moment,
        changes: &mut Changes,
    ) -> Folded {
        let mut wrong = None;
        let error = as_far_as_read(fields.text("error"), &mut wrong);
        // Whoever asks why the build failed is told at least why that is not known.
        let error = error.or_else(|| wrong.as_ref().map(|wrong: &Refusal| wrong.error.clone()));
        let end = End {
            status: SessionStatus::Failed,
            is_final: true,
            error_message: Some(error.unwrap_or_default()),
            exit_code: as_far_as_read(fields.exit_code(), &mut wrong),
            summary: None,
        };
        self.touch(moment, changes);
        if self.build.is_some() && !ends_build {
            return refused_in_part(wrong);
        }
        self.ended(CommandStatus::Failed, moment, changes);
        self.finalize(end, wrong, moment, changes)
    }

    fn finalize(
        &mut self,
        end: End,
        wrong: Option<Refusal>,
        moment: &Moment,
        changes: &mut Changes,
    ) -> Folded {
        let status = end.status;
        let build = self.build.as_mut().filter(|build| !build.session.is_final);
        let finalized = build.map(|build| {
            build.end(end, moment.at, changes);
            status
        });
        Folded {
            finalized,
            ..refused_in_part(wrong)
        }
    }

    fn metadata(
        &mut self,
        fields: &Fields<'_>,
        moment: &Moment,
        changes: &mut Changes,
    ) -> Result<(), Refusal> {
        let payload = fields.needs_object("payload")?;
        let (path, project_type) = (payload.text("path")?, payload.text("projectType")?);
        let (run_command, port) = (payload.text("runCommand")?, payload.port()?);
        self.touch(moment, changes);
        self.project(moment, changes, |change| {
            change.path = path;
            change.project_type = project_type;
            change.run_command = run_command;
            change.port = port;
        });
        Ok(())
    }

    fn port_detected(
        &mut self,
        fields: &Fields<'_>,
        moment: &Moment,
        changes: &mut Changes,
    ) -> Result<(), Refusal> {
        let port = fields.needs_port()?;
        self.touch(moment, changes);
        self.project(moment, changes, |change| {
            change.dev_server_port = Some(Some(port));
            change.dev_server_status = Some("running".into());
        });
        Ok(())
    }

    fn process_exited(
        &mut self,
        fields: &Fields<'_>,
        moment: &Moment,
        changes: &mut Changes,
    ) -> Folded {
        let mut wrong = None;
        let exit_code = as_far_as_read(fields.exit_code(), &mut wrong);
        self.touch(moment, changes);
        if self.build.is_none() {
            self.ended(CommandStatus::Ended, moment, changes);
        }
        let failed = exit_code.is_some_and(|code| code != 0);
        self.project(moment, changes, |change| {
            change.dev_server_port = Some(None);
            let status = if failed { "failed" } else { "stopped" };
            change.dev_server_status = Some(status.into());
        });
        refused_in_part(wrong)
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
        let reason = reason.map_or_else(|| "lost".into(), Refusal::cut);
        Folded {
            outcome: Outcome::Expired,
            reason: Some(reason),
            finalized: None,
            refusal: None,
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

/// Whether an answer says what its type must say.
fn check_answer(answer: EventType, fields: &Fields<'_>) -> Result<(), Refusal> {
    match answer {
        EventType::RunnerStatus => fields.needs_object("payload").map(|_| ()),
        EventType::FileList => {
            fields.needs_text("slug")?;
            for file in fields.needs_objects("files")? {
                file.needs_text("name")?;
                file.needs_text("type")?;
                file.needs_text("path")?;
                file.count("size")?;
            }
            Ok(())
        }
        EventType::FileContent => {
            fields.needs_text("slug")?;
            fields.needs_text("filePath")?;
            fields.needs_text("content")?;
            fields.text("encoding")?;
            fields.count("size").map(|_| ())
        }
        EventType::FileWritten => {
            fields.needs_text("slug")?;
            fields.needs_text("filePath")
        }
        _ => fields.needs_text("slug"),
    }
}

/// A field of an event that is folded whatever it says: none if it cannot be read. The first that cannot is told.
fn as_far_as_read<T>(read: Result<Option<T>, Refusal>, wrong: &mut Option<Refusal>) -> Option<T> {
    read.unwrap_or_else(|refusal| {
        wrong.get_or_insert(refusal);
        None
    })
}

/// An event that was folded, though something in it may be wrong.
fn refused_in_part(wrong: Option<Refusal>) -> Folded {
    match wrong {
        None => COMMITTED,
        Some(refusal) => Folded::refused(refusal),
    }
}
