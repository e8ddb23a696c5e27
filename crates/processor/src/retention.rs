//! Removes the logs of builds and commands that are long over.
//!
//! Rows stay: what is lost is that they can be folded again ([`crate::rebuild`] tells such a build from one whose rows are
//! wrong). A late event is judged all the same, since `last_seq` and not the log says what was settled. Logs go
//! page by page, with as long a pause after each as it took, so that events never wait for more than one of them.

use std::time::Instant;

use hopline_state::{Page, StateError};
use hopline_wire::Timestamp;

use crate::committer::chain;
use crate::service::Handle;
use crate::watch::before;

/// How many commands' logs are looked for at a time.
const COMMANDS: u32 = 100;

/// How much of a log is removed in one transaction.
const PAGE: Page = Page {
    rows: 1_000,
    bytes: 8 << 20,
};

/// Looks at once and then regularly, until the processor is stopped.
pub(crate) async fn run(handle: Handle) {
    let shared = handle.shared();
    let Some(kept) = shared.options.log_retention else {
        return;
    };
    let mut ticks = tokio::time::interval(shared.options.retain_every);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            () = shared.stopping.cancelled() => return,
            _ = ticks.tick() => {}
        }
        let removing = remove(&handle, before(Timestamp::now(), kept));
        tokio::select! {
            () = shared.stopping.cancelled() => return,
            removed = removing => match removed {
                Ok(0) => {}
                Ok(events) => tracing::info!(events, "removed old events from the log"),
                Err(error) => {
                    tracing::warn!(error = chain(&error), "could not remove old events from the log");
                }
            },
        }
    }
}

/// Removes all logs that are older; says how many events that were.
async fn remove(handle: &Handle, before: Timestamp) -> Result<usize, StateError> {
    let shared = handle.shared();
    let mut removed = 0;
    loop {
        let commands = shared.store.old_logs(before, COMMANDS).await?;
        let mut now = 0;
        for command_id in commands {
            loop {
                let begun = Instant::now();
                let events = shared.store.remove_log(&command_id, before, PAGE).await?;
                if events == 0 {
                    break;
                }
                now += events;
                shared.metrics.forgot(events);
                tokio::time::sleep(begun.elapsed()).await;
            }
        }
        removed += now;
        if now == 0 {
            return Ok(removed);
        }
    }
}
