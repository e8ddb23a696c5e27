//! What a request gets that cannot be served: always a status and `{"error","code"}`, never a look inside.
//!
//! `error` says to people what went wrong and what was expected; `code` says it to programs. What went
//! wrong inside the server is logged once, with its whole chain, and answered in general words.

use axum::Json;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use hopline_state::{Conflict, StateError};
use hopline_wire::ingest::ErrorReply;

/// An answer that is no success.
#[derive(Debug, Clone)]
pub(crate) struct ApiError {
    status: StatusCode,
    code: &'static str,
    message: String,
    retry_after: Option<u32>,
}

/// What a handler gives.
pub(crate) type ApiResult<T> = Result<T, ApiError>;

impl ApiError {
    /// An answer with this status.
    pub(crate) fn new(status: StatusCode, code: &'static str, message: impl Into<String>) -> Self {
        Self {
            status,
            code,
            message: message.into(),
            retry_after: None,
        }
    }

    /// 400: the request itself is wrong.
    pub(crate) fn bad_request(code: &'static str, message: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, code, message)
    }

    /// 401: no credential, where one is asked for.
    pub(crate) fn unauthorized(expected: &str) -> Self {
        Self::new(
            StatusCode::UNAUTHORIZED,
            "unauthorized",
            format!("a credential is missing: expected {expected}"),
        )
    }

    /// 403: a credential that is not the one asked for.
    pub(crate) fn forbidden(code: &'static str, message: impl Into<String>) -> Self {
        Self::new(StatusCode::FORBIDDEN, code, message)
    }

    /// 404: no such thing.
    pub(crate) fn not_found(what: &str) -> Self {
        Self::new(
            StatusCode::NOT_FOUND,
            "not_found",
            format!("there is no such {what}"),
        )
    }

    /// 409: the state of things forbids it.
    pub(crate) fn conflict(code: &'static str, message: impl Into<String>) -> Self {
        Self::new(StatusCode::CONFLICT, code, message)
    }

    /// 413: too large.
    pub(crate) fn too_large(message: impl Into<String>) -> Self {
        Self::new(StatusCode::PAYLOAD_TOO_LARGE, "too_large", message)
    }

    /// 429: too much at once; to be tried again.
    pub(crate) fn overloaded(message: impl Into<String>) -> Self {
        Self::new(StatusCode::TOO_MANY_REQUESTS, "overloaded", message).retry_after(1)
    }

    /// 503: something that is needed is not there just now.
    pub(crate) fn unavailable(code: &'static str, message: impl Into<String>) -> Self {
        Self::new(StatusCode::SERVICE_UNAVAILABLE, code, message)
    }

    /// 500: `error` is logged with its chain; the answer says only what was being done.
    pub(crate) fn internal(operation: &str, error: &(dyn std::error::Error + 'static)) -> Self {
        tracing::error!(operation, error = %Chain(error), "a request failed");
        Self::new(
            StatusCode::INTERNAL_SERVER_ERROR,
            "internal",
            format!("{operation} failed; the server's log says why"),
        )
    }

    /// The same answer with the word that trying again in so many seconds makes sense.
    pub(crate) fn retry_after(mut self, seconds: u32) -> Self {
        self.retry_after = Some(seconds);
        self
    }

    /// The answer's status.
    pub(crate) fn status(&self) -> StatusCode {
        self.status
    }

    /// The answer's code.
    pub(crate) fn code(&self) -> &'static str {
        self.code
    }

    /// What it says to people.
    pub(crate) fn message(&self) -> &str {
        &self.message
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        let body = ErrorReply {
            error: self.message,
            code: self.code.to_owned(),
        };
        let mut response = (self.status, Json(body)).into_response();
        let headers = response.headers_mut();
        if let Some(seconds) = self.retry_after {
            headers.insert(header::RETRY_AFTER, HeaderValue::from(seconds));
        }
        if self.status == StatusCode::UNAUTHORIZED {
            headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        response
    }
}

impl From<StateError> for ApiError {
    fn from(error: StateError) -> Self {
        match &error {
            StateError::Conflict {
                conflict: Conflict::SlugTaken,
                ..
            } => Self::conflict("slug_taken", "another project has this slug"),
            StateError::Conflict {
                conflict: Conflict::BuildRunning,
                ..
            } => Self::conflict(
                "build_running",
                "the project has a build that is still running; POST /api/builds/{id}/cancel ends it",
            ),
            StateError::Conflict { .. } => Self::conflict(
                "changed_meanwhile",
                "what the request refers to has changed meanwhile",
            ),
            _ if error.is_transient() => {
                tracing::warn!(error = %Chain(&error), "the database is not available");
                Self::unavailable(
                    "database_unavailable",
                    "the database is not available just now",
                )
                .retry_after(1)
            }
            _ => Self::internal(error.operation(), &error),
        }
    }
}

/// An error with all that caused it, on one line.
pub(crate) struct Chain<'a>(pub(crate) &'a (dyn std::error::Error + 'static));

impl std::fmt::Display for Chain<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}", self.0)?;
        let mut cause = self.0.source();
        while let Some(error) = cause {
            write!(f, ": {error}")?;
            cause = error.source();
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failure_inside_is_answered_in_general_words() {
        let inside = std::io::Error::other("/var/lib/secret.db: disk I/O error");
        let error = ApiError::internal("read the project", &inside);
        assert_eq!(error.status(), StatusCode::INTERNAL_SERVER_ERROR);
        assert!(!error.message().contains("secret.db"));
    }

    #[test]
    fn a_database_that_is_busy_is_told_from_a_broken_one() {
        let busy = StateError::unavailable("read the project", "locked");
        let broken = StateError::Broken {
            operation: "read the project",
            code: None,
            source: "corrupt".into(),
        };
        let busy = ApiError::from(busy).into_response();
        assert_eq!(busy.status(), StatusCode::SERVICE_UNAVAILABLE);
        assert!(busy.headers().contains_key(header::RETRY_AFTER));
        assert_eq!(
            ApiError::from(broken).status(),
            StatusCode::INTERNAL_SERVER_ERROR
        );
    }
}
