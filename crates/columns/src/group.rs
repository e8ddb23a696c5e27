//! What a group of rows says of itself, without its rows being read.

use parquet::file::metadata::RowGroupMetaData;
use parquet::file::statistics::Statistics;

use crate::schema::names;

/// How many bytes of memory a row of a group takes, on average.
pub(crate) fn row_bytes(group: &RowGroupMetaData) -> usize {
    let columns = group.columns().iter();
    let texts = columns.map(|column| match column.unencoded_byte_array_data_bytes() {
        Some(bytes) => bytes.max(0),
        // Of other engines' files it may not be known.
        None => column.uncompressed_size().max(0),
    });
    let rows = group.num_rows().max(1);
    usize::try_from(texts.sum::<i64>() / rows).unwrap_or(usize::MAX)
}

/// Whether rows of a group may be records, as far as it says.
pub(crate) fn has_records(group: &RowGroupMetaData) -> bool {
    let mut columns = group.columns().iter();
    let records = columns.find(|column| column.column_path().string() == names::RECORD);
    let nulls = records.and_then(|column| column.statistics()?.null_count_opt());
    nulls != Some(group.num_rows().max(0).cast_unsigned())
}

/// The earliest and the latest start of the spans of a group, as far as it says.
pub(crate) fn starts(group: &RowGroupMetaData) -> Option<(i64, i64)> {
    let mut columns = group.columns().iter();
    let starts = columns.find(|column| column.column_path().string() == names::START)?;
    match starts.statistics()? {
        Statistics::Int64(starts) => Some((*starts.min_opt()?, *starts.max_opt()?)),
        _ => None,
    }
}

/// Whether a value may lie between these bounds.
pub(crate) fn may_hold(bounds: &Statistics, wanted: &str) -> bool {
    let wanted = wanted.as_bytes();
    let least = bounds.min_bytes_opt().is_none_or(|least| least <= wanted);
    least
        && bounds
            .max_bytes_opt()
            .is_none_or(|greatest| wanted <= greatest)
}
