//! Statements that are sent behind each other, without waiting for answers in between.

use std::future::Future;
use std::pin::Pin;

use futures_util::future::{MaybeDone, maybe_done};
use futures_util::poll;
use tokio_postgres::Row;
use tokio_postgres::types::ToSql;

use super::convert::during;
use super::pool::Lease;
use crate::error::StateError;
use crate::group::Progress;

/// A value of a statement.
pub(super) type Value<'v> = Box<dyn ToSql + Send + Sync + 'v>;

/// One statement on its way.
pub(super) struct Step<'v> {
    /// What it does.
    pub(super) operation: &'static str,
    /// With which table, if with one.
    pub(super) table: &'static str,
    /// Both, as errors say it.
    pub(super) both: &'static str,
    pub(super) sql: &'static str,
    pub(super) values: Vec<Value<'v>>,
    /// How many rows it is about.
    pub(super) rows: usize,
}

impl Step<'_> {
    /// A statement without a table and values.
    pub(super) const fn bare(operation: &'static str) -> Self {
        Self {
            operation,
            table: "",
            both: operation,
            sql: operation,
            values: Vec::new(),
            rows: 0,
        }
    }
}

/// Sends all steps and gives their rows, in order. Tells the progress of each: from the moment when it was sent, or when
/// the one before it was answered if that was later, until its own answer.
///
/// # Errors
/// What the first step that failed met. Those behind it fail too, since the transaction is broken; a `COMMIT` among them
/// takes everything back.
pub(super) async fn run(
    lease: &Lease,
    steps: &[Step<'_>],
    progress: &Progress,
) -> Result<Vec<Vec<Row>>, StateError> {
    let mut prepared = Vec::with_capacity(steps.len());
    for step in steps {
        let statement = lease.prepare_cached(step.sql).await;
        prepared.push(statement.map_err(|error| {
            progress.begin(step.operation, step.table);
            during(step.both)(error)
        })?);
    }
    let values: Vec<Vec<&(dyn ToSql + Sync)>> = steps
        .iter()
        .map(|step| step.values.iter().map(|value| &**value as _).collect())
        .collect();
    let mut answers: Vec<Pin<Box<MaybeDone<_>>>> = prepared
        .iter()
        .zip(&values)
        .map(|(statement, values)| Box::pin(maybe_done(lease.query(statement, values))))
        .collect();
    // Each is sent when it is first polled: in this order, and so the database takes them.
    for answer in &mut answers {
        let _ = poll!(answer.as_mut());
    }
    let mut rows = Vec::with_capacity(steps.len());
    for (step, answer) in steps.iter().zip(&mut answers) {
        progress.begin(step.operation, step.table);
        rows.push(answered(answer.as_mut()).await.map_err(during(step.both))?);
        progress.end(step.rows);
    }
    Ok(rows)
}

#[expect(clippy::expect_used, reason = "it is taken once, when it is there")]
async fn answered<F: Future>(mut answer: Pin<&mut MaybeDone<F>>) -> F::Output {
    answer.as_mut().await;
    answer.take_output().expect("the answer is there")
}
