//! Between rows of PostgreSQL and the program's types, and PostgreSQL's errors told as the store's.

use std::borrow::Cow;
use std::error::Error;
use std::fmt;

use deadpool_postgres::PoolError;
use deadpool_postgres::TimeoutType;
use hopline_wire::{Timestamp, TraceId};
use tokio_postgres::Row;
use tokio_postgres::error::SqlState;
use tokio_postgres::types::private::BytesMut;
use tokio_postgres::types::{FromSql, IsNull, ToSql, Type, to_sql_checked};

use crate::error::{Conflict, Reason, StateError};

type Result<T> = std::result::Result<T, StateError>;
type Boxed = Box<dyn Error + Send + Sync>;

/// Tells an error of PostgreSQL as one of the store, during `operation`.
pub(super) fn during(operation: &'static str) -> impl Fn(tokio_postgres::Error) -> StateError {
    move |error| {
        let Some(said) = error.as_db_error() else {
            return without_code(operation, error);
        };
        let code = said.code();
        if code.code().starts_with("23") {
            return StateError::Conflict {
                operation,
                conflict: Conflict::Rows,
            };
        }
        let source = Box::new(Said {
            code: code.code().to_owned(),
            message: said.message().to_owned(),
        });
        let code = Some(code.code().to_owned());
        match judge(said.code()) {
            Some(reason) => StateError::Unavailable {
                operation,
                reason,
                code,
                source,
            },
            None => StateError::Broken {
                operation,
                code,
                source,
            },
        }
    }
}

/// Why the database cannot do it now; none if it never will (PostgreSQL's manual, appendix A, "Error Codes").
///
/// Only what lies in the data can be refused for good. Whatever somebody could mend in the database, a lost right or a
/// missing table, is waited for: what is refused is lost.
fn judge(code: &SqlState) -> Option<Reason> {
    let reason = match &code.code()[..2] {
        // Cardinality violations; data exceptions; limits that a program goes beyond.
        "21" | "22" | "54" => return None,
        // Connection exceptions; an operator's intervention.
        "08" => Reason::Disconnected,
        "57" if *code == SqlState::QUERY_CANCELED => Reason::Slow,
        "57" => Reason::Disconnected,
        "53" if *code == SqlState::TOO_MANY_CONNECTIONS => Reason::PoolExhausted,
        "53" => Reason::NoRoom,
        "40" => Reason::Locked,
        _ if *code == SqlState::LOCK_NOT_AVAILABLE => Reason::Locked,
        _ if *code == SqlState::READ_ONLY_SQL_TRANSACTION => Reason::ReadOnly,
        _ if *code == SqlState::IDLE_IN_TRANSACTION_SESSION_TIMEOUT => Reason::Disconnected,
        _ => Reason::Other,
    };
    Some(reason)
}

/// An error that the database did not name: its connection's, or the driver's.
fn without_code(operation: &'static str, error: tokio_postgres::Error) -> StateError {
    // The driver does not say so in any other way.
    let is_encoding = error.to_string().starts_with("error serializing");
    if is_encoding {
        return StateError::Broken {
            operation,
            code: None,
            source: error.into(),
        };
    }
    StateError::Unavailable {
        operation,
        reason: Reason::Disconnected,
        code: None,
        source: error.into(),
    }
}

/// What the pool of connections says.
pub(super) fn no_connection(operation: &'static str, error: PoolError) -> StateError {
    let (reason, source): (_, Boxed) = match error {
        PoolError::Backend(error) => return during(operation)(error),
        PoolError::Timeout(TimeoutType::Wait) => {
            (Reason::PoolExhausted, "all connections are in use".into())
        }
        PoolError::Timeout(_) => (Reason::Disconnected, "it does not answer".into()),
        PoolError::Closed => (Reason::Other, "the database is closed".into()),
        other => (Reason::Other, other.to_string().into()),
    };
    StateError::Unavailable {
        operation,
        reason,
        code: None,
        source,
    }
}

/// What the database said, without the details that quote rows.
#[derive(Debug)]
struct Said {
    code: String,
    message: String,
}

impl fmt::Display for Said {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} (SQLSTATE {})", self.message, self.code)
    }
}

impl Error for Said {}

