//! Opening a log: what is sealed by its trailer, the rest by reading it.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::Instant;

use super::segment::{self, SEGMENT_HEADER, Sealed, Tail, VERSION, Written, version};
use super::{LogOptions, State, scan};
use crate::store::TracesError;
use hopline_files::{File, FileSystem};

/// What an opening found.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Opened {
    /// Files.
    pub segments: u64,
    /// Spans in them.
    pub spans: u64,
    /// Files that had no index and were read whole.
    pub scanned_segments: u64,
    /// Bytes that a crash had left unfinished at the end of a file, cut off.
    pub torn_bytes: u64,
    /// Damaged stretches between whole frames, left out.
    pub corrupt_parts: u64,
}

/// Opens the log in a folder.
pub(super) fn open(
    files: &dyn FileSystem,
    folder: &Path,
    options: &LogOptions,
) -> Result<(State, Opened), TracesError> {
    let failed = |operation| move |source| TracesError::io(operation, folder.to_owned(), source);
    files
        .create_folder(folder)
        .map_err(failed("create the folder"))?;
    let names = files.list(folder).map_err(failed("list the folder"))?;
    let mut numbers: Vec<u64> = names
        .iter()
        .filter_map(|name| segment::number_of(name))
        .collect();
    numbers.sort_unstable();
    let mut state = State {
        sealed: Vec::new(),
        waiting: Vec::new(),
        active: None,
        leaving: Vec::new(),
        next_number: numbers.last().copied().unwrap_or(0).max(options.taken_over) + 1,
        position: 0,
        // A crash may have come between the making of a file and the sync of its folder.
        folder_changed: !numbers.is_empty(),
        unflushed: false,
        sealing_fails: false,
        closed: false,
    };
    let mut opened = Opened::default();
    for number in numbers {
        let path = folder.join(segment::file_name(number));
        if number <= options.taken_over {
            // A crash came between the taking over and the removal.
            files
                .remove(&path)
                .map_err(failed("remove a segment from"))?;
            continue;
        }
        match open_segment(files, number, &path, &mut opened)? {
            Some(Segment::Sealed(sealed)) => state.sealed.push(Arc::new(sealed)),
            Some(Segment::Unsealed(tail)) => state.waiting.push(tail),
            None => state.folder_changed = true,
        }
    }
    // The newest is written further, if there is room in it.
    let newest = state.next_number - 1;
    let goes_on =
        |tail: &mut Tail| tail.segment.number == newest && tail.length < options.segment_bytes;
    state.active = state.waiting.pop_if(goes_on);
    // A process that was killed may have left unsynced what it had written.
    state.position = state.tails().map(|tail| tail.length).sum();
    state.unflushed = state.position > 0;
    opened.segments = (state.sealed.len() + state.tails().count()) as u64;
    opened.spans = state.spans();
    Ok((state, opened))
}

enum Segment {
    Sealed(Sealed),
    Unsealed(Tail),
}

/// Opens one segment; none if there was nothing in it, and it was removed.
fn open_segment(
    files: &dyn FileSystem,
    number: u64,
    path: &Path,
    opened: &mut Opened,
) -> Result<Option<Segment>, TracesError> {
    let failed = |operation| move |source| TracesError::io(operation, path.to_owned(), source);
    let file = files.open(path).map_err(failed("open"))?;
    let length = file.length().map_err(failed("tell the length of"))?;
    if let Some(version) = header_version(&*file, length).map_err(failed("read"))?
        && version > VERSION
    {
        return Err(TracesError::Newer {
            path: path.to_owned(),
            version,
            known: VERSION,
        });
    }
    if let Some(trailer) = Sealed::trailer_of(&*file, length).map_err(failed("read"))? {
        let sealed = Sealed::new(number, path.to_owned(), trailer);
        return Ok(Some(Segment::Sealed(sealed)));
    }
    let scanned = scan::scan(&*file, length).map_err(failed("read"))?;
    opened.scanned_segments += 1;
    opened.corrupt_parts += scanned.damaged;
    if scanned.damaged > 0 {
        tracing::warn!(path = %path.display(), parts = scanned.damaged,
            "damaged parts of the trace log were left out");
    }
    let torn = length - scanned.end;
    opened.torn_bytes += torn;
    if scanned.index.is_empty() {
        warn_torn(path, length, torn);
        files.remove(path).map_err(failed("remove the empty"))?;
        return Ok(None);
    }
    if torn > 0 {
        warn_torn(path, length, torn);
        file.cut(scanned.end).map_err(failed("cut"))?;
    }
    if scanned.version.is_none() {
        let header = segment::header();
        file.write_at(&header, 0)
            .map_err(failed("write the header of"))?;
    }
    let segment = Written {
        number,
        path: path.to_owned(),
        file,
        // What was found may be in the system's memory only.
        synced: AtomicU64::new(0),
        failed: false.into(),
    };
    Ok(Some(Segment::Unsealed(Tail {
        segment: Arc::new(segment),
        length: scanned.end,
        spans: scanned.spans,
        index: scanned.index,
        since: Instant::now(),
    })))
}

fn header_version(file: &dyn File, length: u64) -> std::io::Result<Option<u32>> {
    let mut header = [0; SEGMENT_HEADER];
    if length < SEGMENT_HEADER as u64 {
        return Ok(None);
    }
    file.read_at(&mut header, 0)?;
    Ok(version(&header))
}

fn warn_torn(path: &Path, length: u64, torn: u64) {
    if torn > 0 {
        tracing::warn!(path = %path.display(), length, torn,
            "cut off what a crash had left unfinished at the end of a trace log");
    }
}
