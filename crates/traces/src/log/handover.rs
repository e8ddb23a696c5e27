//! Handing sealed segments over to whoever keeps their spans in another form.
//!
//! Whoever takes over reads a sealed segment ([`LogStore::read_segment`]), makes its spans durable and findable where it
//! keeps them ([`Older`]), and only then lets the log release it ([`LogStore::release`]). If a crash comes between,
//! [`LogOptions::taken_over`](super::LogOptions::taken_over) says at the next opening what need not be read again.

use std::ops::{ControlFlow, RangeInclusive};
use std::sync::Arc;
use std::time::Duration;

use hopline_wire::TraceId;
use hopline_wire::span::Span;

use super::segment::{SEGMENT_HEADER, read_frame};
use super::{LogStore, Room};
use crate::frame::{self, HEADER_BYTES};
use crate::store::{Durability, TracesError};

/// Where spans are that were taken over from the log.
pub trait Older: Send + Sync {
    /// Where those of a trace are, what was taken over first first.
    ///
    /// # Errors
    /// If they cannot be looked up.
    fn stretches(&self, trace: TraceId) -> Result<Vec<Box<dyn Stretch>>, TracesError>;

    /// Shows the spans that came from segments of the log with these numbers, and maybe of some around them, until `visit`
    /// breaks off. Answers the last number that is among what was shown, 0 if nothing was.
    ///
    /// # Errors
    /// If they cannot be read; what was visited until then stands.
    fn visit(
        &self,
        from: RangeInclusive<u64>,
        visit: &mut dyn FnMut(&[Span]) -> ControlFlow<()>,
    ) -> Result<ControlFlow<(), u64>, TracesError>;

    /// Figures of all of it.
    fn stats(&self) -> OlderStats;
}

/// Some spans of a trace, few enough to be in memory at once. It can be read as long as this is held.
pub trait Stretch: Send + Sync {
    /// These spans: at every reading the same, in the same order.
    ///
    /// # Errors
    /// If they cannot be read.
    fn spans(&self) -> Result<Vec<Span>, TracesError>;
}

/// Figures of what was taken over.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct OlderStats {
    /// Spans; one that is there twice counts twice.
    pub spans: u64,
    /// Bytes that they occupy.
    pub bytes: u64,
    /// Files that they are in.
    pub files: u64,
    /// Times that a damaged part was met and left out.
    pub corrupt_parts: u64,
}

/// A segment of the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LogSegment {
    /// Its number: later ones have higher numbers.
    pub number: u64,
    /// How far its frames reach now, in bytes from its beginning.
    pub end: u64,
    /// How many spans it has now.
    pub spans: u64,
    /// Whether it is sealed: nothing is appended any more.
    pub sealed: bool,
}

impl LogStore {
    /// Says where those spans are that were taken over. Before anything is taken over, and once.
    pub fn set_older(&self, older: Arc<dyn Older>) {
        // The first stays.
        let _ = self.shared.older.set(older);
    }

    /// The segments that the log has, oldest first.
    #[must_use]
    pub fn segments(&self) -> Vec<LogSegment> {
        let state = self.shared.state.lock();
        let sealed = state.sealed.iter().map(|segment| LogSegment {
            number: segment.number,
            end: segment.trailer.frames_end,
            spans: segment.trailer.spans,
            sealed: true,
        });
        let tails = state.tails().map(|tail| LogSegment {
            number: tail.segment.number,
            end: tail.length,
            spans: tail.spans,
            sealed: false,
        });
        let mut segments: Vec<_> = sealed.chain(tails).collect();
        drop(state);
        segments.sort_by_key(|segment| segment.number);
        segments
    }

