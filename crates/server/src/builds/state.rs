//! A build's whole state as browsers read it (GenerationState), read from the rows as of one commit.

use hopline_processor::generation;
use hopline_state::Store;
use hopline_state::rows::Session;
use serde_json::value::RawValue;
use uuid::Uuid;

use crate::errors::{ApiError, ApiResult};

/// A build with its state; none if there is no such build. The state goes up to the session's `last_seq`.
///
/// # Errors
/// If the rows cannot be read.
pub(crate) async fn whole_build(
    store: &dyn Store,
    session_id: Uuid,
) -> ApiResult<Option<(Session, Box<RawValue>)>> {
    let whole = store.whole_session(session_id, generation::MAX_STATE_BYTES);
    let Some(whole) = whole.await? else {
        return Ok(None);
    };
    // A long build's state takes a while to write.
    let written = tokio::task::spawn_blocking(move || {
        let state = RawValue::from_string(generation::of_rows(&whole));
        (whole.session, state)
    });
    let (session, state) = written
        .await
        .map_err(|error| ApiError::internal("write a build's state", &error))?;
    let state = state.map_err(|error| ApiError::internal("write a build's state", &error))?;
    Ok(Some((session, state)))
}
