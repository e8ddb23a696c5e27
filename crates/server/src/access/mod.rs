//! Who may do what. Every surface asks for a credential, on loopback too.
//!
//! | surface | credential |
//! | --- | --- |
//! | `/api/runner/events` | the runner secret, or a runner's own token ([`RunnerSender`]) |
//! | `/api/runner/tokens/check` | the runner secret ([`RunnerPeer`]) |
//! | everything else under `/api`, `/metrics` | the admin secret or the console's cookie ([`Admin`]) |
//! | `/ws` | the same, or a token for one project ([`Access::live`]) |
//! | `/api/{number}/envelope/` | a DSN's public key, or the ingest key in its place ([`App::dsn_key`]) |
//! | `/v1/traces` | the same as Bearer, a build's own key, the runner secret, a runner's own token, or the cookie on the console's own pages ([`App::span_right`]) |
//!
//! A missing credential is answered 401, a wrong one 403. Secrets are compared in constant time. What a handler
//! asks for stands in its signature.

mod cookie;
mod dsns;
mod signed;
mod signin;
mod throttle;
mod tokens;

use std::sync::Arc;

use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use axum::http::{HeaderMap, header};
use hopline_wire::TraceId;
use hopline_wire::secret::{Secret, bearer};
use uuid::Uuid;

use crate::app::App;
use crate::errors::{ApiError, ApiResult};
use crate::hosts::Page;
use crate::options::Secrets;
pub(crate) use cookie::Cookie;
pub(crate) use dsns::LiveDsns;
use signed::{Purpose, Signer};
pub(crate) use signin::{
    __path_issue_token, __path_sign_in, __path_sign_in_once, __path_sign_out, issue_token, sign_in,
    sign_in_once, sign_out,
};
pub(crate) use tokens::RunnerSender;

/// How long a token for live updates is valid.
const LIVE_TOKEN_SECONDS: u64 = 60;

/// The server's credentials and what it has handed out on their strength.
pub(crate) struct Access {
    secrets: Secrets,
    signer: Signer,
    codes: signin::Codes,
    throttle: throttle::Throttle,
    cookie: Cookie,
}

/// What a sender of spans may send.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum SpanRight {
    /// Any span.
    Any,
    /// Spans of one build's trace, until the build has ended.
    OneTrace {
        /// The trace, which the build may share with others.
        trace_id: TraceId,
        /// The build's.
        session_id: Uuid,
    },
}

/// Which projects a live client may see.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum LiveRight {
    /// All.
    All,
    /// One.
    Project(Uuid),
}

impl Access {
    /// Asks for these secrets, and knows signed-in browsers by this cookie.
    pub(crate) fn new(secrets: Secrets, cookie: Cookie) -> Self {
        let signer = secrets
            .signing
            .as_ref()
            .map_or_else(Signer::random, Signer::new);
        Self {
            secrets,
            signer,
            codes: signin::Codes::default(),
            throttle: throttle::Throttle::default(),
            cookie,
        }
    }

    /// A code that signs one browser in, once.
    pub(crate) fn one_time_code(&self) -> String {
        self.codes.issue()
    }

    /// The key by which the tools of a build send spans of its trace.
    pub(crate) fn key_of_build(&self, trace_id: TraceId, session_id: Uuid) -> String {
        let subject = format!("{trace_id}-{session_id}");
        self.signer.sign(Purpose::Spans, &subject, u64::MAX)
    }

    /// Whether the request comes from a person or a person's tool.
    pub(crate) fn admin(&self, headers: &HeaderMap) -> ApiResult<()> {
        if let Some(token) = bearer_token(headers) {
            return check(&self.secrets.admin, token, "the admin secret");
        }
        if self.is_signed_in(headers) {
            return Ok(());
        }
        Err(ApiError::unauthorized(
            "the admin secret as Bearer, or a signed-in browser",
        ))
    }

