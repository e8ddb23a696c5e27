//! Looks after builds that nobody speaks for: those whose runner is gone and of which nothing was heard for long (or
//! for a minute, if it was there for this build alone), and those whose runner was started anew and says nothing of them, count as failed until something is heard again.
//! And has the full state of ended builds written where that was cut short.
//!
//! Nothing can be heard while this process is not there to hear it, so silence counts only while it watches.

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

/// How long a runner of one build is remembered after it.
const KEEP_RUNNER: Duration = Duration::from_secs(60 * 60);

/// How late a look may be before it counts as one after an absence.
const LATE: Duration = Duration::from_secs(5);

/// Since when this process has heard whatever was said.
struct Watching {
    since: Timestamp,
    looked_at: Timestamp,
}

impl Watching {
    const fn begin(now: Timestamp) -> Self {
        Self {
            since: now,
            looked_at: now,
        }
    }

    /// Goes on after a pause that was to take so long. If the clock says anything else, the machine slept, this process
    /// was stopped, or the clock was set: what it says of times before then cannot be trusted.
    fn go_on(&mut self, now: Timestamp, pause: Duration) {
        let latest = u128::from(self.looked_at.as_nanos()) + (pause + LATE).as_nanos();
        if now < self.looked_at || u128::from(now.as_nanos()) > latest {
            tracing::info!("silence is counted anew: this process was away, or the clock was set");
            self.since = now;
        }
    }

    /// Whether it watched all the time since then.
    fn covers(&self, then: Timestamp) -> bool {
        self.since < then
    }
}

/// Looks at once and then regularly, until the processor is stopped.
pub(crate) async fn run(handle: Handle) {
    let shared = handle.shared();
    let mut ticks = tokio::time::interval(shared.options.watch_every);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut watching = Watching::begin(Timestamp::now());
    loop {
        tokio::select! {
            () = shared.stopping.cancelled() => return,
            _ = ticks.tick() => {}
        }
        watching.go_on(Timestamp::now(), shared.options.watch_every);
        if let Err(error) = look(&handle, &watching).await {
            tracing::warn!(error = chain(&error), "could not look for silent builds");
        }
        watching.looked_at = Timestamp::now();
    }
}

async fn look(handle: &Handle, watching: &Watching) -> Result<(), StateError> {
    let shared = handle.shared();
    for command_id in shared.store.unwritten_builds(UNWRITTEN).await? {
        // Only a processor that is being stopped takes no work.
        let _ = shared.send(&command_id.into(), Work::Refresh).await;
    }
    let now = Timestamp::now();
    shared
        .store
        .forget_runners(before(now, KEEP_RUNNER))
        .await?;
    let quiet_since = before(now, shared.options.silence);
    let runner_since = before(now, shared.options.runner_gone_after);
    if !watching.covers(runner_since) {
        return Ok(());
    }
    for build in shared.store.quiet_builds(quiet_since, runner_since).await? {
        let may_come_back = build.runner_began.is_none() && !build.runner_is_over;
        if may_come_back && !watching.covers(quiet_since) {
            continue;
        }
        let (answer, answered) = oneshot::channel();
        let minutes = now.nanos_since(build.heard_at) / 60_000_000_000;
        let reason = match build.runner_began {
            Some(_) => "its runner was started anew and says nothing of it".to_owned(),
            None if build.runner_is_over => {
                "its runner, which was there for this build alone, is gone".to_owned()
            }
            None => format!(
                "nothing was heard of the build for {minutes} minutes and its runner is gone"
            ),
        };
        let work = Work::Decide {
            kind: DecisionKind::Silence,
            reason,
            quiet_since: Some(match build.runner_began {
                Some(began) => began,
                None if build.runner_is_over => runner_since,
                None => quiet_since,
            }),
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

/// The time so long before `now`.
pub(crate) fn before(now: Timestamp, duration: Duration) -> Timestamp {
    let nanos = u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX);
    Timestamp::from_nanos(now.as_nanos().saturating_sub(nanos))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn silence_counts_from_when_the_watching_began_or_went_on_after_an_absence() {
        let at = |seconds: u64| Timestamp::from_millis(seconds * 1000);
        let pause = Duration::from_secs(30);
        let mut watching = Watching::begin(at(1000));
        assert!(!watching.covers(at(1000)) && watching.covers(at(1001)));
        for now in (1030..1300).step_by(30) {
            watching.go_on(at(now), pause);
            watching.looked_at = at(now);
        }
        assert!(watching.covers(at(1001)));
        watching.go_on(at(1270 + 40), pause);
        assert!(!watching.covers(at(1310)), "it was away");
        watching.looked_at = at(1310);
        watching.go_on(at(200), pause);
        assert!(watching.covers(at(201)), "the clock was set back");
    }
}