/// A time as `timestamptz`, in whole milliseconds.
#[derive(Debug, Clone, Copy)]
pub(super) struct Millis(pub(super) Timestamp);

/// PostgreSQL counts microseconds from 2000-01-01T00:00:00Z.
const EPOCH_MICROS: i64 = 946_684_800_000_000;

impl ToSql for Millis {
    fn to_sql(&self, ty: &Type, out: &mut BytesMut) -> std::result::Result<IsNull, Boxed> {
        let micros = signed(self.0.as_millis()).saturating_mul(1_000);
        micros.saturating_sub(EPOCH_MICROS).to_sql(ty, out)
    }

    fn accepts(ty: &Type) -> bool {
        *ty == Type::TIMESTAMPTZ
    }

    to_sql_checked!();
}

impl<'a> FromSql<'a> for Millis {
    fn from_sql(ty: &Type, raw: &'a [u8]) -> std::result::Result<Self, Boxed> {
        let micros = i64::from_sql(ty, raw)?.saturating_add(EPOCH_MICROS);
        Ok(Self(Timestamp::from_millis(unsigned(micros / 1_000))))
    }

    fn accepts(ty: &Type) -> bool {
        *ty == Type::TIMESTAMPTZ
    }
}

/// A sequence number as PostgreSQL holds it. The wire allows none that is larger.
pub(super) fn signed(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

/// A sequence number out of a column.
pub(super) fn unsigned(number: i64) -> u64 {
    u64::try_from(number).unwrap_or(0)
}

/// A text that PostgreSQL takes: it has no U+0000.
pub(super) fn text(text: &str) -> Cow<'_, str> {
    match text.contains('\0') {
        true => text.replace('\0', "\u{fffd}").into(),
        false => text.into(),
    }
}

/// The columns of a row, one after the other. Their types are those of the statement, so what fails is the program.
pub(super) struct Columns<'r> {
    row: &'r Row,
    operation: &'static str,
    next: usize,
}

impl<'r> Columns<'r> {
    pub(super) fn of(row: &'r Row, operation: &'static str) -> Self {
        Self {
            row,
            operation,
            next: 0,
        }
    }

    /// The next column.
    pub(super) fn take<T: FromSql<'r>>(&mut self) -> Result<T> {
        let column = self.next;
        self.next += 1;
        self.row
            .try_get(column)
            .map_err(|error| self.broken(error.into()))
    }

    /// A sequence number.
    pub(super) fn number(&mut self) -> Result<u64> {
        self.take().map(unsigned)
    }

    /// A time.
    pub(super) fn time(&mut self) -> Result<Timestamp> {
        Ok(self.take::<Millis>()?.0)
    }

    /// A time, if there is one.
    pub(super) fn time_if_any(&mut self) -> Result<Option<Timestamp>> {
        Ok(self.take::<Option<Millis>>()?.map(|time| time.0))
    }

    /// A number that is never negative, in a column of 32 bits.
    pub(super) fn small<T: TryFrom<i32>>(&mut self) -> Result<T> {
        let number: i32 = self.take()?;
        let narrow = T::try_from(number);
        narrow.map_err(|_| self.broken(format!("{number} is out of range").into()))
    }

    /// The same, if there is one.
    pub(super) fn small_if_any<T: TryFrom<i32>>(&mut self) -> Result<Option<T>> {
        let number: Option<i32> = self.take()?;
        Ok(number.and_then(|number| T::try_from(number).ok()))
    }

    /// A trace's identity, if there is one.
    pub(super) fn trace(&mut self) -> Result<Option<TraceId>> {
        let text: Option<&str> = self.take()?;
        let parsed = text.map(str::parse).transpose();
        parsed.map_err(|error: hopline_wire::ids::BadId| self.broken(error.into()))
    }

    /// One of the named values of a column.
    pub(super) fn named<T>(&mut self, named: impl Fn(&str) -> Option<T>) -> Result<T> {
        let text: &str = self.take()?;
        let unknown = || format!("{text:?} is none of the column's values");
        named(text).ok_or_else(|| self.broken(unknown().into()))
    }

    fn broken(&self, source: Boxed) -> StateError {
        StateError::Broken {
            operation: self.operation,
            code: None,
            source,
        }
    }
}
