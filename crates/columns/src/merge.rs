//! Several segments' rows as one sorted stream, read a little of each at a time.

use std::cmp::Ordering;
use std::ops::Range;
use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::types::Int32Type;
use arrow_array::{Int32Array, RecordBatch, StringArray, TimestampNanosecondArray};
use arrow_schema::ArrowError;
use arrow_select::interleave::interleave_record_batch;

use crate::schema::{SCHEMA, names};
use crate::segment::{Batches, Segment, SegmentError};

/// How many rows are read of each segment at a time, and given on at once.
const ROWS: usize = 4 << 10;

/// About how many bytes of memory are given on at once, at most.
const BYTES: usize = 64 << 20;

/// The rows of several segments in order. Of rows of the same span that begin at the same time, that of the last segment is
/// given alone.
pub(crate) struct Merged {
    inputs: Vec<Input>,
}

/// One segment: what has been read of it and not given on.
struct Input {
    rest: Batches,
    loaded: Option<Loaded>,
    row: usize,
}

/// A batch, and those of its columns that rows are sorted by.
struct Loaded {
    batch: RecordBatch,
    /// Which of the trace ids each row has.
    traces: Int32Array,
    trace_ids: StringArray,
    starts: TimestampNanosecondArray,
    span_ids: StringArray,
    /// What a row takes in memory, on average.
    row_bytes: usize,
}

/// What rows are sorted by.
#[derive(Clone, Copy)]
struct Key<'a> {
    trace_id: &'a str,
    start: i64,
    span_id: &'a str,
}

impl Loaded {
    fn of(batch: RecordBatch) -> Result<Self, SegmentError> {
        let column = |name: &str| {
            let column = batch.column_by_name(name);
            column.ok_or_else(|| ArrowError::SchemaError(format!("there is no column {name}")))
        };
        let traces = column(names::TRACE_ID)?.as_dictionary::<Int32Type>();
        Ok(Self {
            traces: traces.keys().clone(),
            trace_ids: traces.values().as_string::<i32>().clone(),
            starts: column(names::START)?.as_primitive().clone(),
            span_ids: column(names::SPAN_ID)?.as_string::<i32>().clone(),
            row_bytes: batch.get_array_memory_size() / batch.num_rows().max(1),
            batch,
        })
    }

    fn key(&self, row: usize) -> Option<Key<'_>> {
        let trace = usize::try_from(*self.traces.values().get(row)?).ok()?;
        Some(Key {
            trace_id: self.trace_ids.value(trace),
            // Times wrap: see the column.
            start: self.starts.value(row),
            span_id: self.span_ids.value(row),
        })
    }

    /// Behind the last of the rows from this one on that are of its trace.
    fn end_of_trace(&self, row: usize) -> usize {
        let rest = &self.traces.values()[row..];
        let same = rest.iter().take_while(|trace| **trace == rest[0]);
        row + same.count()
    }
}

impl Input {
    fn of(segment: &Segment) -> Result<Self, SegmentError> {
        let mut input = Self {
            rest: segment.batches(ROWS)?,
            loaded: None,
            row: 0,
        };
        input.load()?;
        Ok(input)
    }

    fn load(&mut self) -> Result<(), SegmentError> {
        let next = self.rest.next().transpose()?;
        self.loaded = next.map(Loaded::of).transpose()?;
        self.row = 0;
        Ok(())
    }

    fn key(&self) -> Option<Key<'_>> {
        self.loaded.as_ref()?.key(self.row)
    }

    fn is_used_up(&self) -> bool {
        let rows = self.loaded.as_ref().map(|loaded| loaded.batch.num_rows());
        rows.is_some_and(|rows| self.row >= rows)
    }

    /// Reads on if nothing is left.
    fn fill(&mut self) -> Result<(), SegmentError> {
        while self.is_used_up() {
            self.load()?;
        }
        Ok(())
    }
}

/// Rows that come next, all of one input.
struct Next {
    input: usize,
    rows: Range<usize>,
}

impl Merged {
    pub(crate) fn of(segments: &[Arc<Segment>]) -> Result<Self, SegmentError> {
        let inputs = segments.iter().map(|segment| Input::of(segment));
        Ok(Self {
            inputs: inputs.collect::<Result<_, SegmentError>>()?,
        })
    }

