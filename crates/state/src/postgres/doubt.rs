//! Whether a transaction took place whose connection broke during `COMMIT`.
//!
//! A group's events must be counted once and told once, so it is not enough that sending them again would change nothing.
//! PostgreSQL remembers for a while how each transaction ended (`pg_xact_status`, by the number that it had), also across a
//! crash and on a replica that took over.

use std::time::Duration;

use deadpool_postgres::Pool;
use tokio::time::{Instant, sleep};

use super::convert::{during, no_connection};
use crate::error::{Reason, StateError};

const OPERATION: &str = "COMMIT";
/// How long it is tried to find out: longer than a database needs to start again after a crash, usually.
const PATIENCE: Duration = Duration::from_secs(20);
const PAUSE: Duration = Duration::from_millis(100);

/// How a transaction ended.
enum Status {
    Committed,
    Aborted,
    /// It is under way: the database has not noticed yet that nobody waits for it.
    UnderWay,
}

/// Finds out whether the transaction took place.
///
/// # Errors
/// The error that left it in doubt, if it did not take place; [`Reason::InDoubt`] if that could not be found out.
pub(super) async fn resolve(
    pool: &Pool,
    transaction: Option<&str>,
    error: StateError,
) -> Result<(), StateError> {
    // Without a number it had written nothing.
    let Some(transaction) = transaction else {
        return Err(error);
    };
    let until = Instant::now() + PATIENCE;
    loop {
        match status(pool, transaction).await {
            Ok(Status::Committed) => return Ok(()),
            Ok(Status::Aborted) => return Err(error),
            Ok(Status::UnderWay) | Err(_) if Instant::now() < until => sleep(PAUSE).await,
            Ok(Status::UnderWay) | Err(_) => return Err(in_doubt(error)),
        }
    }
}

async fn status(pool: &Pool, transaction: &str) -> Result<Status, StateError> {
    let client = pool.get().await;
    let client = client.map_err(|error| no_connection(OPERATION, error))?;
    let row = client
        .query_one("SELECT pg_xact_status($1::text::xid8)", &[&transaction])
        .await;
    let status: Option<String> = match row {
        Ok(row) => row.try_get(0).map_err(during(OPERATION))?,
        // "In the future": a replica that took over had never heard of it.
        Err(error) if error.code().is_some_and(|code| code.code() == "22023") => {
            return Ok(Status::Aborted);
        }
        Err(error) => return Err(during(OPERATION)(error)),
    };
    Ok(match status.as_deref() {
        Some("committed") => Status::Committed,
        Some("in progress") => Status::UnderWay,
        // Forgotten by now, which takes millions of others, or undone.
        _ => Status::Aborted,
    })
}

fn in_doubt(error: StateError) -> StateError {
    let code = error.code().map(str::to_owned);
    StateError::Unavailable {
        operation: error.operation(),
        reason: Reason::InDoubt,
        code,
        source: error.into(),
    }
}
