//! Reading a journal that an earlier process left.

use std::collections::BTreeMap;
use std::io;
use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;
use hopline_files::{File, FileSystem};

use super::control::{CommandHead, Control};
use super::format::{
    self, FRAME_HEADER, Kind, SEGMENT_HEADER, VERSION, file_name, frame_at, next_frame,
    read_events, segment_version,
};
use super::{Room, Run, Segment};

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
    pub(super) segments: BTreeMap<u64, Segment>,
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
        recovered.read_segment(files, folder, number)?;
    }
    recovered.settle();
    // There may be more than there is room for now.
    let mut left = capacity;
    for segment in recovered.segments.values_mut() {
        segment.room.bytes = segment.room.bytes.min(left);
        left -= segment.room.bytes;
    }
    for segment in recovered.segments.values() {
        if segment.live > 0 {
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
        let mut at = SEGMENT_HEADER;
        let mut end = at.min(bytes.len());
        while at < bytes.len() {
            let Some((kind, frame)) = frame_at(&bytes[at..]) else {
                match next_frame(&bytes, at + 1) {
                    Some(next) => {
                        self.damaged_parts += 1;
                        at = next;
                        continue;
                    }
                    None => break,
                }
            };
            let payload = bytes.slice(at + FRAME_HEADER..at + frame);
            let place = Run {
                segment: number,
                offset: at as u64,
                length: frame,
                first_seq: 0,
                last_seq: 0,
            };
            if self.apply(kind, &payload, place).is_none() {
                self.damaged_parts += 1;
            }
            at += frame;
            end = at;
        }
        let torn = length - end as u64;
        if torn > 0 {
            self.torn_bytes += torn;
            tracing::warn!(path = %path.display(), torn, "cut off what a crash had left unfinished at the end of the outbox");
            file.cut(end as u64)?;
        }
        let segment = Segment {
            path,
            file,
            live: 0,
            room: Room {
                bytes: end,
                reserve: 0,
            },
        };
        self.segments.insert(number, segment);
        Ok(())
    }

    /// Takes a frame in; none if its payload is not what its kind has.
    fn apply(&mut self, kind: Kind, payload: &Bytes, mut place: Run) -> Option<()> {
        match kind {
            Kind::Checkpoint => self.control = serde_json::from_slice(payload).ok()?,
            Kind::Opened => {
                let (number, head): (u64, CommandHead) = serde_json::from_slice(payload).ok()?;
                self.control.opened(number, head);
            }
            Kind::Events => {
                let events = read_events(payload)?;
                place.first_seq = events.entries.first()?.seq;
                place.last_seq = events.entries.last()?.seq;
                let runs = self.runs.entry(events.number).or_default();
                // A group whose sync failed stands in two segments.
                let known = runs.last().map_or(0, |run| run.last_seq);
                if place.first_seq > known {
                    runs.push(place);
                }
                self.control.written(events.number, &events.entries);
            }
            Kind::Closed => self.control.closed(serde_json::from_slice(payload).ok()?),
            Kind::Acked => {
                let (number, seq) = serde_json::from_slice(payload).ok()?;
                self.control.acked(number, seq);
            }
        }
        Some(())
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
        runs.retain(|number, _| control.commands.contains_key(number));
        for (number, runs) in runs {
            let known = control.commands.get(number);
            let acked = known.map_or(u64::MAX, |known| known.acked);
            runs.retain(|run| run.last_seq > acked);
            for run in runs {
                if let Some(segment) = segments.get_mut(&run.segment) {
                    // Those of them that are settled are counted when they are loaded.
                    segment.live += run.last_seq + 1 - run.first_seq;
                }
            }
        }
    }
}
