//! Spans as a Parquet file of somebody's own: written for them, and read from them.

use std::fs;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use hopline_files::{Disk, FileSystem};
use hopline_traces::TracesError;
use hopline_wire::Timestamp;
use hopline_wire::span::Span;

use crate::name::Name;
use crate::rows::Shape;
use crate::runs::Runs;
use crate::segment::{self, Segment, SegmentError};
use crate::segments::Segments;
use crate::spans::spans_of;

/// How many spans are read at once, at most.
const ROWS: usize = 4 << 10;

/// Writes finished spans to a file, sorted and each once, as `docs/spans.md` describes the columns. A file of that name is
/// replaced once the new one is whole. Answers how many spans it has.
///
/// Spans that do not fit in memory are sorted in a folder beside the file, which is removed in the end.
///
/// # Errors
/// If the file cannot be written; or what `spans` says, and then nothing is written.
pub fn write_file(
    path: &Path,
    spans: impl Iterator<Item = Result<Vec<Span>, TracesError>>,
) -> Result<u64, TracesError> {
    // What is made durable includes the folders above, which a name alone does not tell.
    let path = &std::path::absolute(path)
        .map_err(|error| TracesError::io("find", path.to_owned(), error))?;
    // Of its own, so that what a killed one has left is in nobody's way.
    let mut folder = path.as_os_str().to_owned();
    folder.push(format!(".{}.parts", std::process::id()));
    let folder = PathBuf::from(folder);
    fs::create_dir(&folder)
        .map_err(|error| TracesError::io("make the folder", folder.clone(), error))?;
    let written = write_in(&folder, path, spans);
    let removed = fs::remove_dir_all(&folder);
    let rows = written?;
    removed.map_err(|error| TracesError::io("remove the folder", folder, error))?;
    Ok(rows)
}

fn write_in(
    folder: &Path,
    path: &Path,
    spans: impl Iterator<Item = Result<Vec<Span>, TracesError>>,
) -> Result<u64, TracesError> {
    let segments = Segments::open(Arc::new(Disk), folder.to_owned())?;
    let name = Name::new(Timestamp::now(), 1, 1);
    let mut runs = Runs::new(&segments, name, Shape::default());
    for spans in spans {
        for span in spans?.iter().filter(|span| !span.pending) {
            runs.push(span)
                .map_err(|error| error.during("write", path))?;
        }
    }
    runs.finish().map_err(|error| error.during("write", path))?;
    let Some(segment) = segments.all().pop() else {
        let empty = segment::write_file(&Disk, path, 0, std::iter::empty());
        return empty
            .map(|_| 0)
            .map_err(|error| error.during("write", path));
    };
    let renamed = fs::rename(&segment.path, path);
    renamed.map_err(|error| TracesError::io("give its name to", path.to_owned(), error))?;
    Ok(segment.rows)
}

/// Shows the spans of such a file, until `visit` breaks off.
///
/// # Errors
/// If it cannot be read, or has other columns.
pub fn read_file(
    path: &Path,
    visit: &mut dyn FnMut(Vec<Span>) -> ControlFlow<()>,
) -> Result<(), TracesError> {
    let mut read = || {
        let disk: Arc<dyn FileSystem> = Arc::new(Disk);
        let name = Name::new(Timestamp::from_nanos(0), 1, 1);
        let file = Segment::open_at(&disk, path.to_owned(), name)?;
        for batch in file.batches(ROWS)? {
            if visit(spans_of(&batch?)?).is_break() {
                break;
            }
        }
        Ok::<_, SegmentError>(())
    };
    read().map_err(|error| error.during("read", path))
}
