//! Finding the frames of a trace, and reading them.

use std::collections::HashMap;
use std::io;
use std::ops::ControlFlow;
use std::sync::Arc;

use hopline_wire::TraceId;
use parking_lot::Mutex;

use super::handover::Stretch;
use super::segment::{Looked, Sealed, Written, read_frame};
use super::{Counters, Shared};
use crate::frame::FrameEncoder;
use crate::store::TracesError;
use hopline_files::File;

/// A segment that has frames of a trace, as a reader sees it: what is appended or removed afterwards changes
/// nothing about where its frames are.
pub(super) struct Place {
    segment: Segment,
    /// The frames, in order.
    pub(super) offsets: Vec<u32>,
}

enum Segment {
    /// One that was not sealed when the reading began, and where its frames ended.
    Tail(Arc<Written>, u64),
    Sealed(Arc<Sealed>),
    /// What was taken over from the log; the offsets are the numbers of its stretches.
    Older(Stretches),
}

/// Stretches of a trace, as frames.
struct Stretches {
    all: Vec<Box<dyn Stretch>>,
    /// The frames of those that were read, as far as they are small: most traces are passed over twice.
    kept: Mutex<Kept>,
}

#[derive(Default)]
struct Kept {
    frames: HashMap<usize, Arc<[u8]>>,
    bytes: usize,
}

/// How many bytes of frames are kept from one pass to the next.
const KEPT_BYTES: usize = 4 << 20;

impl Stretches {
    fn frame(
        &self,
        index: usize,
        encoder: &mut FrameEncoder,
    ) -> Result<Option<Arc<[u8]>>, TracesError> {
        if let Some(frame) = self.kept.lock().frames.get(&index) {
            return Ok(Some(Arc::clone(frame)));
        }
        let Some(stretch) = self.all.get(index) else {
            return Ok(None);
        };
        let frame: Arc<[u8]> = encoder.payload(&stretch.spans()?).into();
        let mut kept = self.kept.lock();
        if kept.bytes + frame.len() <= KEPT_BYTES {
            kept.bytes += frame.len();
            kept.frames.insert(index, Arc::clone(&frame));
        }
        Ok(Some(frame))
    }
}

impl Shared {
    /// Where the frames of a trace are, oldest first, so that what was appended later comes later.
    pub(super) fn places(&self, trace: TraceId) -> Result<Vec<Place>, TracesError> {
        let state = self.state.lock();
        let sealed = state.sealed.clone();
        let tails: Vec<Place> = state
            .tails()
            .map(|tail| Place {
                segment: Segment::Tail(Arc::clone(&tail.segment), tail.length),
                offsets: tail.offsets(trace),
            })
            .collect();
        drop(state);
        let mut places = tails;
        for segment in sealed {
            let offsets = self.look_up(&segment, trace)?;
            places.push(Place {
                segment: Segment::Sealed(segment),
                offsets,
            });
        }
        places.retain(|place| !place.offsets.is_empty());
        // Asked only now: what is taken over meanwhile is in both, and nothing in neither.
        if let Some(older) = self.older.get() {
            let stretches = older.stretches(trace)?;
            #[expect(clippy::cast_possible_truncation, reason = "each has many spans")]
            let offsets = (0..stretches.len() as u32).collect();
            let segment = Segment::Older(Stretches {
                all: stretches,
                kept: Mutex::default(),
            });
            places.push(Place { segment, offsets });
        }
        // A segment whose sealing is delayed can be older than a sealed one.
        places.sort_by_key(|place| place.segment.number());
        Ok(places)
    }

    fn look_up(&self, segment: &Sealed, trace: TraceId) -> Result<Vec<u32>, TracesError> {
        let failed = |source| TracesError::io("read", segment.path.clone(), source);
        let file = match self.files.open(&segment.path) {
            Ok(file) => file,
            // Retention was quicker.
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(error) => return Err(failed(error)),
        };
        match segment.look_up(&*file, trace).map_err(failed)? {
            Looked::Found(offsets) => Ok(offsets),
            Looked::FoundByScan(offsets) => {
                self.count_damage(segment.number, "its index is damaged");
                Ok(offsets)
            }
        }
    }

    /// Reads those frames of a place that are `wanted`, and hands on the payload of each with its place among the
    /// offsets; none for a damaged one.
    pub(super) fn read_place(
        &self,
        place: &Place,
        wanted: impl Fn(usize) -> bool,
        mut each: impl FnMut(usize, Option<&[u8]>) -> ControlFlow<()>,
    ) -> Result<ControlFlow<()>, TracesError> {
        if let Segment::Older(stretches) = &place.segment {
            return Self::read_stretches(stretches, &place.offsets, wanted, each);
        }
        let opened;
        let (path, file, end): (_, &dyn File, u64) = match &place.segment {
            Segment::Tail(written, end) => (&written.path, &*written.file, *end),
            Segment::Sealed(sealed) => match self.files.open(&sealed.path) {
                Ok(file) => {
                    opened = file;
                    (&sealed.path, &*opened, sealed.trailer.frames_end)
                }
                // Retention was quicker.
                Err(error) if error.kind() == io::ErrorKind::NotFound => {
                    return Ok(ControlFlow::Continue(()));
                }
                Err(error) => return Err(TracesError::io("read", sealed.path.clone(), error)),
            },
            Segment::Older(_) => return Ok(ControlFlow::Continue(())),
        };
        for (index, offset) in place.offsets.iter().enumerate() {
            if wanted(index) {
                let payload = read_frame(file, *offset, end)
                    .map_err(|source| TracesError::io("read", path.clone(), source))?;
                if each(index, payload.as_deref()).is_break() {
                    return Ok(ControlFlow::Break(()));
                }
            }
        }
        Ok(ControlFlow::Continue(()))
    }

    /// The same of stretches.
    fn read_stretches(
        stretches: &Stretches,
        offsets: &[u32],
        wanted: impl Fn(usize) -> bool,
        mut each: impl FnMut(usize, Option<&[u8]>) -> ControlFlow<()>,
    ) -> Result<ControlFlow<()>, TracesError> {
        let mut encoder = FrameEncoder::new();
        for index in (0..offsets.len()).filter(|index| wanted(*index)) {
            let frame = stretches.frame(index, &mut encoder)?;
            if each(index, frame.as_deref()).is_break() {
                return Ok(ControlFlow::Break(()));
            }
        }
        Ok(ControlFlow::Continue(()))
    }

    pub(super) fn count_damage(&self, segment: u64, what: &str) {
        Counters::add(&self.counters.corrupt_parts, 1);
        tracing::warn!(
            segment,
            what,
            "a damaged part of the trace log was left out"
        );
    }
}

impl Place {
    /// What it consists of if it was taken over from the log.
    pub(super) fn stretches(&self) -> Option<&[Box<dyn Stretch>]> {
        match &self.segment {
            Segment::Older(stretches) => Some(&stretches.all),
            Segment::Tail(..) | Segment::Sealed(_) => None,
        }
    }

    /// The segment's number.
    pub(super) fn number(&self) -> u64 {
        self.segment.number()
    }
}

impl Segment {
    fn number(&self) -> u64 {
        match self {
            Self::Tail(written, _) => written.number,
            Self::Sealed(sealed) => sealed.number,
            // Before all others.
            Self::Older(_) => 0,
        }
    }
}
