//! The tokens of runners: made, listed and revoked by people; asked about by brokers.
//!
//! A token is shown once, in the answer that makes it. The database, and what brokers ask with, have its hash alone.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hopline_state::rows::RunnerToken;
use hopline_wire::Timestamp;
use hopline_wire::token::{
    self, LiveToken, LiveTokens, MAX_HASHES, MAX_RUNNER_ID_BYTES, TokenCheck,
};
use rand::RngExt;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use uuid::Uuid;

use crate::access::{Admin, RunnerPeer};
use crate::app::App;
use crate::errors::{ApiError, ApiResult};
use crate::extract::{InPath, JsonBody, NoBody};
use crate::openapi::Problem;

/// A runner's token, without the token itself.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct RunnerTokenView {
    /// What it is called by.
    id: Uuid,
    /// The one runner that may show it.
    runner_id: String,
    #[schema(value_type = String, format = DateTime)]
    created_at: Timestamp,
    /// Since when it is good for nothing; none if it is live.
    #[schema(value_type = Option<String>, format = DateTime)]
    revoked_at: Option<Timestamp>,
    /// When it was last shown, to within a minute; none if it never was.
    #[schema(value_type = Option<String>, format = DateTime)]
    last_used_at: Option<Timestamp>,
}

impl From<RunnerToken> for RunnerTokenView {
    fn from(token: RunnerToken) -> Self {
        Self {
            id: token.id,
            runner_id: token.runner_id,
            created_at: token.created_at,
            revoked_at: token.revoked_at,
            last_used_at: token.last_used_at,
        }
    }
}

/// All tokens of runners.
#[derive(Serialize, ToSchema)]
pub(crate) struct RunnerTokenList {
    tokens: Vec<RunnerTokenView>,
}

/// Whose token is to be made.
#[derive(Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct NewRunnerToken {
    /// The runner's id, as it will be in its link's address.
    runner_id: String,
}

/// A token that was made.
#[derive(Serialize, ToSchema)]
pub(crate) struct RunnerTokenMade {
    #[serde(flatten)]
    about: RunnerTokenView,
    /// The token. Nobody can show it again.
    token: String,
}

/// Which hashes a broker asks about.
#[derive(ToSchema)]
#[schema(as = TokenCheck)]
#[expect(dead_code, reason = "read by the API's description alone")]
pub(crate) struct TokenCheckSchema {
    /// The SHA-256 of each token, in lower-case hexadecimal; at most 10,000.
    hashes: Vec<String>,
}

/// Those of them that are live.
#[derive(ToSchema)]
#[schema(as = LiveTokens)]
#[expect(dead_code, reason = "read by the API's description alone")]
pub(crate) struct LiveTokensSchema {
    /// `{hash, runnerId}`.
    #[schema(value_type = Vec<Object>)]
    live: (),
}

/// Makes a token for one runner. The answer is the only place where it ever stands.
#[utoipa::path(post, path = "/api/runner-tokens", tag = "access", request_body = NewRunnerToken,
    responses((status = 201, body = RunnerTokenMade),
              (status = 400, description = "No runner can be called so", body = Problem)))]
pub(crate) async fn create_runner_token(
    _: Admin,
    State(app): State<Arc<App>>,
    JsonBody(new): JsonBody<NewRunnerToken>,
) -> ApiResult<(StatusCode, Json<RunnerTokenMade>)> {
    let runner_id = new.runner_id;
    let fits = 1..=MAX_RUNNER_ID_BYTES;
    if !fits.contains(&runner_id.len()) || runner_id.contains(char::is_control) {
        return Err(ApiError::bad_request(
            "bad_runner_id",
            format!("a runner's id has 1 to {MAX_RUNNER_ID_BYTES} bytes and no control characters"),
        ));
    }
    let bits: [u8; 32] = rand::rng().random();
    let token = format!("{}{}", token::PREFIX, URL_SAFE_NO_PAD.encode(bits));
    let row = RunnerToken {
        id: Uuid::new_v4(),
        token_hash: token::hash(&token),
        runner_id,
        created_at: Timestamp::from_millis(Timestamp::now().as_millis()),
        revoked_at: None,
        last_used_at: None,
    };
    app.store.create_runner_token(row.clone()).await?;
    tracing::info!(token = %row.id, runner = row.runner_id, "a runner's token was made");
    let about = row.into();
    Ok((StatusCode::CREATED, Json(RunnerTokenMade { about, token })))
}

/// All tokens of runners, the newest first, the revoked ones among them.
#[utoipa::path(get, path = "/api/runner-tokens", tag = "access",
    responses((status = 200, body = RunnerTokenList)))]
pub(crate) async fn list_runner_tokens(
    _: Admin,
    State(app): State<Arc<App>>,
) -> ApiResult<Json<RunnerTokenList>> {
    let tokens = app.store.runner_tokens().await?;
    let tokens = tokens.into_iter().map(Into::into).collect();
    Ok(Json(RunnerTokenList { tokens }))
}

/// Revokes a token for ever. A link that was opened with it is closed once its broker asks again, which it does every ten
/// seconds. Revoking it again changes nothing.
#[utoipa::path(delete, path = "/api/runner-tokens/{id}", tag = "access", params(("id" = Uuid, Path)),
    responses((status = 200, body = RunnerTokenView), (status = 404, body = Problem)))]
pub(crate) async fn revoke_runner_token(
    _: Admin,
    State(app): State<Arc<App>>,
    InPath(id): InPath<Uuid>,
    _: NoBody,
) -> ApiResult<Json<RunnerTokenView>> {
    let revoked = app.store.revoke_runner_token(id, Timestamp::now()).await?;
    let revoked = revoked.ok_or_else(|| ApiError::not_found("token of a runner"))?;
    tracing::info!(token = %revoked.id, runner = revoked.runner_id, "a runner's token was revoked");
    Ok(Json(revoked.into()))
}

/// Says which tokens are live, and whose they are. For brokers.
#[utoipa::path(post, path = "/api/runner/tokens/check", tag = "ingest", security(("runner" = [])),
    request_body = TokenCheckSchema,
    responses((status = 200, body = LiveTokensSchema),
              (status = 400, description = "Too many hashes, or something else among them", body = Problem),
              (status = 503, description = "The database is unavailable", body = Problem)))]
pub(crate) async fn check_runner_tokens(
    _: RunnerPeer,
    State(app): State<Arc<App>>,
    JsonBody(check): JsonBody<TokenCheck>,
) -> ApiResult<Json<LiveTokens>> {
    let hashes = check.hashes;
    if hashes.len() > MAX_HASHES || !hashes.iter().all(|hash| token::is_hash(hash)) {
        return Err(ApiError::bad_request(
            "bad_hashes",
            format!(
                "expected at most {MAX_HASHES} hashes of 64 lower-case hexadecimal digits each"
            ),
        ));
    }
    let live = app.live_tokens(hashes).await?;
    let live = live.into_iter().map(|token| LiveToken {
        hash: token.token_hash,
        runner_id: token.runner_id,
    });
    Ok(Json(LiveTokens {
        live: live.collect(),
    }))
}
