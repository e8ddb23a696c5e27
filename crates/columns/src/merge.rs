//! Several segments' rows as one sorted stream, read a little of each at a time.

use std::cmp::Ordering;
use std::sync::Arc;

use arrow_array::RecordBatch;
use arrow_array::cast::AsArray;
use arrow_array::types::{Int32Type, TimestampNanosecondType};
use arrow_select::interleave::interleave_record_batch;
use parquet::arrow::arrow_reader::ParquetRecordBatchReader;

use crate::schema::{SCHEMA, names};
use crate::segment::{Segment, SegmentError};

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
    rest: ParquetRecordBatchReader,
    batch: Option<RecordBatch>,
    row: usize,
}

/// What rows are sorted by.
#[derive(Clone, Copy)]
struct Key<'a> {
    trace_id: &'a str,
    start: i64,
    span_id: &'a str,
}

impl Input {
    fn key(&self) -> Option<Key<'_>> {
        key_at(self.batch.as_ref()?, self.row)
    }

    /// Reads on if nothing is left.
    fn fill(&mut self) -> Result<(), SegmentError> {
        while self
            .batch
            .as_ref()
            .is_some_and(|batch| self.row >= batch.num_rows())
        {
            self.batch = self.rest.next().transpose()?;
            self.row = 0;
        }
        Ok(())
    }
}

fn row_bytes(batch: &RecordBatch) -> usize {
    batch.get_array_memory_size() / batch.num_rows().max(1)
}

fn key_at(batch: &RecordBatch, row: usize) -> Option<Key<'_>> {
    let trace_ids = batch
        .column_by_name(names::TRACE_ID)?
        .as_dictionary_opt::<Int32Type>()?;
    let starts = batch
        .column_by_name(names::START)?
        .as_primitive_opt::<TimestampNanosecondType>()?;
    let span_ids = batch
        .column_by_name(names::SPAN_ID)?
        .as_string_opt::<i32>()?;
    let trace_id = trace_ids
        .values()
        .as_string_opt::<i32>()?
        .value(trace_ids.key(row)?);
    Some(Key {
        trace_id,
        // Times wrap: see the column.
        start: starts.value(row),
        span_id: span_ids.value(row),
    })
}

impl Merged {
    pub(crate) fn of(segments: &[Arc<Segment>]) -> Result<Self, SegmentError> {
        let inputs = segments.iter().map(|segment| {
            let mut rest = segment.batches(ROWS)?;
            let batch = rest.next().transpose()?;
            Ok(Input {
                rest,
                batch,
                row: 0,
            })
        });
        Ok(Self {
            inputs: inputs.collect::<Result<_, SegmentError>>()?,
        })
    }

    /// Which input is next; of those with the same row the last, the others' being passed over.
    fn next_input(&mut self) -> Option<usize> {
        let mut least: Option<(usize, Key<'_>)> = None;
        let mut passed_over = Vec::new();
        for (number, input) in self.inputs.iter().enumerate() {
            let Some(key) = input.key() else { continue };
            match least.as_ref().map(|(_, least)| order(&key, least)) {
                None | Some(Ordering::Less) => {
                    passed_over.clear();
                    least = Some((number, key));
                }
                Some(Ordering::Equal) => {
                    passed_over.extend(least.map(|(number, _)| number));
                    least = Some((number, key));
                }
                Some(Ordering::Greater) => {}
            }
        }
        let next = least.map(|(number, _)| number);
        for number in passed_over {
            self.inputs[number].row += 1;
        }
        next
    }

    fn next_batch(&mut self) -> Result<Option<RecordBatch>, SegmentError> {
        for input in &mut self.inputs {
            input.fill()?;
        }
        let batches: Vec<_> = self
            .inputs
            .iter()
            .map(|input| input.batch.clone())
            .collect();
        // What a row takes of each, on average.
        let sizes: Vec<_> = batches
            .iter()
            .map(|batch| batch.as_ref().map_or(0, row_bytes))
            .collect();
        let mut bytes = 0;
        let mut picked = Vec::with_capacity(ROWS);
        // Until a batch is used up: what follows in its segment may come before what the others have.
        while picked.len() < ROWS
            && bytes < BYTES
            && let Some(number) = self.next_input()
        {
            let input = &mut self.inputs[number];
            picked.push((number, input.row));
            bytes += sizes[number];
            input.row += 1;
            let used_up = |input: &Input| {
                input
                    .batch
                    .as_ref()
                    .is_some_and(|batch| input.row >= batch.num_rows())
            };
            if self.inputs.iter().any(used_up) {
                break;
            }
        }
        if picked.is_empty() {
            return Ok(None);
        }
        let empty = RecordBatch::new_empty(Arc::clone(&SCHEMA));
        let batches: Vec<_> = batches
            .iter()
            .map(|batch| batch.as_ref().unwrap_or(&empty))
            .collect();
        Ok(Some(interleave_record_batch(&batches, &picked)?))
    }
}

/// The order in which rows are written: times as the whole numbers that they are.
fn order(a: &Key<'_>, b: &Key<'_>) -> Ordering {
    a.trace_id
        .cmp(b.trace_id)
        .then(a.start.cast_unsigned().cmp(&b.start.cast_unsigned()))
        .then(a.span_id.cmp(b.span_id))
}

impl Iterator for Merged {
    type Item = Result<RecordBatch, SegmentError>;

    fn next(&mut self) -> Option<Self::Item> {
        self.next_batch().transpose()
    }
}
