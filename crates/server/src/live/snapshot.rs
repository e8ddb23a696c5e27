//! Whole states for clients that come in or did not keep up.
//!
//! A state is read from the rows as of one commit, so that it is known to the event where the updates after
//! it go on. When many clients want the same one at once, it is read once for all.

use std::collections::HashMap;
use std::sync::Arc;

use axum::extract::ws::Utf8Bytes;
use hopline_state::{SessionKey, Store};
use parking_lot::Mutex;
use serde::Serialize;
use serde_json::value::RawValue;
use tokio::time::Instant;
use uuid::Uuid;

use crate::builds::BuildView;
use crate::builds::state::whole_build;
use crate::errors::ApiResult;

/// A `state-update`, ready to be sent.
#[derive(Debug, Clone)]
pub(super) struct Snapshot {
    /// The last event that is in it.
    pub(super) seq: u64,
    /// The message.
    pub(super) text: Utf8Bytes,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct StateUpdate<'a> {
    #[serde(rename = "type")]
    kind: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    project_id: Option<Uuid>,
    #[serde(skip_serializing_if = "Option::is_none")]
    session_id: Option<Uuid>,
    seq: u64,
    state: Option<&'a RawValue>,
    #[serde(skip_serializing_if = "Option::is_none")]
    session: Option<&'a BuildView>,
}

/// Snapshots being taken.
#[derive(Default)]
pub(crate) struct Snapshots {
    slots: Mutex<HashMap<Uuid, Arc<Slot>>>,
}

type Slot = tokio::sync::Mutex<Option<(Instant, Option<Snapshot>)>>;

impl Snapshots {
    /// A snapshot of a build that was begun at `since` or later; none if there is no such build.
    ///
    /// # Errors
    /// If the rows cannot be read.
    pub(super) async fn take(
        &self,
        store: &dyn Store,
        session_id: Uuid,
        since: Instant,
    ) -> ApiResult<Option<Snapshot>> {
        let slot = Arc::clone(self.slots.lock().entry(session_id).or_default());
        let taken = {
            let mut slot = slot.lock().await;
            match &*slot {
                Some((begun, snapshot)) if *begun >= since => Ok(snapshot.clone()),
                _ => {
                    let begun = Instant::now();
                    let snapshot = read(store, session_id).await;
                    *slot = snapshot
                        .as_ref()
                        .ok()
                        .map(|snapshot| (begun, snapshot.clone()));
                    snapshot
                }
            }
        };
        let mut slots = self.slots.lock();
        // Let go of under the lock: of those who end together the last one sees that nobody else wants it.
        drop(slot);
        let there = slots.get(&session_id);
        if there.is_some_and(|slot| Arc::strong_count(slot) == 1) {
            slots.remove(&session_id);
        }
        taken
    }
}

/// What a client gets that follows a project without builds.
pub(super) fn nothing_yet(project_id: Uuid) -> Option<Utf8Bytes> {
    let update = StateUpdate {
        kind: "state-update",
        project_id: Some(project_id),
        session_id: None,
        seq: 0,
        state: None,
        session: None,
    };
    serde_json::to_string(&update).ok().map(Utf8Bytes::from)
}

async fn read(store: &dyn Store, session_id: Uuid) -> ApiResult<Option<Snapshot>> {
    let Some((session, state)) = whole_build(store, session_id).await? else {
        return Ok(None);
    };
    let seq = session.last_seq;
    let project_id = session.project_id;
    let view = BuildView::from(session);
    let update = StateUpdate {
        kind: "state-update",
        project_id: Some(project_id),
        session_id: Some(session_id),
        seq,
        state: Some(&state),
        session: Some(&view),
    };
    let text = serde_json::to_string(&update).ok().map(Utf8Bytes::from);
    Ok(text.map(|text| Snapshot { seq, text }))
}

/// The newest build of a project.
///
/// # Errors
/// If the rows cannot be read.
pub(super) async fn newest_build(store: &dyn Store, project_id: Uuid) -> ApiResult<Option<Uuid>> {
    let newest = hopline_state::SessionFilter {
        project_id: Some(project_id),
        limit: 1,
        ..hopline_state::SessionFilter::default()
    };
    let sessions = store.sessions(newest).await?;
    Ok(sessions.first().map(|session| session.id))
}

/// The project of a build; none if there is no such build.
///
/// # Errors
/// If the rows cannot be read.
pub(super) async fn project_of(store: &dyn Store, session_id: Uuid) -> ApiResult<Option<Uuid>> {
    let session = store.session(SessionKey::Id(session_id)).await?;
    Ok(session.map(|session| session.project_id))
}
