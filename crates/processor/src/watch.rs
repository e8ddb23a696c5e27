//! Looks after builds that nobody speaks for: those whose runner is gone and of which nothing was heard for long,
//! and those whose runner was started anew and says nothing of them, count as failed until something is heard again. And has the full state of ended builds written
//! where that was cut short.

use std::time::Duration;

use hopline_state::SessionKey;
use hopline_state::StateError;
use hopline_state::rows::DecisionKind;
use hopline_wire::Timestamp;
use tokio::sync::oneshot;
use tokio::time::MissedTickBehavior;

use crate::actor::Work;
use crate::committer::chain;
use crate::service::Handle;

/// How many unwritten states are seen to at a time.
const UNWRITTEN: u32 = 100;

/// Looks at once and then regularly, until the processor is stopped.
pub(crate) async fn run(handle: Handle) {
    let shared = handle.shared();
    let mut ticks = tokio::time::interval(shared.options.watch_every);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            () = shared.stopping.cancelled() => return,
            _ = ticks.tick() => {}
        }
        if let Err(error) = look(&handle).await {
            tracing::warn!(error = chain(&error), "could not look for silent builds");
        }
    }
}

async fn look(handle: &Handle) -> Result<(), StateError> {
    let shared = handle.shared();
    for command_id in shared.store.unwritten_builds(UNWRITTEN).await? {
        // Only a processor that is being stopped takes no work.
        let _ = shared.send(&command_id.into(), Work::Refresh).await;
    }
    let now = Timestamp::now();
    let quiet_since = before(now, shared.options.silence);
    let runner_since = before(now, shared.options.runner_gone_after);
    for build in shared.store.quiet_builds(quiet_since, runner_since).await? {
        let (answer, answered) = oneshot::channel();
        let minutes = now.nanos_since(build.heard_at) / 60_000_000_000;
        let reason = match build.runner_began {
            Some(_) => "its runner was started anew and says nothing of it".to_owned(),
            None => format!(
                "nothing was heard of the build for {minutes} minutes and its runner is gone"
            ),
        };
        let work = Work::Decide {
            kind: DecisionKind::Silence,
            reason,
            quiet_since: Some(build.runner_began.unwrap_or(quiet_since)),
            answer,
        };
        if shared
            .send(&build.command_id.clone().into(), work)
            .await
            .is_ok()
            && let Ok(Ok(true)) = answered.await
        {
            let session = shared
                .store
                .session(SessionKey::Id(build.session_id))
                .await?;
            let trace_id = session.and_then(|session| session.trace_id);
            let trace_id = trace_id.map(tracing::field::display);
            tracing::info!(trace_id, session = %build.session_id, minutes, "a silent build counts as failed");
        }
    }
    Ok(())
}

fn before(now: Timestamp, duration: Duration) -> Timestamp {
    let nanos = u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX);
    Timestamp::from_nanos(now.as_nanos().saturating_sub(nanos))
}
