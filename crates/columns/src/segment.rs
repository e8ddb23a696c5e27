//! Segments: Parquet files of spans, sorted by trace.
//!
//! A segment is written under another name, made durable, and then given its own; so whatever bears such a name is whole.
//!
//! A trace's rows lie together. They are found by the least and greatest trace id of each group of rows, a Bloom filter
//! over the ids in it, and the same bounds of each page: where a segment has nothing of a trace, some kilobytes of it are
//! read.

use std::io;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};

use arrow_array::RecordBatch;
use arrow_array::cast::AsArray;
use arrow_array::types::Int32Type;
use arrow_schema::DataType;
use hopline_files::FileSystem;
use hopline_traces::{Stretch, TracesError};
use hopline_wire::TraceId;
use hopline_wire::span::Span;
use object_store::path::Path as ObjectPath;
use parquet::arrow::ProjectionMask;
use parquet::arrow::arrow_reader::{
    ArrowReaderMetadata, ArrowReaderOptions, ParquetRecordBatchReader,
    ParquetRecordBatchReaderBuilder, RowSelection, RowSelector,
};
use parquet::arrow::arrow_writer::ArrowWriter;
use parquet::basic::{Compression, Encoding, ZstdLevel};
use parquet::errors::ParquetError;
use parquet::file::metadata::{PageIndexPolicy, SortingColumn};
use parquet::file::page_index::column_index::ColumnIndexMetaData;
use parquet::file::properties::{EnabledStatistics, WriterProperties, WriterVersion};
use parquet::schema::types::ColumnPath;

use crate::bucket::Bucket;
use crate::file::{Reader, Writer};
use crate::group::{has_records, may_hold, row_bytes, starts};
use crate::name::Name;
use crate::schema::{DOUBLE_ATTRIBUTES, INT_ATTRIBUTES, SCHEMA, names};
use crate::spans::spans_of;

/// How many rows are a group.
const GROUP_ROWS: usize = 128 << 10;

/// About how many bytes of memory the rows of a group may take. However unlike they are, no more is read at once.
const GROUP_BYTES: usize = 128 << 20;

/// How many rows are a page, at most.
const PAGE_ROWS: usize = 8 << 10;

/// How many rows of a trace are read at once, at most: dictionaries are read anew for each stretch, so a few are better
/// than many.
const STRETCH_ROWS: usize = 8 << 10;

/// About how many bytes of memory rows that are read at once may take.
const STRETCH_BYTES: usize = 8 << 20;

/// Which place of [`SCHEMA`] has the trace id. It is also the first of Parquet's columns.
const TRACE_COLUMN: usize = 0;

