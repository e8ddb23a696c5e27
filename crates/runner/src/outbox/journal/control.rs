//! How all commands stand, as far as the journal says: what a checkpoint holds, and what is left of a journal after it
//! was read.

use std::collections::{BTreeMap, VecDeque};

use hopline_wire::carrier::SentryTrace;
use hopline_wire::command::CommandType;
use hopline_wire::event::{Event, EventType};
use hopline_wire::{Carrier, SpanId, Timestamp};
use serde::{Deserialize, Serialize};

use super::Entry;

/// Of how many commands that are settled wholly the id and the last number are remembered.
pub(crate) const ENDED_REMEMBERED: usize = 1_024;

/// What of a command outlives its runner's process.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct CommandHead {
    /// Its id.
    pub(crate) id: String,
    /// Its type.
    #[serde(rename = "type")]
    pub(crate) kind: String,
    /// Its project.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) project_id: Option<String>,
    /// Where its trace stands: at its `handleCommand` span, if it is recorded.
    pub(crate) carrier: Carrier,
    /// The parent of that span; none if it is its trace's head.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) parent: Option<SpanId>,
    /// When it was received, in nanoseconds since 1970.
    pub(crate) received: u64,
}

impl CommandHead {
    /// What an event shows of its command. Of its trace that is no more than which one it is, so nothing more is recorded
    /// of it.
    fn guessed(event: &Entry) -> Option<Self> {
        let event: Event = serde_json::from_slice(&event.body).ok()?;
        let made = event
            .timestamp
            .as_deref()
            .and_then(|at| at.parse::<Timestamp>().ok());
        let carrier = event.carrier.and_then(|carrier| {
            let trace: SentryTrace = carrier.trace.parse().ok()?;
            let sampled = Some(false);
            let trace = SentryTrace { sampled, ..trace }.to_string();
            Some(Carrier { trace, ..carrier })
        });
        Some(Self {
            id: event.command_id?,
            kind: String::new(),
            project_id: event.project_id,
            carrier: carrier.unwrap_or_else(|| Carrier {
                trace: String::new(),
                baggage: None,
            }),
            parent: None,
            received: made.unwrap_or_else(Timestamp::now).as_nanos(),
        })
    }
}

/// A command in the journal.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Known {
    pub(crate) head: CommandHead,
    /// The number of its last event; 0 if it has none.
    pub(crate) last_seq: u64,
    /// Up to which number its events are settled.
    pub(crate) acked: u64,
    /// Whether it has no more events.
    pub(crate) closed: bool,
    /// Whether it has the event that ends it.
    pub(crate) answered: bool,
}

/// All commands.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Control {
    /// Those that are not settled wholly, by the number that the journal gave them.
    pub(crate) commands: BTreeMap<u64, Known>,
    /// The last of those that are: id and last number, oldest first.
    pub(crate) ended: VecDeque<(String, u64)>,
    /// The last number that was given to a command.
    pub(crate) last_number: u64,
}

impl Control {
    pub(super) fn opened(&mut self, number: u64, head: CommandHead) {
        self.last_number = self.last_number.max(number);
        self.commands.entry(number).or_insert(Known {
            head,
            last_seq: 0,
            acked: 0,
            closed: false,
            answered: false,
        });
    }

    /// Events of a command were written.
    pub(super) fn written(&mut self, number: u64, events: &[Entry]) {
        // Were the command's first sign lost, its number would still not be another's.
        self.last_number = self.last_number.max(number);
        if let Some(known) = self.commands.get_mut(&number) {
            let last_seq = events.last().map_or(0, |event| event.seq);
            known.last_seq = known.last_seq.max(last_seq);
            let kind = CommandType::named(&known.head.kind);
            known.answered |= events.iter().any(|event| answers(kind, event.kind));
        }
    }

