//! How all commands stand, as far as the journal says: what a checkpoint holds, and what is left of a journal after it
//! was read.

use std::collections::{BTreeMap, VecDeque};

use hopline_wire::event::EventType;
use hopline_wire::{Carrier, SpanId};
use serde::{Deserialize, Serialize};

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

    /// Events were written, up to `last_seq`; `answered` says whether one of them ends the command.
    pub(super) fn written(&mut self, number: u64, last_seq: u64, answered: bool) {
        if let Some(known) = self.commands.get_mut(&number) {
            known.last_seq = known.last_seq.max(last_seq);
            known.answered |= answered;
        }
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
pub(super) fn answers(kind: EventType) -> bool {
    match kind {
        EventType::BuildCompleted
        | EventType::BuildFailed
        | EventType::Error
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
