//! From columns to an answer's rows.

use datafusion::arrow::array::cast::AsArray;
use datafusion::arrow::array::{Array, ArrayRef, RecordBatch};
use datafusion::arrow::compute::cast;
use datafusion::arrow::datatypes::{
    DataType, Float32Type, Float64Type, Int64Type, TimeUnit, TimestampNanosecondType, UInt64Type,
};
use datafusion::arrow::error::ArrowError;
use datafusion::arrow::util::display::{ArrayFormatter, FormatOptions};
use hopline_traces::questions::Unit;
use hopline_wire::Timestamp;
use serde_json::Value;

/// The largest whole number that every reader of JSON takes for itself.
const EXACT: u64 = 1 << 53;

/// A column's unit, by its name and type: for SQL, which says no more.
pub(crate) fn unit_of(name: &str, kind: &DataType) -> Unit {
    match kind {
        DataType::Timestamp(..) => Unit::Time,
        _ if name.ends_with("_ns") => Unit::Nanoseconds,
        _ if name.ends_with("_ms") => Unit::Milliseconds,
        _ => Unit::Plain,
    }
}

/// The rows of a batch.
pub(crate) fn rows_of(batch: &RecordBatch) -> Result<Vec<Vec<Value>>, ArrowError> {
    let columns: Vec<_> = batch
        .columns()
        .iter()
        .map(values_of)
        .collect::<Result<_, _>>()?;
    let mut columns: Vec<_> = columns.into_iter().map(Vec::into_iter).collect();
    let rows = (0..batch.num_rows()).map(|_| {
        columns
            .iter_mut()
            .map(|column| column.next().unwrap_or_default())
            .collect()
    });
    Ok(rows.collect())
}

fn values_of(column: &ArrayRef) -> Result<Vec<Value>, ArrowError> {
    let each = |value: &dyn Fn(usize) -> Value| -> Vec<Value> {
        let rows = 0..column.len();
        rows.map(|row| {
            if column.is_null(row) {
                Value::Null
            } else {
                value(row)
            }
        })
        .collect()
    };
    Ok(match column.data_type() {
        DataType::Null => vec![Value::Null; column.len()],
        DataType::Boolean => {
            let values = column.as_boolean();
            each(&|row| values.value(row).into())
        }
        DataType::Int8 | DataType::Int16 | DataType::Int32 | DataType::Int64 => {
            let values = cast(column, &DataType::Int64)?;
            let values = values.as_primitive::<Int64Type>();
            each(&|row| match values.value(row) {
                value if value.unsigned_abs() <= EXACT => value.into(),
                value => value.to_string().into(),
            })
        }
        DataType::UInt8 | DataType::UInt16 | DataType::UInt32 | DataType::UInt64 => {
            let values = cast(column, &DataType::UInt64)?;
            let values = values.as_primitive::<UInt64Type>();
            each(&|row| match values.value(row) {
                value if value <= EXACT => value.into(),
                value => value.to_string().into(),
            })
        }
        DataType::Float64 => {
            let values = column.as_primitive::<Float64Type>();
            each(&|row| number(values.value(row)))
        }
        DataType::Float32 => {
            let values = column.as_primitive::<Float32Type>();
            each(&|row| number(values.value(row).into()))
        }
        DataType::Timestamp(TimeUnit::Nanosecond, _) => {
            let values = column.as_primitive::<TimestampNanosecondType>();
            each(&|row| time(values.value(row)).into())
        }
        DataType::Dictionary(_, of) => return values_of(&cast(column, of)?),
        DataType::Utf8 => {
            let values = column.as_string::<i32>();
            each(&|row| values.value(row).into())
        }
        _ => {
            let options = FormatOptions::default();
            let values = ArrayFormatter::try_new(column, &options)?;
            each(&|row| values.value(row).to_string().into())
        }
    })
}

/// A number; a whole one without a fraction, since counts are weighed.
fn number(value: f64) -> Value {
    let is_whole = value.fract() == 0.0 && value.abs() <= EXACT as f64;
    #[expect(clippy::cast_possible_truncation, reason = "whole, and in range")]
    match is_whole {
        true => (value as i64).into(),
        // What is no number is none in JSON either.
        false => serde_json::Number::from_f64(value).map_or(Value::Null, Value::Number),
    }
}

/// A time to the nanosecond, as far as there are any.
fn time(nanos: i64) -> String {
    let at = Timestamp::from_nanos(nanos.cast_unsigned());
    let text = at.to_string();
    let below_millis = at.as_nanos() % 1_000_000;
    match below_millis {
        0 => text,
        nanos => format!("{}{nanos:06}Z", text.trim_end_matches('Z')),
    }
}
