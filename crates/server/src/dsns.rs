//! DSNs: made, listed and revoked by people. `access` asks whether a key is one.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use hopline_state::rows::{Dsn, NewDsn};
use hopline_wire::Timestamp;
use rand::RngExt;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::access::Admin;
use crate::app::App;
use crate::errors::{ApiError, ApiResult};
use crate::extract::{InPath, JsonBody, NoBody};
use crate::openapi::Problem;

/// How long the name of a DSN may be, in bytes.
const MAX_NAME_BYTES: usize = 200;

/// An address by which a program sends spans.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct DsnView {
    /// What it is called by, and the number at its end.
    number: u64,
    /// Whatever it was named for.
    name: String,
    /// The key in it. It lets whoever has it send spans, and nothing else.
    public_key: String,
    /// The whole, as SDKs want it.
    dsn: String,
    #[schema(value_type = String, format = DateTime)]
    created_at: Timestamp,
    /// Since when it is good for nothing; none if it is live.
    #[schema(value_type = Option<String>, format = DateTime)]
    revoked_at: Option<Timestamp>,
}

impl DsnView {
    fn of(dsn: Dsn, app: &App) -> Self {
        let Dsn {
            number, public_key, ..
        } = &dsn;
        let base = app.base_url();
        let (scheme, place) = base.split_once("://").unwrap_or(("http", &base));
        Self {
            dsn: format!("{scheme}://{public_key}@{place}/{number}"),
            number: *number,
            name: dsn.name,
            public_key: dsn.public_key,
            created_at: dsn.created_at,
            revoked_at: dsn.revoked_at,
        }
    }
}

/// All DSNs.
#[derive(Serialize, ToSchema)]
pub(crate) struct DsnList {
    dsns: Vec<DsnView>,
}

/// What a DSN is to be for.
#[derive(Deserialize, ToSchema)]
pub(crate) struct NewDsnBody {
    /// A name for people, at most 200 bytes.
    #[serde(default)]
    name: String,
}

/// Makes a DSN.
#[utoipa::path(post, path = "/api/dsns", tag = "access", request_body = NewDsnBody,
    responses((status = 201, body = DsnView),
              (status = 400, description = "The name is too long or has control characters", body = Problem)))]
pub(crate) async fn create_dsn(
    _: Admin,
    State(app): State<Arc<App>>,
    JsonBody(new): JsonBody<NewDsnBody>,
) -> ApiResult<(StatusCode, Json<DsnView>)> {
    let name = new.name;
    if name.len() > MAX_NAME_BYTES || name.contains(char::is_control) {
        return Err(ApiError::bad_request(
            "bad_name",
            format!("a DSN's name has at most {MAX_NAME_BYTES} bytes and no control characters"),
        ));
    }
    let bits: u128 = rand::rng().random();
    let new = NewDsn {
        // SDKs for JavaScript take letters and digits alone.
        public_key: format!("{bits:032x}"),
        name,
        created_at: Timestamp::from_millis(Timestamp::now().as_millis()),
    };
    let made = app.store.create_dsn(new).await?;
    app.dsns.changed(None).await;
    tracing::info!(number = made.number, name = made.name, "a DSN was made");
    Ok((StatusCode::CREATED, Json(DsnView::of(made, &app))))
}

/// All DSNs by their numbers, the revoked ones among them.
#[utoipa::path(get, path = "/api/dsns", tag = "access", responses((status = 200, body = DsnList)))]
pub(crate) async fn list_dsns(_: Admin, State(app): State<Arc<App>>) -> ApiResult<Json<DsnList>> {
    let dsns = app.store.dsns().await?.into_iter();
    let dsns = dsns.map(|dsn| DsnView::of(dsn, &app)).collect();
    Ok(Json(DsnList { dsns }))
}

/// Revokes a DSN for ever: at this server at once, at others of the same database within ten seconds. Revoking it again
/// changes nothing.
#[utoipa::path(delete, path = "/api/dsns/{number}", tag = "access", params(("number" = u32, Path)),
    responses((status = 200, body = DsnView), (status = 404, body = Problem)))]
pub(crate) async fn revoke_dsn(
    _: Admin,
    State(app): State<Arc<App>>,
    InPath(number): InPath<u32>,
    _: NoBody,
) -> ApiResult<Json<DsnView>> {
    let revoked = app
        .store
        .revoke_dsn(number.into(), Timestamp::now())
        .await?;
    let revoked = revoked.ok_or_else(|| ApiError::not_found("DSN"))?;
    app.dsns.changed(Some(&revoked.public_key)).await;
    tracing::info!(
        number = revoked.number,
        name = revoked.name,
        "a DSN was revoked"
    );
    Ok(Json(DsnView::of(revoked, &app)))
}
