//! Reading a journal that an earlier process left.

use std::collections::BTreeMap;
use std::io;
use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;
use hopline_files::{File, FileSystem};

use super::control::{CommandHead, Control};
use super::format::{
    self, Frame, Frames, Kind, SEGMENT_HEADER, VERSION, file_name, read_events, segment_version,
};
use super::run::put;
use super::segments::Segment;
use super::{Room, Run};

/// What an earlier process left.
#[derive(Default)]
pub(crate) struct Recovered {
    /// How its commands stand.
    pub(crate) control: Control,
    /// Their events that are not settled, in order, by the command's number.
    pub(crate) runs: BTreeMap<u64, Vec<Run>>,
    /// Bytes that a crash had left unfinished at the end of a file, cut off. They were never sent.
    pub(crate) torn_bytes: u64,
    /// Damaged stretches between whole frames: their events are lost.
    pub(crate) damaged_parts: u64,
    /// The newest segment with a whole checkpoint; 0 for none.
    pub(super) checkpointed: u64,
    pub(super) segments: BTreeMap<u64, Segment>,
    /// Whether a segment other than the last was cut off.
    is_torn_inside: bool,
}

/// Reads the journal in `folder`. What is found is made durable, since it may lie in the system's memory only.
pub(super) fn recover(
    files: &dyn FileSystem,
    folder: &Path,
    capacity: usize,
) -> io::Result<Recovered> {
    files.create_folder(folder)?;
    let mut numbers: Vec<u64> = files
        .list(folder)?
        .iter()
        .filter_map(|name| format::number_of(name))
        .collect();
    numbers.sort_unstable();
    let mut recovered = Recovered::default();
    for number in numbers {
        recovered.is_torn_inside |= recovered.torn_bytes > 0;
        recovered.read_segment(files, folder, number)?;
    }
    recovered.settle();
    // There may be more than there is room for now.
    let mut left = capacity;
    for segment in recovered.segments.values_mut() {
        segment.room.bytes = segment.room.bytes.min(left);
        left -= segment.room.bytes;
    }
    for (number, segment) in &recovered.segments {
        if segment.live > 0 || *number >= recovered.checkpointed {
            segment.file.sync()?;
        }
    }
    files.sync_folder(folder)?;
    Ok(recovered)
}

impl Recovered {
    fn read_segment(
        &mut self,
        files: &dyn FileSystem,
        folder: &Path,
        number: u64,
    ) -> io::Result<()> {
        let path = folder.join(file_name(number));
        let file: Arc<dyn File> = files.open(&path)?.into();
        let length = file.length()?;
        let mut bytes = vec![0; usize::try_from(length).map_err(io::Error::other)?];
        file.read_at(&mut bytes, 0)?;
        if let Some(version) = segment_version(&bytes)
            && version > VERSION
        {
            let told = format!(
                "{} has the format {version}, and this version knows up to {VERSION}",
                path.display()
            );
            return Err(io::Error::new(io::ErrorKind::Unsupported, told));
        }
        let bytes = Bytes::from(bytes);
        let mut frames = Frames::new(&bytes, SEGMENT_HEADER);
        let mut events = 0;
        while let Some(frame) = frames.next() {
            // Known to whoever looks at a frame: what could be missing, and from where.
            self.damaged_parts += std::mem::take(&mut frames.damaged);
            match self.apply(number, &frame) {
                Some(more) => events += more,
                None => self.damaged_parts += 1,
            }
        }
        let end = frames.end;
        let torn = length - end as u64;
        if torn > 0 {
            self.torn_bytes += torn;
            tracing::warn!(path = %path.display(), torn, "cut off what a crash had left unfinished at the end of the outbox");
            file.cut(end as u64)?;
        }
        let room = Room {
            bytes: end,
            reserve: 0,
        };
        let mut segment = Segment::new(path, file, room);
        segment.events = events;
        self.segments.insert(number, segment);
        Ok(())
    }

