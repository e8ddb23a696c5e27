//! The group commit: two round trips and one commit, whatever the group holds.
//!
//! The first round trip begins the transaction, locks the rows of the group's commands and projects, each in the order of
//! their ids, and reads where the commands are: so of several servers one at a time applies events of a command, and two
//! groups never wait for each other. The second sends the statements of all batches that are in place, and the `COMMIT`
//! behind them: one statement for each table, which takes its rows as arrays.

use std::collections::{HashMap, HashSet};

use deadpool_postgres::Pool;
use uuid::Uuid;

use super::convert::Columns;
use super::doubt;
use super::pipeline::{self, Step};
use super::pool::Lease;
use super::statements;
use crate::error::{Reason, StateError};
use crate::group::{BatchOutcome, CommandBatch, Committed, Group};

type Result<T> = std::result::Result<T, StateError>;

/// Commits the group.
pub(super) async fn commit(pool: &Pool, group: &Group) -> Result<Committed> {
    // Waiting for a connection is waiting for the database.
    group.progress.begin("BEGIN", "");
    let lease = Lease::new(pool, "BEGIN").await?;
    let begun = match begin(&lease, group).await {
        Ok(begun) => begun,
        Err(error) => return Err(take_back(lease, error).await),
    };
    match write(&lease, group, &begun.outcomes).await {
        Ok(()) => lease.keep(),
        Err(error) if is_disconnected(&error) => {
            drop(lease);
            doubt::resolve(pool, begun.transaction.as_deref(), error).await?;
            group.progress.end(0);
        }
        Err(error) => return Err(take_back(lease, error).await),
    }
    Ok(Committed {
        outcomes: begun.outcomes,
        statements: group.progress.statements().ran,
    })
}

/// A transaction that has its locks.
struct Begun {
    outcomes: Vec<BatchOutcome>,
    /// The transaction's number; none if none of the group's commands is there.
    transaction: Option<String>,
}

/// Begins the transaction, and compares where each batch was folded from with where its command is.
async fn begin(lease: &Lease, group: &Group) -> Result<Begun> {
    let batches = &group.batches;
    let mut steps = vec![Step::bare("BEGIN")];
    let created_at = push(&mut steps, statements::insert_unknown_commands(batches));
    let locked_at = push(&mut steps, Some(statements::lock_commands(batches)));
    let counted_at = push(&mut steps, statements::count_decisions(batches));
    push(&mut steps, statements::lock_projects(batches));
    let mut rows = pipeline::run(lease, &steps, &group.progress).await?;
    let mut rows_of = |place: Option<usize>| place.map(|place| std::mem::take(&mut rows[place]));

    let mut created: HashSet<String> = HashSet::new();
    for row in rows_of(created_at).iter().flatten() {
        created.insert(Columns::of(row, "INSERT commands").take()?);
    }
    let (mut positions, mut transaction) = (HashMap::new(), None);
    for row in rows_of(locked_at).iter().flatten() {
        let mut columns = Columns::of(row, "SELECT commands");
        let id: String = columns.take()?;
        positions.insert(id, columns.number()?);
        transaction = Some(columns.take()?);
    }
    let mut decisions: HashMap<Uuid, u64> = HashMap::new();
    for row in rows_of(counted_at).iter().flatten() {
        let mut columns = Columns::of(row, "SELECT session_decisions");
        decisions.insert(columns.take()?, columns.number()?);
    }
    let outcome = |batch: &CommandBatch| {
        let id = &*batch.command_id;
        let last_seq = positions.get(id).copied();
        let is_own = batch.command.create.is_none() || created.contains(id);
        let as_folded = batch.session.as_ref().is_none_or(|session| {
            let there = decisions.get(&session.session_id).copied();
            there.unwrap_or(0) == session.expected_decisions
        });
        if last_seq == Some(batch.expected_last_seq) && is_own && as_folded {
            BatchOutcome::Applied
        } else {
            let last_seq = last_seq.unwrap_or(0);
            BatchOutcome::Moved { last_seq }
        }
    };
    Ok(Begun {
        outcomes: batches.iter().map(outcome).collect(),
        transaction,
    })
}

/// Writes the batches that are in place, and commits.
async fn write(lease: &Lease, group: &Group, outcomes: &[BatchOutcome]) -> Result<()> {
    let in_place = group.batches.iter().zip(outcomes);
    let in_place = in_place.filter(|(_, outcome)| **outcome == BatchOutcome::Applied);
    let applied: Vec<&CommandBatch> = in_place.map(|(batch, _)| batch).collect();
    let mut steps = statements::of(&applied);
    steps.push(Step::bare("COMMIT"));
    pipeline::run(lease, &steps, &group.progress).await?;
    Ok(())
}

/// Adds a step, if it is one; says where it is.
fn push<'v>(steps: &mut Vec<Step<'v>>, step: Option<Step<'v>>) -> Option<usize> {
    steps.push(step?);
    Some(steps.len() - 1)
}

/// Takes back what a failed transaction has begun.
async fn take_back(lease: Lease, error: StateError) -> StateError {
    // A database that takes no writes may have become a replica; the next connection finds the one that does.
    let is_stale =
        matches!(&error, StateError::Unavailable { reason, .. } if *reason == Reason::ReadOnly);
    if !is_stale && !is_disconnected(&error) && lease.batch_execute("ROLLBACK").await.is_ok() {
        lease.keep();
    }
    error
}

fn is_disconnected(error: &StateError) -> bool {
    matches!(error, StateError::Unavailable { reason, .. } if *reason == Reason::Disconnected)
}
