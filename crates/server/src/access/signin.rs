//! Signing in: by the admin secret, or by a link that `hopline up` prints and that works once. Also the
//! short-lived tokens by which pages of other origins watch one project.

use std::sync::Arc;
use std::time::Instant;

use axum::Json;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Redirect, Response};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use parking_lot::Mutex;
use rand::RngExt;
use serde::{Deserialize, Serialize};
use subtle::ConstantTimeEq;
use utoipa::{IntoParams, ToSchema};
use uuid::Uuid;

use super::cookie::SIGNED_IN_SECONDS;
use super::signed::{Purpose, now};
use super::{Access, Admin, LIVE_TOKEN_SECONDS};
use crate::app::App;
use crate::errors::{ApiError, ApiResult};
use crate::extract::{JsonBody, Params};

/// How long a one-time code is valid, in seconds.
const CODE_SECONDS: u64 = 3600;

/// How many codes are valid at once; the oldest goes.
const MAX_CODES: usize = 16;

/// The one-time codes that were not used yet.
#[derive(Default)]
pub(super) struct Codes {
    valid: Mutex<Vec<(String, u64)>>,
}

impl Codes {
    pub(super) fn issue(&self) -> String {
        let code = random_text();
        let mut valid = self.valid.lock();
        if valid.len() == MAX_CODES {
            valid.remove(0);
        }
        valid.push((code.clone(), now() + CODE_SECONDS));
        code
    }

    fn redeem(&self, code: &str) -> bool {
        let mut valid = self.valid.lock();
        let now = now();
        valid.retain(|(_, expires)| now < *expires);
        // All are compared, so that the time taken says nothing about any.
        let matches: Vec<bool> = valid
            .iter()
            .map(|(known, _)| known.as_bytes().ct_eq(code.as_bytes()).into())
            .collect();
        let found = matches.iter().position(|matches| *matches);
        found.is_some_and(|at| {
            valid.remove(at);
            true
        })
    }
}

fn random_text() -> String {
    URL_SAFE_NO_PAD.encode(rand::rng().random::<[u8; 24]>())
}

impl Access {
    /// Headers that make the browser a signed-in one.
    fn signed_in(&self, mut response: Response) -> Response {
        let expires = now() + SIGNED_IN_SECONDS;
        let value = self.signer.sign(Purpose::Cookie, &random_text(), expires);
        if let Some(cookie) = self.cookie.set(&value) {
            response.headers_mut().insert(header::SET_COOKIE, cookie);
        }
        response
    }
}

/// The parameters of a sign-in link.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct CodeParams {
    /// The one-time code. Without one, the page is given on which people sign in by the admin secret.
    code: Option<String>,
}

/// Signs a browser in by a link that works once; without its code, the console's page for signing in.
#[utoipa::path(get, path = "/signin", tag = "access", params(CodeParams), security(()),
    responses((status = 200, description = "Without a code: the page"),
              (status = 303, description = "To the console; the cookie is set. A browser whose link was used before or has expired goes to the page, which says so"),
              (status = 403, description = "The link was used before or has expired", body = crate::openapi::Problem)))]
pub(crate) async fn sign_in_once(
    State(app): State<Arc<App>>,
    Params(params): Params<CodeParams>,
    headers: HeaderMap,
) -> ApiResult<Response> {
    let Some(code) = params.code else {
        return Ok(app.console.page(&headers));
    };
    let base = app.base_path.as_str();
    if app.access.codes.redeem(&code) {
        // The page itself needs no cookie, and what it asks for then comes from our own site, wherever the link stood.
        return Ok(app.access.signed_in(Redirect::to(base).into_response()));
    }
    if app.console.is_there() && wants_page(&headers) {
        let page = format!("{base}signin?reason=link_used");
        return Ok(Redirect::to(&page).into_response());
    }
    Err(ApiError::forbidden(
        "link_used",
        "this link was used before or has expired; sign in with the admin secret, or start `hopline up` again",
    ))
}