    /// Takes a frame in: how many events it holds; none if its payload is not what its kind has.
    fn apply(&mut self, segment: u64, frame: &Frame) -> Option<u64> {
        let payload = &frame.payload;
        match frame.kind {
            Kind::Checkpoint => {
                self.control = serde_json::from_slice(payload).ok()?;
                self.checkpointed = segment;
                self.forget_what_was_not_counted_on();
            }
            Kind::Opened => {
                let (number, head): (u64, CommandHead) = serde_json::from_slice(payload).ok()?;
                self.control.opened(number, head);
            }
            Kind::Events => {
                let events = read_events(payload)?;
                let place = Run {
                    segment,
                    offset: frame.at as u64,
                    length: frame.length,
                    first_seq: events.entries.first()?.seq,
                    last_seq: events.entries.last()?.seq,
                };
                if self.damaged_parts > 0 {
                    self.control.guess(events.number, &events.entries);
                }
                self.control.written(events.number, &events.entries);
                put(self.runs.entry(events.number).or_default(), place);
                return Some(place.events());
            }
            Kind::Closed => self.control.closed(serde_json::from_slice(payload).ok()?),
            Kind::Acked => {
                let (number, seq) = serde_json::from_slice(payload).ok()?;
                self.control.acked(number, seq);
            }
        }
        Some(0)
    }

    /// A checkpoint was read: what stands before it and is not in it was never durable as far as its writer knew, or is
    /// of a command that is settled wholly.
    fn forget_what_was_not_counted_on(&mut self) {
        let commands = &self.control.commands;
        self.runs.retain(|number, runs| {
            let Some(known) = commands.get(number) else {
                return false;
            };
            *runs = runs
                .iter()
                .filter_map(|run| run.part(0, known.last_seq))
                .collect();
            true
        });
    }

    /// Leaves out what is settled, and the commands that never said anything: they are as if never received.
    fn settle(&mut self) {
        let Self {
            control,
            runs,
            segments,
            ..
        } = self;
        control
            .commands
            .retain(|_, known| known.last_seq > 0 || known.closed);
        if self.damaged_parts == 0 && !self.is_torn_inside {
            // Only files whose events are settled, or stand elsewhere, are ever removed.
            for (number, last_seq) in control.last_seqs() {
                let first = runs.get(&number).and_then(|runs| runs.first());
                control.acked(number, first.map_or(last_seq, |run| run.first_seq - 1));
            }
        }
        runs.retain(|number, _| control.commands.contains_key(number));
        for (number, runs) in runs {
            let known = control.commands.get(number);
            let next = known.map_or(u64::MAX, |known| known.acked + 1);
            *runs = runs
                .iter()
                .filter_map(|run| run.part(next, u64::MAX))
                .collect();
            for run in runs {
                if let Some(segment) = segments.get_mut(&run.segment) {
                    segment.live += run.events();
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::Known;
    use super::*;

    fn run(first_seq: u64, last_seq: u64) -> Run {
        Run {
            segment: 1,
            offset: 16,
            length: 100,
            first_seq,
            last_seq,
        }
    }

    #[test]
    fn of_what_stands_before_a_checkpoint_only_what_it_knows_counts() {
        let head = serde_json::from_str(
            r#"{"id":"c","type":"start-build","carrier":{"trace":""},"received":0}"#,
        );
        let known = Known {
            head: head.unwrap(),
            last_seq: 5,
            acked: 0,
            closed: false,
            answered: false,
        };
        let control = Control {
            commands: [(1, known)].into(),
            last_number: 1,
            ..Control::default()
        };
        let mut recovered = Recovered {
            // The second command's number is given again later.
            runs: [
                (1, vec![run(1, 3), run(4, 8), run(9, 9)]),
                (2, vec![run(1, 1)]),
            ]
            .into(),
            ..Recovered::default()
        };
        let frame = Frame {
            kind: Kind::Checkpoint,
            at: 16,
            length: 100,
            payload: serde_json::to_vec(&control).unwrap().into(),
        };
        assert_eq!(recovered.apply(2, &frame), Some(0));
        assert_eq!(recovered.runs, [(1, vec![run(1, 3), run(4, 5)])].into());
        assert_eq!(recovered.checkpointed, 2);
    }
}
