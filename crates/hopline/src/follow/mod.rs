//! Following a build: from the live updates to lines and bars, until nothing can change it any more.

mod picture;

use std::time::Duration;

use crate::api::live::LiveBuild;
use crate::api::types::{Build, Started};
use crate::api::{ApiClient, ApiError};
use crate::commands::signals::Wishes;
use crate::render::progress::Progress;
use picture::Picture;

/// How often a build that says it has ended, but not for good, is asked again.
const ASK_AGAIN: Duration = Duration::from_secs(2);

/// What its user wants of a build that is followed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Wish {
    /// End it, and wait for its end.
    Cancel,
    /// Stop waiting.
    Leave,
}

/// How following ended.
#[derive(Debug)]
pub(crate) enum Followed {
    /// The build has ended for good.
    Ended(Box<Ending>),
    /// Its user did not want to wait.
    Left,
}

/// The end of a build.
#[derive(Debug)]
pub(crate) struct Ending {
    /// The build as it stands now, for good.
    pub(crate) build: Build,
    /// What ended it, where that was neither itself nor a command with an exit code.
    pub(crate) ended_by: Option<EndedBy>,
}

/// What ends a command that has no exit code of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum EndedBy {
    /// Its user.
    User,
    /// The signal of this number.
    Signal(u8),
}

/// Follows a build until it has ended for good, or until its user does not want to any more.
///
/// # Errors
/// [`ApiError`] if the server is away for long.
pub(crate) async fn follow(
    api: &ApiClient,
    project_id: &str,
    started: &Started,
    wishes: &mut Wishes,
    progress: &mut Progress,
) -> Result<Followed, ApiError> {
    // Whatever the server takes long to answer, its user need not wait.
    let mut leaving = wishes.clone();
    let to_end = follow_to_end(api, project_id, started, wishes, progress);
    let followed = tokio::select! {
        followed = to_end => Some(followed),
        () = leaving.leave() => None,
    };
    followed.unwrap_or_else(|| {
        *wishes = leaving;
        Ok(Followed::Left)
    })
}

async fn follow_to_end(
    api: &ApiClient,
    project_id: &str,
    started: &Started,
    wishes: &mut Wishes,
    progress: &mut Progress,
) -> Result<Followed, ApiError> {
    let mut live = LiveBuild::follow(api, project_id, &started.session_id).await?;
    let mut picture = Picture::default();
    let mut cancelled = false;
    loop {
        let ended_for_now = picture.has_ended();
        tokio::select! {
            updates = live.next() => picture.apply(updates?, progress),
            wish = wishes.next() => match wish {
                Wish::Cancel => {
                    progress.note("cancelling the build; once more to stop at once");
                    api.cancel_build(&started.session_id).await?;
                    cancelled = true;
                }
                Wish::Leave => return Ok(Followed::Left),
            },
            () = tokio::time::sleep(ASK_AGAIN), if ended_for_now => {}
        }
        if picture.has_ended() {
            let build = api.build(&started.session_id).await?;
            if build.is_final {
                picture.finish(build.is_completed(), progress);
                let ended_by = match (build.exit_code, build.is_completed()) {
                    (None, false) if cancelled => Some(EndedBy::User),
                    (None, false) => api.ending_signal(&build).await?.map(EndedBy::Signal),
                    _ => None,
                };
                return Ok(Followed::Ended(Box::new(Ending { build, ended_by })));
            }
        }
    }
}
