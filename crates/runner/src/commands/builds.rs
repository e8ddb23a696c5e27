//! The builds that run, so that they can be cancelled.

use std::collections::HashMap;
use std::sync::Arc;

use hopline_wire::command::CancelBuild;
use hopline_wire::text;
use parking_lot::Mutex;
use tokio_util::sync::CancellationToken;

use super::Context;
use crate::events::Failure;

/// Who ended a build that did not end by itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum StopReason {
    /// A `cancel-build`.
    Cancelled,
    /// The runner's own end.
    RunnerStops,
}

/// The switch of one build.
#[derive(Default)]
pub(crate) struct BuildControl {
    state: Mutex<BuildState>,
    stop: CancellationToken,
}

#[derive(Default)]
enum BuildState {
    #[default]
    Running,
    Stopping(StopReason),
    Ended,
}

impl BuildControl {
    /// Is cancelled when the build is to stop.
    pub(crate) fn stop_token(&self) -> &CancellationToken {
        &self.stop
    }

    /// Asks the build to stop; false if it has come to its end already.
    fn request_stop(&self, reason: StopReason) -> bool {
        let mut state = self.state.lock();
        match *state {
            BuildState::Ended => return false,
            BuildState::Running => *state = BuildState::Stopping(reason),
            BuildState::Stopping(_) => {}
        }
        self.stop.cancel();
        true
    }

    /// The build's outcome is made up from now on: who asked it to stop before that, if anyone did.
    pub(crate) fn conclude(&self) -> Option<StopReason> {
        match std::mem::replace(&mut *self.state.lock(), BuildState::Ended) {
            BuildState::Stopping(reason) => Some(reason),
            BuildState::Running | BuildState::Ended => None,
        }
    }
}

/// All builds in hand, by the id of the command that started them.
#[derive(Default)]
pub(crate) struct Builds(Mutex<HashMap<String, Arc<BuildControl>>>);

impl Builds {
    pub(super) fn begin(&self, command_id: &str) -> Arc<BuildControl> {
        let control = Arc::new(BuildControl::default());
        self.0
            .lock()
            .insert(command_id.to_owned(), Arc::clone(&control));
        control
    }

    pub(super) fn end(&self, command_id: &str, control: &BuildControl) {
        control.conclude();
        self.0.lock().remove(command_id);
    }

    fn stop(&self, command_id: &str, reason: StopReason) -> bool {
        let control = self.0.lock().get(command_id).cloned();
        control.is_some_and(|control| control.request_stop(reason))
    }

    pub(super) fn stop_all(&self, reason: StopReason) {
        for control in self.0.lock().values() {
            control.request_stop(reason);
        }
    }

    pub(super) fn count(&self) -> usize {
        self.0.lock().len()
    }
}

/// `cancel-build`: its acknowledgement is the whole answer; the build itself tells its end.
pub(super) fn cancel(context: &Context) -> Result<(), Failure> {
    let payload: CancelBuild = context.payload()?;
    let target = &payload.target_command_id;
    if context.core.builds.stop(target, StopReason::Cancelled) {
        return Ok(());
    }
    let shown = text::prefix(target, 128);
    let error = format!("the build {shown:?} has ended, or never ran here");
    Err(Failure::new("already_ended", error))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_build_can_be_stopped_until_its_outcome_is_made_up() {
        let builds = Builds::default();
        let control = builds.begin("c");
        assert!(builds.stop("c", StopReason::Cancelled));
        assert!(
            builds.stop("c", StopReason::RunnerStops),
            "stopping twice changes nothing"
        );
        assert!(control.stop_token().is_cancelled());
        assert_eq!(control.conclude(), Some(StopReason::Cancelled));
        assert!(!builds.stop("c", StopReason::Cancelled));
        builds.end("c", &control);
        assert_eq!(builds.count(), 0);
        assert!(!builds.stop("c", StopReason::Cancelled));
    }
}