/// Why a segment could not be written or read.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SegmentError {
    #[error("{0}")]
    Parquet(#[from] ParquetError),
    #[error("{0}")]
    Io(#[from] io::Error),
    #[error("{0}")]
    Columns(#[from] crate::spans::BadColumns),
    #[error("{0}")]
    Arrow(#[from] arrow_schema::ArrowError),
}

impl SegmentError {
    /// Whether the file is not what it should be, however often it is read.
    pub(crate) const fn is_damage(&self) -> bool {
        match self {
            Self::Parquet(ParquetError::External(_)) | Self::Io(_) => false,
            Self::Parquet(_) | Self::Columns(_) | Self::Arrow(_) => true,
        }
    }

    /// Whether there is no such file.
    pub(crate) fn is_gone(&self) -> bool {
        let error = match self {
            Self::Io(error) => Some(error),
            Self::Parquet(ParquetError::External(error)) => error.downcast_ref(),
            _ => None,
        };
        error.is_some_and(|error| error.kind() == io::ErrorKind::NotFound)
    }

    /// The same of an operation on a file.
    pub(crate) fn during(self, operation: &'static str, path: &Path) -> TracesError {
        let source = match self {
            Self::Io(error) => error,
            Self::Parquet(ParquetError::External(error)) => match error.downcast::<io::Error>() {
                Ok(error) => *error,
                Err(error) => io::Error::other(error),
            },
            other => io::Error::other(other.to_string()),
        };
        TracesError::io(operation, path.to_owned(), source)
    }
}

fn properties(traces: u64) -> WriterProperties {
    let column = |name: &str| ColumnPath::from(name);
    let sorting = |column_idx| SortingColumn {
        column_idx,
        descending: false,
        nulls_first: false,
    };
    let start = SCHEMA.index_of(names::START).unwrap_or_default();
    let start = i32::try_from(start).unwrap_or_default();
    let mut properties = WriterProperties::builder()
        .set_writer_version(WriterVersion::PARQUET_2_0)
        .set_created_by(concat!("hopline ", env!("CARGO_PKG_VERSION")).into())
        .set_compression(Compression::ZSTD(ZstdLevel::default()))
        .set_max_row_group_row_count(Some(GROUP_ROWS))
        .set_data_page_row_count_limit(PAGE_ROWS)
        .set_sorting_columns(Some(vec![sorting(0), sorting(start)]))
        .set_statistics_enabled(EnabledStatistics::Chunk)
        .set_column_bloom_filter_enabled(column(names::TRACE_ID), true)
        .set_column_bloom_filter_max_ndv(
            column(names::TRACE_ID),
            traces.clamp(64, GROUP_ROWS as u64),
        );
    for name in [names::TRACE_ID, names::START] {
        properties =
            properties.set_column_statistics_enabled(column(name), EnabledStatistics::Page);
    }
    // Each value is there once: a dictionary would only be in the way.
    for (name, encoding) in [
        (names::SPAN_ID, Encoding::DELTA_LENGTH_BYTE_ARRAY),
        (names::PARENT_ID, Encoding::DELTA_LENGTH_BYTE_ARRAY),
        (names::START, Encoding::DELTA_BINARY_PACKED),
        (names::DURATION, Encoding::DELTA_BINARY_PACKED),
        (names::EVENT_SEQ, Encoding::DELTA_BINARY_PACKED),
    ] {
        properties = properties
            .set_column_dictionary_enabled(column(name), false)
            .set_column_encoding(column(name), encoding);
    }
    // Packed already: a compressor would save about a byte of a span in all, and cost most questions, which are about these, a
    // sixth of their time.
    let numbers = INT_ATTRIBUTES.iter().chain(&DOUBLE_ATTRIBUTES);
    let packed = [
        names::START,
        names::DURATION,
        names::WEIGHT,
        names::EVENT_SEQ,
        names::KIND,
        names::OP,
        names::STATUS,
    ];
    for name in packed.into_iter().chain(numbers.map(|(_, name)| *name)) {
        properties = properties.set_column_compression(column(name), Compression::UNCOMPRESSED);
    }
    properties.build()
}

/// Writes a segment of sorted rows, of about so many traces, and makes it durable. Answers its length in bytes.
pub(crate) fn write(
    files: &dyn FileSystem,
    folder: &Path,
    name: &Name,
    traces: u64,
    batches: impl Iterator<Item = Result<RecordBatch, SegmentError>>,
) -> Result<u64, SegmentError> {
    let path = folder.join(name.path());
    let hour = path.parent().unwrap_or(folder);
    let unnamed = path.with_extension("new");
    files.create_folder(hour)?;
    let length = write_file(files, &unnamed, traces, batches)?;
    files.rename(&unnamed, &path)?;
    sync_folders(files, folder, name)?;
    Ok(length)
}

/// The same under another name, which what was left by a crash may have.
pub(crate) fn write_file(
    files: &dyn FileSystem,
    path: &Path,
    traces: u64,
    batches: impl Iterator<Item = Result<RecordBatch, SegmentError>>,
) -> Result<u64, SegmentError> {
    match files.remove(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error.into()),
        _ => {}
    }
    let file = Writer::create(files, path)?;
    write_batches(file, traces, batches).inspect_err(|_| {
        // A full disk has better uses for half a segment.
        let _ = files.remove(path);
    })
}

/// Makes the name of a segment durable: in its hour's folder, and those above, which may be new.
pub(crate) fn sync_folders(files: &dyn FileSystem, folder: &Path, name: &Name) -> io::Result<()> {
    let path = folder.join(name.path());
    // The hour, the date, the folder of segments, and what that is in.
    for above in path.ancestors().skip(1).take(4) {
        files.sync_folder(above)?;
    }
    Ok(())
}

fn write_batches(
    file: Writer,
    traces: u64,
    batches: impl Iterator<Item = Result<RecordBatch, SegmentError>>,
) -> Result<u64, SegmentError> {
    let mut writer = ArrowWriter::try_new(file, Arc::clone(&SCHEMA), Some(properties(traces)))?;
    let mut bytes = 0;
    for batch in batches {
        let batch = batch?;
        bytes += plain_bytes(&batch);
        writer.write(&batch)?;
        if bytes >= GROUP_BYTES {
            writer.flush()?;
            bytes = 0;
        }
    }
    Ok(writer.into_inner()?.finish()?)
}

/// How many bytes of memory rows take in the columns that have each text as often as it is there.
fn plain_bytes(batch: &RecordBatch) -> usize {
    let columns = batch.columns().iter();
    let plain = columns.filter(|column| !matches!(column.data_type(), DataType::Dictionary(..)));
    plain.map(|column| column.get_array_memory_size()).sum()
}

/// Where a segment's file is.
#[derive(Clone)]
enum Place {
    Folder(Arc<dyn FileSystem>),
    Bucket(Arc<Bucket>, ObjectPath),
}

/// A segment that is there. Its file is opened only while it is read.
pub(crate) struct Segment {
    pub(crate) name: Name,
    /// Where its file is; of one in a bucket, for people to read.
    pub(crate) path: PathBuf,
    pub(crate) bytes: u64,
    /// How many spans it has.
    pub(crate) rows: u64,
    /// Whether some of them may be records: events and logs.
    pub(crate) has_records: bool,
    /// The earliest and the latest start, in nanoseconds since 1970, if the file says them.
    pub(crate) starts: Option<(i64, i64)>,
    place: Place,
    about: OnceLock<ArrowReaderMetadata>,
}

impl Segment {
    /// Opens the segment of this name.
    pub(crate) fn open(
        files: &Arc<dyn FileSystem>,
        folder: &Path,
        name: Name,
    ) -> Result<Self, SegmentError> {
        let path = folder.join(name.path());
        Self::open_at(files, path, name)
    }

    /// The same of a file that has no segment's name yet.
    pub(crate) fn open_at(
        files: &Arc<dyn FileSystem>,
        path: PathBuf,
        name: Name,
    ) -> Result<Self, SegmentError> {
        let reader = Reader::open(&**files, &path)?;
        Self::read(name, path, Place::Folder(Arc::clone(files)), &reader)
    }

    /// Opens the segment of this name in a bucket, which has so many bytes.
    pub(crate) fn open_in(
        bucket: &Arc<Bucket>,
        name: Name,
        bytes: u64,
    ) -> Result<Self, SegmentError> {
        let object = bucket.path_of(&name);
        let path = format!("{}/{object}", bucket.root()).into();
        let reader = Reader::of_object(Arc::clone(bucket), object.clone(), bytes);
        Self::read(
            name,
            path,
            Place::Bucket(Arc::clone(bucket), object),
            &reader,
        )
    }

    fn read(
        name: Name,
        path: PathBuf,
        place: Place,
        reader: &Reader,
    ) -> Result<Self, SegmentError> {
        let mut segment = Self {
            name,
            path,
            bytes: reader.length(),
            rows: 0,
            has_records: true,
            starts: None,
            place,
            about: OnceLock::new(),
        };
        let about = segment.about(reader)?;
        segment.rows = about
            .metadata()
            .file_metadata()
            .num_rows()
            .max(0)
            .cast_unsigned();
        let groups = about.metadata().row_groups();
        segment.has_records = groups.iter().any(has_records);
        let all: Option<Vec<_>> = groups.iter().map(starts).collect();
        segment.starts = all.and_then(|all| {
            all.into_iter()
                .reduce(|one, other| (one.0.min(other.0), one.1.max(other.1)))
        });
        Ok(segment)
    }

    /// Its path in the bucket, if it is in one.
    pub(crate) const fn object(&self) -> Option<&ObjectPath> {
        match &self.place {
            Place::Folder(_) => None,
            Place::Bucket(_, object) => Some(object),
        }
    }

    pub(crate) fn reader(&self) -> io::Result<Reader> {
        match &self.place {
            Place::Folder(files) => Reader::open(&**files, &self.path),
            Place::Bucket(bucket, object) => {
                let bucket = Arc::clone(bucket);
                Ok(Reader::of_object(bucket, object.clone(), self.bytes))
            }
        }
    }

    /// Removes its file.
    pub(crate) fn remove(&self) -> io::Result<()> {
        match &self.place {
            Place::Folder(files) => files.remove(&self.path),
            Place::Bucket(bucket, _) => bucket.remove(&self.name),
        }
    }

    /// What the file says of itself.
    fn about(&self, reader: &Reader) -> Result<ArrowReaderMetadata, SegmentError> {
        if let Some(about) = self.about.get() {
            return Ok(about.clone());
        }
        let options = ArrowReaderOptions::new()
            .with_page_index_policy(PageIndexPolicy::Optional)
            .with_schema(Arc::clone(&SCHEMA));
        let about = match ArrowReaderMetadata::load(reader, options) {
            Ok(about) => about,
            Err(error @ ParquetError::External(_)) => {
                return Err(reader.take_failure().map_or(error.into(), Into::into));
            }
            Err(error) => {
                // Whole, but with other columns: those of another version are no damage.
                let plain = ArrowReaderMetadata::load(reader, ArrowReaderOptions::new());
                return Err(match plain {
                    Ok(_) => io::Error::other("its columns are those of another version").into(),
                    Err(_) => error.into(),
                });
            }
        };
        Ok(self.about.get_or_init(|| about).clone())
    }

    /// All rows in their order, at most so many at once.
    pub(crate) fn batches(&self, rows: usize) -> Result<Batches, SegmentError> {
        let reader = self.reader()?;
        let about = self.about(&reader)?;
        let groups = about.metadata().row_groups().iter();
        let row = groups.map(row_bytes).max().unwrap_or(0);
        let rows = (STRETCH_BYTES / row.max(1)).clamp(1, rows);
        Batches::of(reader, about, |builder| builder.with_batch_size(rows))
    }

    /// Where the rows of a trace are.
    pub(crate) fn stretches(
        self: &Arc<Self>,
        trace: TraceId,
    ) -> Result<Vec<RowStretch>, SegmentError> {
        let wanted = trace.to_string();
        // Most segments are ruled out by what is known of them, and need not be opened.
        if let Some(about) = self.about.get() {
            let groups = about.metadata().row_groups().iter();
            let mut bounds = groups.map(|group| group.column(TRACE_COLUMN).statistics());
            if !bounds.any(|bounds| bounds.is_none_or(|bounds| may_hold(bounds, &wanted))) {
                return Ok(Vec::new());
            }
        }
        let reader = self.reader()?;
        let about = self.about(&reader)?;
        let builder = ParquetRecordBatchReaderBuilder::new_with_metadata(reader, about);
        let metadata = Arc::clone(builder.metadata());
        let mut stretches = Vec::new();
        for group in 0..metadata.num_row_groups() {
            let column = metadata.row_group(group).column(TRACE_COLUMN);
            if !column
                .statistics()
                .is_none_or(|bounds| may_hold(bounds, &wanted))
            {
                continue;
            }
            let filter = builder.get_row_group_column_bloom_filter(group, TRACE_COLUMN)?;
            if filter.is_some_and(|filter| !filter.check(wanted.as_str())) {
                continue;
            }
            let rows = usize::try_from(metadata.row_group(group).num_rows()).unwrap_or(0);
            let bytes = row_bytes(metadata.row_group(group));
            let step = (STRETCH_BYTES / bytes.max(1)).clamp(1, STRETCH_ROWS);
            let pages = self.pages_of(group, &wanted, rows);
            let own = self.rows_of(group, &wanted, pages)?;
            let starts = own.clone().step_by(step);
            stretches.extend(starts.map(|start| RowStretch {
                segment: Arc::clone(self),
                group,
                rows: start..(start + step).min(own.end),
            }));
        }
        Ok(stretches)
    }

    /// The rows of a group among which those of a trace are, by the bounds of its pages.
    fn pages_of(&self, group: usize, wanted: &str, rows: usize) -> Range<usize> {
        let about = self.about.get().map(ArrowReaderMetadata::metadata);
        let bounds = about.and_then(|about| about.column_index()?.get(group)?.get(TRACE_COLUMN));
        let places = about.and_then(|about| about.offset_index()?.get(group)?.get(TRACE_COLUMN));
        let (Some(ColumnIndexMetaData::BYTE_ARRAY(bounds)), Some(places)) = (bounds, places) else {
            return 0..rows;
        };
        let wanted = wanted.as_bytes();
        let mut range: Option<Range<usize>> = None;
        for (page, place) in places.page_locations().iter().enumerate() {
            let holds = bounds.min_value(page).is_none_or(|least| least <= wanted)
                && bounds
                    .max_value(page)
                    .is_none_or(|greatest| wanted <= greatest);
            if holds {
                let start = usize::try_from(place.first_row_index).unwrap_or(0);
                let next = places.page_locations().get(page + 1);
                let end = next.and_then(|next| usize::try_from(next.first_row_index).ok());
                let end = end.unwrap_or(rows);
                range = Some(range.map_or(start, |range| range.start)..end);
            }
        }
        range.unwrap_or(0..0)
    }

    /// The rows of a trace, which are among these.
    fn rows_of(
        &self,
        group: usize,
        wanted: &str,
        among: Range<usize>,
    ) -> Result<Range<usize>, SegmentError> {
        let mut found: Option<Range<usize>> = None;
        let mut at = among.start;
        for batch in self.rows_in(group, among, Some(TRACE_COLUMN))? {
            let batch = batch?;
            let ids = batch.column(0).as_dictionary::<Int32Type>();
            let values = ids.values().as_string::<i32>();
            let own = values.iter().position(|value| value == Some(wanted));
            if let Some(own) = own {
                for (row, key) in ids.keys().values().iter().enumerate() {
                    if usize::try_from(*key).ok() == Some(own) {
                        let row = at + row;
                        found = Some(found.map_or(row, |found| found.start)..row + 1);
                    }
                }
            }
            at += batch.num_rows();
        }
        Ok(found.unwrap_or(0..0))
    }

    /// Reads rows of a group: one column, or all.
    fn rows_in(
        &self,
        group: usize,
        rows: Range<usize>,
        column: Option<usize>,
    ) -> Result<Batches, SegmentError> {
        let reader = self.reader()?;
        let about = self.about(&reader)?;
        let selection = vec![
            RowSelector::skip(rows.start),
            RowSelector::select(rows.len()),
        ];
        Batches::of(reader, about, |mut builder| {
            if let Some(column) = column {
                let mask = ProjectionMask::roots(builder.parquet_schema(), [column]);
                builder = builder.with_projection(mask);
            }
            builder
                .with_row_groups(vec![group])
                .with_row_selection(RowSelection::from(selection))
                .with_batch_size(rows.len().clamp(1, PAGE_ROWS))
        })
    }
}

/// Rows of a file, some at a time.
pub(crate) struct Batches {
    rows: ParquetRecordBatchReader,
    /// It knows an error of the file system or the network as what it is.
    reader: Reader,
}

impl Batches {
    fn of(
        reader: Reader,
        about: ArrowReaderMetadata,
        choose: impl FnOnce(
            ParquetRecordBatchReaderBuilder<Reader>,
        ) -> ParquetRecordBatchReaderBuilder<Reader>,
    ) -> Result<Self, SegmentError> {
        let builder = ParquetRecordBatchReaderBuilder::new_with_metadata(reader.clone(), about);
        let rows = choose(builder).build()?;
        Ok(Self { rows, reader })
    }
}

impl Iterator for Batches {
    type Item = Result<RecordBatch, SegmentError>;

    fn next(&mut self) -> Option<Self::Item> {
        let next = self.rows.next()?;
        Some(next.map_err(|error| match self.reader.take_failure() {
            Some(failure) => failure.into(),
            None => error.into(),
        }))
    }
}

/// Some rows of a trace.
pub(crate) struct RowStretch {
    segment: Arc<Segment>,
    group: usize,
    rows: Range<usize>,
}

impl Stretch for RowStretch {
    fn spans(&self) -> Result<Vec<Span>, TracesError> {
        let read = || {
            let mut spans = Vec::with_capacity(self.rows.len());
            for batch in self.segment.rows_in(self.group, self.rows.clone(), None)? {
                spans.append(&mut spans_of(&batch?)?);
            }
            Ok::<_, SegmentError>(spans)
        };
        match read() {
            Err(error) if error.is_damage() || error.is_gone() => {
                tracing::error!(path = %self.segment.path.display(), %error, "damaged spans were left out");
                Ok(Vec::new())
            }
            read => read.map_err(|error| error.during("read", &self.segment.path)),
        }
    }
}