    /// Which rows are next. Of inputs with the same row it is the last one's, the others' being passed over.
    fn next_rows(&mut self) -> Option<Next> {
        let mut least: Option<(usize, Key<'_>)> = None;
        let mut others_have_trace = false;
        let mut passed_over = Vec::new();
        for (number, input) in self.inputs.iter().enumerate() {
            let Some(key) = input.key() else { continue };
            let Some((before, least_key)) = least else {
                least = Some((number, key));
                continue;
            };
            let by_trace = key.trace_id.cmp(least_key.trace_id);
            match by_trace.then_with(|| order_within(&key, &least_key)) {
                Ordering::Less => {
                    others_have_trace = by_trace == Ordering::Equal;
                    passed_over.clear();
                    least = Some((number, key));
                }
                Ordering::Equal => {
                    others_have_trace = true;
                    passed_over.push(before);
                    least = Some((number, key));
                }
                Ordering::Greater => others_have_trace |= by_trace == Ordering::Equal,
            }
        }
        let (input, _) = least?;
        for number in passed_over {
            self.inputs[number].row += 1;
        }
        let Input { loaded, row, .. } = &mut self.inputs[input];
        let start = *row;
        // Most traces are in one input alone, and then nothing comes between their rows.
        *row = match loaded {
            Some(loaded) if !others_have_trace => loaded.end_of_trace(start),
            _ => start + 1,
        };
        let rows = start..*row;
        Some(Next { input, rows })
    }

    fn next_batch(&mut self) -> Result<Option<RecordBatch>, SegmentError> {
        for input in &mut self.inputs {
            input.fill()?;
        }
        let mut bytes = 0;
        let mut picked = Vec::with_capacity(ROWS);
        // Until a batch is used up: what follows in its segment may come before what the others have.
        while picked.len() < ROWS
            && bytes < BYTES
            && !self.inputs.iter().any(Input::is_used_up)
            && let Some(Next { input, rows }) = self.next_rows()
        {
            let row_bytes = self.inputs[input].loaded.as_ref();
            bytes += row_bytes.map_or(0, |loaded| loaded.row_bytes) * rows.len();
            picked.extend(rows.map(|row| (input, row)));
        }
        if picked.is_empty() {
            return Ok(None);
        }
        let empty = RecordBatch::new_empty(Arc::clone(&SCHEMA));
        let inputs = self.inputs.iter();
        let batches = inputs.map(|input| match &input.loaded {
            Some(loaded) => &loaded.batch,
            None => &empty,
        });
        let batches: Vec<_> = batches.collect();
        Ok(Some(interleave_record_batch(&batches, &picked)?))
    }
}

/// The order in which rows of a trace are written: times as the whole numbers that they are.
fn order_within(a: &Key<'_>, b: &Key<'_>) -> Ordering {
    let by_start = a.start.cast_unsigned().cmp(&b.start.cast_unsigned());
    by_start.then_with(|| a.span_id.cmp(b.span_id))
}

impl Iterator for Merged {
    type Item = Result<RecordBatch, SegmentError>;

    fn next(&mut self) -> Option<Self::Item> {
        self.next_batch().transpose()
    }
}

#[cfg(test)]
mod tests {
    use hopline_files::Disk;
    use hopline_traces::testing::span;
    use hopline_wire::Timestamp;

    use super::*;
    use crate::name::Name;
    use crate::rows::Rows;
    use crate::runs;
    use crate::segments::Segments;

    #[test]
    fn rows_come_in_order_and_once_however_their_traces_are_spread() {
        let folder = tempfile::tempdir().unwrap();
        let segments = Segments::open(Arc::new(Disk), folder.path().to_owned()).unwrap();
        // Of trace 0 each segment has every third span, of trace 1 a stretch, of trace 2 all; trace 3 is in the last alone.
        let has = |segment: u64, trace: u64, number: u64| match trace {
            0 => number % 3 == segment,
            1 => number / 10 == segment,
            2 => true,
            _ => segment == 2,
        };
        for segment in 0..3 {
            let mut rows = Rows::default();
            let all = (0..4).flat_map(|trace| (0..30).map(move |number| (trace, number)));
            let own = all.filter(|(trace, number)| has(segment, *trace, *number));
            own.for_each(|(trace, number)| rows.push(&span(trace, trace * 100 + number)));
            let name = Name::new(Timestamp::now(), segment + 1, segment + 1);
            let batch = std::iter::once(Ok(rows.finish().unwrap()));
            runs::put(&segments, name, 4, batch).unwrap();
        }
        let mut keys = Vec::new();
        for batch in Merged::of(&segments.all()).unwrap() {
            let loaded = Loaded::of(batch.unwrap()).unwrap();
            keys.extend((0..loaded.batch.num_rows()).map(|row| {
                let key = loaded.key(row).unwrap();
                (key.trace_id.to_owned(), key.start, key.span_id.to_owned())
            }));
        }
        assert_eq!(keys.len(), 4 * 30);
        assert!(keys.is_sorted());
        keys.dedup();
        assert_eq!(keys.len(), 4 * 30);
    }
}
