//! Signing in: by the admin secret, or by a link that `hopline up` prints and that works once. Also the
//! short-lived tokens by which pages of other origins watch one project.

use std::sync::Arc;
use std::time::Instant;

use axum::Json;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{Html, IntoResponse, Response};
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
pub(crate) struct CodeParams {
    /// The one-time code.
    code: String,
}

/// Signs a browser in by a link that works once.
#[utoipa::path(get, path = "/signin", tag = "access", params(CodeParams), security(()),
    responses((status = 200, description = "A page that leads on to the console; the cookie is set"),
              (status = 403, description = "The link was used before or has expired", body = crate::openapi::Problem)))]
pub(crate) async fn sign_in_once(
    State(app): State<Arc<App>>,
    Params(params): Params<CodeParams>,
) -> ApiResult<Response> {
    if !app.access.codes.redeem(&params.code) {
        return Err(ApiError::forbidden(
            "link_used",
            "this link was used before or has expired; sign in with the admin secret, or start `hopline up` again",
        ));
    }
    // A page, not a redirect: a redirect that another site led to would not carry the cookie.
    let page = Html(
        "<!doctype html><meta charset=utf-8><meta http-equiv=refresh content=\"0;url=/\">\
         <title>Hopline</title><p>Signed in. <a href=\"/\">Go on</a>.",
    );
    Ok(app.access.signed_in(page.into_response()))
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
    if let Some(cookie) = app.access.cookie.set("") {
        response.headers_mut().insert(header::SET_COOKIE, cookie);
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
