//! Reading requests: bodies, queries and paths, with answers that say what was expected.

use axum::body::Bytes;
use axum::extract::rejection::{BytesRejection, PathRejection, QueryRejection};
use axum::extract::{FromRequest, FromRequestParts, Path, Query, Request};
use axum::http::request::Parts;
use axum::http::{HeaderMap, StatusCode, header};
use serde::de::DeserializeOwned;

use crate::errors::{ApiError, ApiResult};

/// A body in JSON, sent as `application/json`.
pub(crate) struct JsonBody<T>(pub(crate) T);

impl<S: Send + Sync, T: DeserializeOwned> FromRequest<S> for JsonBody<T> {
    type Rejection = ApiError;

    async fn from_request(request: Request, state: &S) -> ApiResult<Self> {
        require_json(request.headers())?;
        let body = Bytes::from_request(request, state)
            .await
            .map_err(bad_body)?;
        serde_json::from_slice(&body).map(Self).map_err(|error| {
            ApiError::bad_request("bad_request", format!("the body cannot be read: {error}"))
        })
    }
}

/// No body, or one in JSON: for commands that need no more than their path. A body of another type is
/// refused, so that no form on a foreign page can send one.
pub(crate) struct NoBody;

impl<S: Send + Sync> FromRequest<S> for NoBody {
    type Rejection = ApiError;

    async fn from_request(request: Request, state: &S) -> ApiResult<Self> {
        let headers = request.headers().clone();
        let body = Bytes::from_request(request, state)
            .await
            .map_err(bad_body)?;
        if !body.is_empty() || headers.contains_key(header::CONTENT_TYPE) {
            require_json(&headers)?;
        }
        Ok(Self)
    }
}

fn require_json(headers: &HeaderMap) -> ApiResult<()> {
    let given = headers
        .get(header::CONTENT_TYPE)
        .and_then(|value| value.to_str().ok());
    let essence = given
        .and_then(|value| value.split(';').next())
        .unwrap_or_default();
    if essence.trim().eq_ignore_ascii_case("application/json") {
        return Ok(());
    }
    Err(ApiError::new(
        StatusCode::UNSUPPORTED_MEDIA_TYPE,
        "unsupported_media_type",
        "the body must be sent as application/json",
    ))
}

fn bad_body(rejection: BytesRejection) -> ApiError {
    if rejection.status() == StatusCode::PAYLOAD_TOO_LARGE {
        return ApiError::too_large("the body is larger than this route takes");
    }
    ApiError::bad_request("bad_request", "the body could not be received")
}

/// The parameters behind the question mark.
pub(crate) struct Params<T>(pub(crate) T);

impl<S: Send + Sync, T: DeserializeOwned> FromRequestParts<S> for Params<T> {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> ApiResult<Self> {
        let read = Query::from_request_parts(parts, state).await;
        read.map(|Query(params)| Self(params))
            .map_err(|rejection: QueryRejection| {
                let problem = std::error::Error::source(&rejection)
                    .map_or_else(|| rejection.to_string(), ToString::to_string);
                ApiError::bad_request(
                    "bad_request",
                    format!("the query cannot be read: {problem}"),
                )
            })
    }
}

/// The parameters in the path. What has the wrong form names nothing that is there: 404.
pub(crate) struct InPath<T>(pub(crate) T);

impl<S: Send + Sync, T: DeserializeOwned + Send> FromRequestParts<S> for InPath<T> {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> ApiResult<Self> {
        let read = Path::from_request_parts(parts, state).await;
        read.map(|Path(params)| Self(params))
            .map_err(|_: PathRejection| ApiError::not_found("thing: its id has another form"))
    }
}
