//! Between rows of SQLite and the program's types, and SQLite's errors told as the store's.

use hopline_wire::{Timestamp, TraceId};
use rusqlite::types::{FromSql, FromSqlError, FromSqlResult, ToSqlOutput, ValueRef};
use rusqlite::{ErrorCode, Row, ToSql};
use uuid::Uuid;

use crate::error::{Conflict, Reason, StateError};

/// Tells an error of SQLite as one of the store, during `operation`.
pub(super) fn during(operation: &'static str) -> impl Fn(rusqlite::Error) -> StateError {
    move |error| {
        let failure = error.sqlite_error().copied();
        let code = failure.map(|failure| failure.extended_code.to_string());
        match failure.map(|failure| failure.code) {
            Some(
                failure @ (ErrorCode::DatabaseBusy
                | ErrorCode::DatabaseLocked
                | ErrorCode::DiskFull
                | ErrorCode::SystemIoFailure
                | ErrorCode::CannotOpen
                | ErrorCode::ReadOnly
                | ErrorCode::OutOfMemory
                | ErrorCode::PermissionDenied
                | ErrorCode::FileLockingProtocolFailed
                | ErrorCode::OperationInterrupted),
            ) => StateError::Unavailable {
                operation,
                reason: reason(failure),
                code,
                source: error.into(),
            },
            Some(ErrorCode::ConstraintViolation) => StateError::Conflict {
                operation,
                conflict: Conflict::Rows,
            },
            _ => StateError::Broken {
                operation,
                code,
                source: error.into(),
            },
        }
    }
}

fn reason(failure: ErrorCode) -> Reason {
    match failure {
        ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked => Reason::Locked,
        ErrorCode::DiskFull | ErrorCode::OutOfMemory => Reason::NoRoom,
        ErrorCode::ReadOnly => Reason::ReadOnly,
        _ => Reason::Other,
    }
}

/// A UUID as its text.
pub(super) struct Id(pub(super) Uuid);

impl ToSql for Id {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(self.0.hyphenated().to_string().into())
    }
}

impl FromSql for Id {
    fn column_result(value: ValueRef<'_>) -> FromSqlResult<Self> {
        let text = value.as_str()?;
        Uuid::parse_str(text)
            .map(Id)
            .map_err(|error| FromSqlError::Other(error.into()))
    }
}

/// A list of texts as the one value that a statement takes for it.
pub(super) fn list(texts: impl IntoIterator<Item = String>) -> String {
    serde_json::Value::from_iter(texts).to_string()
}

/// A time as whole milliseconds.
pub(super) struct Millis(pub(super) Timestamp);

impl ToSql for Millis {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(signed(self.0.as_millis()).into())
    }
}

impl FromSql for Millis {
    fn column_result(value: ValueRef<'_>) -> FromSqlResult<Self> {
        let millis = u64::try_from(value.as_i64()?).unwrap_or(0);
        Ok(Self(Timestamp::from_millis(millis)))
    }
}

/// A trace's identity as its hexadecimal text.
pub(super) struct Trace(pub(super) TraceId);

impl ToSql for Trace {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(self.0.to_string().into())
    }
}

impl FromSql for Trace {
    fn column_result(value: ValueRef<'_>) -> FromSqlResult<Self> {
        let parsed = value.as_str()?.parse();
        parsed
            .map(Trace)
            .map_err(|error: hopline_wire::ids::BadId| FromSqlError::Other(error.into()))
    }
}

/// A sequence number as SQLite holds it. The wire allows none that is larger.
pub(super) fn signed(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

/// A sequence number out of a column.
pub(super) fn number(row: &Row<'_>, column: usize) -> rusqlite::Result<u64> {
    Ok(u64::try_from(row.get::<_, i64>(column)?).unwrap_or(0))
}

/// One of the named values of a column.
pub(super) fn name<T>(
    row: &Row<'_>,
    column: usize,
    named: impl Fn(&str) -> Option<T>,
) -> rusqlite::Result<T> {
    let text = row.get_ref(column)?.as_str()?;
    named(text).ok_or_else(|| {
        let unknown = format!("{text:?} is none of the column's values");
        rusqlite::Error::FromSqlConversionFailure(
            column,
            rusqlite::types::Type::Text,
            unknown.into(),
        )
    })
}

/// A time out of a column that may be empty.
pub(super) fn time(row: &Row<'_>, column: usize) -> rusqlite::Result<Option<Timestamp>> {
    Ok(row.get::<_, Option<Millis>>(column)?.map(|millis| millis.0))
}

/// A time out of a column that never is.
pub(super) fn time_there(row: &Row<'_>, column: usize) -> rusqlite::Result<Timestamp> {
    Ok(row.get::<_, Millis>(column)?.0)
}