    /// Whether the request bears the console's cookie.
    fn is_signed_in(&self, headers: &HeaderMap) -> bool {
        let mut cookies = self.cookie.read(headers);
        cookies.any(|value| self.signer.read(Purpose::Cookie, value).is_some())
    }

    /// Whether the request comes from a broker.
    pub(crate) fn runner(&self, headers: &HeaderMap) -> ApiResult<()> {
        match bearer_token(headers) {
            Some(token) => check(&self.secrets.runner, token, "the runner secret"),
            None => Err(ApiError::unauthorized("the runner secret as Bearer")),
        }
    }

    /// What a live client may see. `token` is its second subprotocol.
    pub(crate) fn live(&self, headers: &HeaderMap, token: Option<&str>) -> ApiResult<LiveRight> {
        let Some(token) = token else {
            return self.admin(headers).map(|()| LiveRight::All);
        };
        let project = self
            .signer
            .read(Purpose::Live, token)
            .and_then(|project| project.parse().ok());
        project
            .map(LiveRight::Project)
            .ok_or_else(|| ApiError::forbidden("forbidden", "the token is wrong or has expired"))
    }

    fn is_ingest_key(&self, key: &str) -> bool {
        self.secrets.ingest.matches(key)
    }

    /// What a sender of spans may send that bears no token of a runner.
    fn spans(&self, headers: &HeaderMap, page: Page) -> ApiResult<SpanRight> {
        let Some(token) = bearer_token(headers) else {
            // A browser sends the cookie along with requests of pages at other ports of this host too, and these may send
            // spans: so here it counts only for a page that says it is the console.
            if page.is_console() && self.is_signed_in(headers) {
                return Ok(SpanRight::Any);
            }
            return Err(ApiError::unauthorized("an ingest key as Bearer"));
        };
        // Both are compared, whatever the first comparison says.
        let whole =
            [&self.secrets.ingest, &self.secrets.runner].map(|secret| secret.matches(token));
        if whole.contains(&true) {
            return Ok(SpanRight::Any);
        }
        let right = self.signer.read(Purpose::Spans, token).and_then(|subject| {
            let (trace_id, session_id) = subject.split_once('-')?;
            Some(SpanRight::OneTrace {
                trace_id: trace_id.parse().ok()?,
                session_id: session_id.parse().ok()?,
            })
        });
        right.ok_or_else(|| ApiError::forbidden("forbidden", "the ingest key is wrong"))
    }
}

impl App {
    /// What a sender of spans may send.
    ///
    /// # Errors
    /// 401 and 403 for want of a credential, 503 if the database cannot say whether a token is live.
    pub(crate) async fn span_right(&self, headers: &HeaderMap, page: Page) -> ApiResult<SpanRight> {
        let refused = match self.access.spans(headers, page) {
            Ok(right) => return Ok(right),
            Err(refused) => refused,
        };
        if self.token_shown(headers).await?.is_some() {
            return Ok(SpanRight::Any);
        }
        let key = bearer_token(headers).ok_or(refused)?;
        self.dsn_key(key, None).await.map(|()| SpanRight::Any)
    }
}

fn bearer_token(headers: &HeaderMap) -> Option<&str> {
    bearer(headers.get(header::AUTHORIZATION)?.to_str().ok()?)
}

fn check(secret: &Secret, token: &str, what: &str) -> ApiResult<()> {
    if secret.matches(token) {
        return Ok(());
    }
    Err(ApiError::forbidden(
        "forbidden",
        format!("the credential is not {what}"),
    ))
}

/// A request that bears the admin secret or the console's cookie.
pub(crate) struct Admin;

impl FromRequestParts<Arc<App>> for Admin {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, app: &Arc<App>) -> ApiResult<Self> {
        app.access.admin(&parts.headers).map(|()| Self)
    }
}

/// A request that bears the runner secret.
pub(crate) struct RunnerPeer;

impl FromRequestParts<Arc<App>> for RunnerPeer {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, app: &Arc<App>) -> ApiResult<Self> {
        app.access.runner(&parts.headers).map(|()| Self)
    }
}