    /// Events of a command whose first sign may be damaged: where it is not known, it is as its events show it. Otherwise
    /// they would be gone without a word, and the command would be carried out again if it came again.
    pub(super) fn guess(&mut self, number: u64, events: &[Entry]) {
        let has_ended = |id: &str| self.ended.iter().any(|(ended, _)| ended == id);
        if !self.commands.contains_key(&number)
            && let Some(head) = events.first().and_then(CommandHead::guessed)
            && !has_ended(&head.id)
        {
            tracing::error!(command = %head.id, "the outbox's disk has damaged what a command began with");
            self.opened(number, head);
        }
        if let Some(known) = self.commands.get_mut(&number)
            && known.head.kind.is_empty()
            && let Some(kind) = events.iter().find_map(|event| command_of(event.kind))
        {
            kind.as_str().clone_into(&mut known.head.kind);
        }
    }

    /// The numbers of the commands, each with that of its last event.
    pub(super) fn last_seqs(&self) -> Vec<(u64, u64)> {
        let commands = self.commands.iter();
        commands
            .map(|(number, known)| (*number, known.last_seq))
            .collect()
    }

    pub(super) fn closed(&mut self, number: u64) {
        if let Some(known) = self.commands.get_mut(&number) {
            known.closed = true;
        }
        self.forget_settled(number);
    }

    pub(super) fn acked(&mut self, number: u64, seq: u64) {
        if let Some(known) = self.commands.get_mut(&number) {
            known.acked = known.acked.max(seq);
            // Where the last events are damaged, their numbers are used up all the same.
            known.last_seq = known.last_seq.max(seq);
        }
        self.forget_settled(number);
    }

    /// Forgets a command that has no more events and all of them settled, but for its id and its last number.
    fn forget_settled(&mut self, number: u64) {
        let settled = |known: &Known| known.closed && known.acked >= known.last_seq;
        if self.commands.get(&number).is_some_and(settled)
            && let Some(known) = self.commands.remove(&number)
        {
            if self.ended.len() == ENDED_REMEMBERED {
                self.ended.pop_front();
            }
            self.ended.push_back((known.head.id, known.last_seq));
        }
    }
}

/// Whether an event of this type is the last word on a command: after it nothing more is owed.
fn answers(command: Option<CommandType>, event: EventType) -> bool {
    match event {
        EventType::BuildCompleted | EventType::BuildFailed => true,
        // A build that cannot begin says so in an `error`, and ends with what comes after that.
        _ if command == Some(CommandType::StartBuild) => false,
        EventType::Error
        | EventType::ProcessExited
        | EventType::FilesDeleted
        | EventType::FileWritten
        | EventType::FileContent
        | EventType::FileList
        | EventType::RunnerStatus => true,
        EventType::BuildStream
        | EventType::ProjectMetadata
        | EventType::LogChunk
        | EventType::PortDetected
        | EventType::BuildProgress
        | EventType::Ack
        | EventType::EventsLost => false,
    }
}

/// The only type of command that has such events, where there is only one that must be told to have ended.
fn command_of(event: EventType) -> Option<CommandType> {
    match event {
        EventType::BuildStream
        | EventType::ProjectMetadata
        | EventType::BuildProgress
        | EventType::BuildCompleted
        | EventType::BuildFailed => Some(CommandType::StartBuild),
        EventType::PortDetected | EventType::ProcessExited => Some(CommandType::StartDevServer),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_settled_number_is_never_given_again() {
        let head = CommandHead {
            id: "c".into(),
            kind: "start-build".into(),
            project_id: None,
            carrier: Carrier {
                trace: String::new(),
                baggage: None,
            },
            parent: None,
            received: 0,
        };
        let mut control = Control::default();
        control.opened(1, head);
        // Its events were damaged.
        control.acked(1, 7);
        assert_eq!(control.commands[&1].last_seq, 7);
        // So was the first sign of this one.
        control.written(5, &[]);
        assert_eq!(control.last_number, 5);
    }
}