/// Whether it is a browser that asks, for someone to look at.
fn wants_page(headers: &HeaderMap) -> bool {
    let accepted = headers.get(header::ACCEPT);
    accepted.is_some_and(|accepted| accepted.to_str().is_ok_and(|it| it.contains("text/html")))
}

/// A sign-in by the admin secret.
#[derive(Deserialize, ToSchema)]
pub(crate) struct SignInRequest {
    /// The admin secret.
    secret: String,
}

/// A browser is signed in or out.
#[derive(Serialize, ToSchema)]
pub(crate) struct SignInReply {
    ok: bool,
}

/// Signs a browser in by the admin secret. Wrong secrets are throttled.
#[utoipa::path(post, path = "/signin", tag = "access", request_body = SignInRequest, security(()),
    responses((status = 200, body = SignInReply),
              (status = 403, description = "The secret is wrong", body = crate::openapi::Problem),
              (status = 429, description = "Too many wrong secrets; see Retry-After", body = crate::openapi::Problem)))]
pub(crate) async fn sign_in(
    State(app): State<Arc<App>>,
    JsonBody(request): JsonBody<SignInRequest>,
) -> ApiResult<Response> {
    let access = &app.access;
    let right = || access.secrets.admin.matches(&request.secret);
    match access.throttle.attempt(Instant::now(), right) {
        Ok(true) => Ok(access.signed_in(Json(SignInReply { ok: true }).into_response())),
        Ok(false) => Err(ApiError::forbidden("forbidden", "the secret is wrong")),
        Err(seconds) => Err(ApiError::new(
            StatusCode::TOO_MANY_REQUESTS,
            "too_many_attempts",
            "too many wrong secrets; wait before the next",
        )
        .retry_after(seconds)),
    }
}

/// Signs a browser out.
#[utoipa::path(post, path = "/signout", tag = "access", security(()),
    responses((status = 200, description = "The cookie is gone", body = SignInReply)))]
pub(crate) async fn sign_out(State(app): State<Arc<App>>) -> Response {
    let mut response = Json(SignInReply { ok: true }).into_response();
    for cookie in app.access.cookie.end() {
        response.headers_mut().append(header::SET_COOKIE, cookie);
    }
    response
}

/// For which project a token is wanted.
#[derive(Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct TokenRequest {
    /// The project to watch.
    project_id: Uuid,
}

/// A token for live updates.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct TokenReply {
    /// To be sent as the second subprotocol of `/ws`.
    token: String,
    /// For how many seconds it is valid.
    expires_in: u64,
}

/// A token by which a page of another origin watches one project.
#[utoipa::path(post, path = "/api/ws-tokens", tag = "access", request_body = TokenRequest,
    responses((status = 200, body = TokenReply),
              (status = 404, description = "There is no such project", body = crate::openapi::Problem)))]
pub(crate) async fn issue_token(
    _: Admin,
    State(app): State<Arc<App>>,
    JsonBody(request): JsonBody<TokenRequest>,
) -> ApiResult<Json<TokenReply>> {
    let project = app.store.project(request.project_id).await?;
    let project = project.ok_or_else(|| ApiError::not_found("project"))?;
    let expires = now() + LIVE_TOKEN_SECONDS;
    Ok(Json(TokenReply {
        token: app
            .access
            .signer
            .sign(Purpose::Live, &project.id.to_string(), expires),
        expires_in: LIVE_TOKEN_SECONDS,
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_code_works_once_and_only_the_latest_are_kept() {
        let codes = Codes::default();
        let first = codes.issue();
        let second = codes.issue();
        assert!(!codes.redeem("nonsense"));
        assert!(codes.redeem(&second) && !codes.redeem(&second));
        for _ in 0..MAX_CODES {
            codes.issue();
        }
        assert!(!codes.redeem(&first));
    }
}
