//! The journal's files, and which of them are still needed.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use hopline_files::File;

use super::{Group, Room};

/// The files, by their numbers, which are their order.
#[derive(Default)]
pub(super) struct Segments {
    pub(super) all: BTreeMap<u64, Segment>,
    /// The newest that is durable with its checkpoint, which is the one that is written if any is; 0 for none. Without it
    /// nobody would know how the commands stand, so it stays, and all that is newer.
    pub(super) active: u64,
}

/// A file of the journal.
pub(super) struct Segment {
    pub(super) path: PathBuf,
    pub(super) file: Arc<dyn File>,
    /// How many events it has, and how many of them are not settled.
    pub(super) events: u64,
    pub(super) live: u64,
    pub(super) room: Room,
}

impl Segment {
    pub(super) fn new(path: PathBuf, file: Arc<dyn File>, room: Room) -> Self {
        Self {
            path,
            file,
            events: 0,
            live: 0,
            room,
        }
    }

    /// Counts events that it holds from now on.
    pub(super) fn add(&mut self, group: &Group) {
        self.events += group.entries.len() as u64;
        self.live += group.entries.len() as u64;
        self.room.bytes += group.room.bytes;
        self.room.reserve += group.room.reserve;
    }

    /// Whether it holds nothing but room that others want: a whole segment's, or some of the reserve.
    fn is_spent(&self, segment_bytes: u64) -> bool {
        self.live == 0 && (self.room.reserve > 0 || self.room.bytes as u64 >= segment_bytes)
    }
}

impl Segments {
    /// Events are settled, so many of each segment; whether a file is to be removed or left for that.
    pub(super) fn settled(&mut self, by_segment: &[(u64, u64)], segment_bytes: u64) -> bool {
        let mut tidy = false;
        for (number, events) in by_segment {
            if let Some(segment) = self.all.get_mut(number) {
                segment.live = segment.live.saturating_sub(*events);
                tidy |= segment.live == 0
                    && (*number != self.active || segment.is_spent(segment_bytes));
            }
        }
        tidy
    }

    /// Whether the active one is to be left for a new one, so that its room is had again.
    pub(super) fn is_active_spent(&self, segment_bytes: u64) -> bool {
        let active = self.all.get(&self.active);
        active.is_some_and(|active| active.is_spent(segment_bytes))
    }

    /// Those whose events are all settled.
    pub(super) fn done(&self) -> Vec<u64> {
        let done = self.all.iter().filter(|(_, segment)| segment.live == 0);
        done.map(|(number, _)| *number).collect()
    }

    /// Takes out those of them that nothing else keeps.
    pub(super) fn take_done(&mut self, done: &[u64]) -> Vec<Segment> {
        let active = self.active;
        let done = done.iter().filter(|number| **number < active);
        done.filter_map(|number| self.all.remove(number)).collect()
    }
}
