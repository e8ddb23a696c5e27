//! `GET /ws`: from a request to a live client.

use std::sync::Arc;

use axum::extract::ws::WebSocketUpgrade;
use axum::extract::ws::rejection::WebSocketUpgradeRejection;
use axum::extract::{FromRequestParts, State};
use axum::http::request::Parts;
use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;
use serde::Deserialize;
use utoipa::IntoParams;
use uuid::Uuid;

use super::client::{Client, Wanted, interest_of};
use crate::app::App;
use crate::errors::{ApiError, ApiResult};
use crate::extract::Params;
use crate::openapi::Problem;

/// The longest message that a client sends.
const MAX_MESSAGE_BYTES: usize = 64 << 10;

/// What to follow.
#[derive(Deserialize, IntoParams)]
#[serde(rename_all = "camelCase")]
#[into_params(parameter_in = Query, rename_all = "camelCase")]
pub(crate) struct LiveParams {
    /// A project: all its builds, beginning with the newest.
    project_id: Option<Uuid>,
    /// One build.
    session_id: Option<Uuid>,
    /// The last event of that build that the client knows; it gets what came after, or a snapshot.
    since: Option<u64>,
}

/// A request to upgrade; any other is answered as our errors are.
pub(crate) struct Upgrade(WebSocketUpgrade);

impl FromRequestParts<Arc<App>> for Upgrade {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, app: &Arc<App>) -> ApiResult<Self> {
        let upgrade = WebSocketUpgrade::from_request_parts(parts, app).await;
        upgrade.map(Self).map_err(|_: WebSocketUpgradeRejection| {
            ApiError::new(
                StatusCode::UPGRADE_REQUIRED,
                "upgrade_required",
                "this is a WebSocket; ask for an upgrade to one",
            )
        })
    }
}

/// Live updates, over a WebSocket.
///
/// A page of another origin sends two subprotocols: any name, and a token from `POST /api/ws-tokens`. The
/// messages are described in `docs/wire.md`.
#[utoipa::path(get, path = "/ws", tag = "live", params(LiveParams),
    responses((status = 101, description = "The connection is a WebSocket now"),
              (status = 400, body = Problem), (status = 403, body = Problem), (status = 404, body = Problem),
              (status = 426, description = "The request asked for no upgrade", body = Problem),
              (status = 503, description = "`too_many_clients`", body = Problem)))]
pub(crate) async fn live_updates(
    State(app): State<Arc<App>>,
    headers: HeaderMap,
    Params(params): Params<LiveParams>,
    upgrade: ApiResult<Upgrade>,
) -> ApiResult<Response> {
    let protocols: Vec<_> = headers
        .get_all("sec-websocket-protocol")
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .map(str::trim)
        .collect();
    let right = app.access.live(&headers, protocols.get(1).copied())?;
    let Upgrade(upgrade) = upgrade?;
    let clients = app.counters.live_clients.get();
    if usize::try_from(clients).is_ok_and(|clients| clients >= app.options.live.max_clients) {
        return Err(ApiError::unavailable(
            "too_many_clients",
            "too many live clients are connected",
        )
        .retry_after(5));
    }
    let wanted = Wanted {
        project_id: params.project_id,
        session_id: params.session_id,
        since: params.since,
    };
    let interest = interest_of(&app, right, &wanted).await?;
    // The first is a name for whatever follows; the second is a credential, and not repeated.
    let chosen = protocols.first().map(|name| (*name).to_owned());
    let upgrade = upgrade
        .protocols(chosen)
        .max_message_size(MAX_MESSAGE_BYTES)
        .max_frame_size(MAX_MESSAGE_BYTES);
    let task = app.tasks.token();
    Ok(upgrade.on_upgrade(async move |socket| {
        let _task = task;
        app.counters.live_clients.inc();
        let hub = app.live.clone();
        hub.serve(Client::serve(app, socket, right, interest, wanted));
    }))
}