    /// Shows the spans of a segment from an offset on, frame by frame and in the order in which they were appended, until
    /// `visit` breaks off. The offset is 0, or what an earlier reading answered. Answers where this one ended; nothing is
    /// shown of a segment that is no longer there.
    ///
    /// # Errors
    /// If the segment cannot be read. Damaged parts are left out, and counted.
    pub fn read_segment(
        &self,
        number: u64,
        from: u64,
        visit: &mut dyn FnMut(&[Span]) -> ControlFlow<()>,
    ) -> Result<u64, TracesError> {
        let state = self.shared.state.lock();
        let sealed = state.sealed.iter().find(|sealed| sealed.number == number);
        let sealed = sealed.map(Arc::clone);
        let tail = state.tails().find(|tail| tail.segment.number == number);
        let tail = tail.map(|tail| (Arc::clone(&tail.segment), tail.length));
        drop(state);
        let opened;
        let (path, file, end) = match (&sealed, &tail) {
            (Some(sealed), _) => {
                opened = match self.shared.files.open(&sealed.path) {
                    Ok(file) => file,
                    // Retention was quicker.
                    Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(from),
                    Err(error) => {
                        return Err(TracesError::io("read", sealed.path.clone(), error));
                    }
                };
                (&sealed.path, &*opened, sealed.trailer.frames_end)
            }
            (None, Some((written, end))) => (&written.path, &*written.file, *end),
            (None, None) => return Ok(from),
        };
        let failed = |source| TracesError::io("read", path.clone(), source);
        let mut at = from.max(SEGMENT_HEADER as u64);
        let mut spans = Vec::new();
        while at < end {
            // An index of frames has offsets of 32 bits too.
            let offset = u32::try_from(at).unwrap_or(u32::MAX);
            let Some(payload) = read_frame(file, offset, end).map_err(failed)? else {
                self.shared.count_damage(number, "a frame is damaged");
                match self.next_frame(file, at, end).map_err(failed)? {
                    Some(next) => at = next,
                    None => return Ok(end),
                }
                continue;
            };
            at += (HEADER_BYTES + payload.len()) as u64;
            spans.clear();
            if let Err(error) = frame::decode(&payload, |_, _| true, &mut spans) {
                self.shared.count_damage(number, &error.to_string());
            }
            if visit(&spans).is_break() {
                break;
            }
        }
        Ok(at)
    }

    /// Where the next whole frame begins behind a damaged one.
    fn next_frame(
        &self,
        file: &dyn hopline_files::File,
        from: u64,
        end: u64,
    ) -> std::io::Result<Option<u64>> {
        let index = super::scan::scan(file, end)?.index;
        let offsets = index.iter().map(|(_, offset)| u64::from(*offset));
        Ok(offsets.filter(|offset| *offset > from).min())
    }

    /// Appends spans again of a segment that is being taken over, and that stay in the log: durably, and at once also where
    /// the log is full, since it has room again only after that.
    ///
    /// # Errors
    /// As [`TraceStore::append`](crate::TraceStore::append).
    pub fn append_again(&self, spans: &[Span]) -> Result<(), TracesError> {
        let appended = self.append_or_wait(spans, Durability::Durable, Room::Given);
        appended.map(|_| ())
    }

    /// Has the segment that is written sealed, if it has been written for so long and has spans.
    pub fn seal_after(&self, age: Duration) {
        let mut state = self.shared.state.lock();
        if state.sealing_fails {
            // One more that waits would bring nearer the moment when nothing is taken at all.
            return;
        }
        let is_old = |tail: &super::Tail| tail.spans > 0 && tail.since.elapsed() >= age;
        if state.active.as_ref().is_some_and(is_old) {
            state.leave_active();
            self.shared.wake.notify_all();
        }
    }

    /// Lets go of all sealed segments up to this number. Those who read them read on.
    pub fn release(&self, up_to: u64) {
        let mut state = self.shared.state.lock();
        let taken = |sealed: &mut Arc<super::Sealed>| sealed.number <= up_to;
        let released: Vec<_> = state.sealed.extract_if(.., taken).collect();
        state.leaving.extend(released);
        // Files are removed by the store's own thread, soon: it wakes whenever something was appended.
        drop(state);
        self.shared.room.notify_all();
        self.shared.remove_released();
    }
}
