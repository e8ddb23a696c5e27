//! Folding a build's log again, to see whether its rows are what they should be, and to put them right.
//!
//! The log (`runner_events`) and the decisions (`session_decisions`) are folded from the start by the same code that
//! folded them when they came, into a database of their own, which is thrown away afterwards. So memory stays
//! bounded however long the build is, and the rows to expect are made by the same statements. Then both are read side by
//! side.
//!
//! What does not follow from the log alone is not looked at: the columns of `projects`, which builds and other commands
//! share; what a build was started with; the connection that unnumbered events came on; and, where the log keeps
//! no body of the last event, `updated_at`. A difference in the log or among the decisions is told and never repaired:
//! they are what the rows are made from. A build whose log was removed, or has a hole, is left alone.

mod compare;
mod merge;
mod refold;
mod report;

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use hopline_state::rows::{Decision, Session};
use hopline_state::store::LoadedCommand;
use hopline_state::{Page, Repair, SessionKey, StateError, Store};
use uuid::Uuid;

use self::compare::Comparison;
use self::refold::{Advanced, Refold};
pub use self::report::{Difference, Report, Verdict};

/// How often a build is looked at anew because it went on meanwhile, and how long after.
const ATTEMPTS: u32 = 5;
const PAUSE: Duration = Duration::from_millis(50);

/// How much of a log is folded at once.
const LOG_PAGE: Page = Page {
    rows: 1_000,
    bytes: 8 << 20,
};

/// How many rows are compared at once.
const ROW_PAGE: Page = Page {
    rows: 500,
    bytes: 4 << 20,
};

/// Why a log could not be folded again.
#[derive(Debug, thiserror::Error)]
pub enum RebuildError {
    /// The rows cannot be read, or not be written.
    #[error(transparent)]
    State(#[from] StateError),
    /// There is no room to fold it into.
    #[error("make a folder to fold a log into: {0}")]
    Scratch(#[source] std::io::Error),
    /// The processor was given no folder for it.
    #[error("fold a log again: no folder was given to do it in")]
    NoScratch,
    /// The processor is being stopped.
    #[error("fold a log again: the processor is being stopped")]
    Stopping,
}

/// What folding a log again has shown, and what would put the rows right.
pub(crate) struct Rebuilt {
    /// What it has shown.
    pub(crate) report: Report,
    /// What to write, if anything differs that can be put right.
    pub(crate) repair: Option<Repair>,
}

/// Folds the log of a build again and compares; with `write` puts its rows right. For rows that no processor is at work
/// on: what one has in its memory would not be told of the repair (see [`crate::Handle::rebuild`]). `scratch` is a folder
/// that may be written to. None if there is no such build.
///
/// # Errors
/// [`RebuildError`]; then nothing is changed.
pub async fn rebuild(
    store: &Arc<dyn Store>,
    session_id: Uuid,
    scratch: &Path,
    write: bool,
) -> Result<Option<Report>, RebuildError> {
    let Some(Rebuilt { mut report, repair }) = look(&**store, session_id, scratch).await? else {
        return Ok(None);
    };
    if let Some(repair) = repair.filter(|_| write) {
        let written = store.repair(repair).await?;
        report.repaired(written);
    }
    Ok(Some(report))
}

/// Folds the log of a build again and compares; none if there is no such build.
pub(crate) async fn look(
    store: &dyn Store,
    session_id: Uuid,
    scratch: &Path,
) -> Result<Option<Rebuilt>, RebuildError> {
    let Some(mut before) = Standing::read(store, session_id).await? else {
        return Ok(None);
    };
    let mut refold = Refold::begin(store, &before.loaded, scratch).await?;
    let mut attempt = 1;
    loop {
        if let Advanced::Missing { first } = refold.advance(store, &before.decisions).await? {
            let report = before.report(&refold, Verdict::LogIncomplete);
            refold.end().await;
            return Ok(Some(Rebuilt::of(report.without_log(first))));
        }
        let comparison = Comparison::make(store, &before, &refold).await?;
        let Some(after) = Standing::read(store, session_id).await? else {
            refold.end().await;
            return Ok(None);
        };
        if after == before && refold.is_at_the_end(store).await? {
            let report = before.report(&refold, Verdict::Same);
            refold.end().await;
            return Ok(Some(comparison.conclude(report)));
        }
        if attempt == ATTEMPTS {
            let report = before.report(&refold, Verdict::MovedOn);
            refold.end().await;
            return Ok(Some(Rebuilt::of(report)));
        }
        before = after;
        tokio::time::sleep(PAUSE * attempt).await;
        attempt += 1;
    }
}

impl Rebuilt {
    /// A report of a build where there is nothing to put right.
    const fn of(report: Report) -> Self {
        Self {
            report,
            repair: None,
        }
    }
}

/// A build as it stands: its own rows, and what was decided about it.
struct Standing {
    loaded: LoadedCommand,
    session: Session,
    fold: Option<String>,
    raw_state: Option<String>,
    decisions: Vec<Decision>,
}

impl PartialEq for Standing {
    fn eq(&self, other: &Self) -> bool {
        self.session == other.session
            && self.loaded.command == other.loaded.command
            && self.fold == other.fold
            && self.raw_state == other.raw_state
            && self.decisions == other.decisions
    }
}

impl Standing {
    async fn read(store: &dyn Store, session_id: Uuid) -> Result<Option<Self>, StateError> {
        let Some(session) = store.session(SessionKey::Id(session_id)).await? else {
            return Ok(None);
        };
        let Some(loaded) = store.load_command(&session.command_id).await? else {
            return Ok(None);
        };
        let Some((session, fold)) = loaded.session.clone() else {
            return Ok(None);
        };
        Ok(Some(Self {
            loaded,
            session,
            fold,
            raw_state: store.raw_state(session_id).await?,
            decisions: store.decisions(session_id).await?,
        }))
    }

    fn report(&self, refold: &Refold, verdict: Verdict) -> Report {
        Report {
            session_id: self.session.id,
            command_id: self.session.command_id.clone(),
            trace_id: self.session.trace_id,
            last_seq: self.session.last_seq,
            events: refold.events(),
            verdict,
            missing_from: None,
            difference_count: 0,
            differences: Vec::new(),
        }
    }
}
