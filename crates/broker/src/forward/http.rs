//! Events over HTTP: `POST /api/runner/events`, and what each answer means.

use std::time::Duration;

use bytes::{Bytes, BytesMut};
use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use hopline_wire::ingest;
use hopline_wire::secret::Secret;
use hopline_wire::span::Text;
use reqwest::header::{AUTHORIZATION, CONTENT_TYPE, HeaderValue, RETRY_AFTER};

use super::reply::Reply;
use super::transport::{Delivered, Delivery, Transport};

/// No answer is read further than this.
const MAX_ANSWER_BYTES: usize = 4 << 20;

/// A server that wants to be left alone for longer is asked after this time all the same.
const LONGEST_RETRY_AFTER: Duration = Duration::from_secs(60);

/// See the module.
pub(crate) struct HttpTransport {
    client: reqwest::Client,
    url: String,
    authorization: HeaderValue,
    timeout: Duration,
}

impl HttpTransport {
    /// Events to the server at `base`, without a slash at the end.
    pub(crate) fn new(
        client: reqwest::Client,
        base: &str,
        secret: &Secret,
        timeout: Duration,
    ) -> Self {
        Self {
            client,
            url: format!("{base}{}", ingest::PATH),
            authorization: bearer(secret),
            timeout,
        }
    }

    async fn post(&self, delivery: Delivery) -> Result<Delivered, reqwest::Error> {
        let mut request = self
            .client
            .post(&self.url)
            .timeout(self.timeout)
            .header(AUTHORIZATION, self.authorization.clone())
            .header(CONTENT_TYPE, HeaderValue::from_static("application/json"))
            .body(delivery.body);
        for (name, value) in delivery.headers {
            request = request.header(name, value);
        }
        let response = request.send().await?;
        let status = response.status().as_u16();
        let after = response
            .headers()
            .get(RETRY_AFTER)
            .and_then(|value| value.to_str().ok()?.parse().ok())
            .map(|seconds| Duration::from_secs(seconds).min(LONGEST_RETRY_AFTER));
        let body = read(response).await?;
        Ok(judge(status, after, &body))
    }
}

impl Transport for HttpTransport {
    fn deliver(&self, delivery: Delivery) -> BoxFuture<'_, Delivered> {
        let unreachable = |error: reqwest::Error| Delivered::Unavailable {
            after: None,
            error: Text::Static(if error.is_timeout() {
                "timeout"
            } else {
                "connection"
            }),
        };
        async move { self.post(delivery).await.unwrap_or_else(unreachable) }.boxed()
    }
}

/// A secret as the value of `Authorization`, marked so that no log shows it.
pub(crate) fn bearer(secret: &Secret) -> HeaderValue {
    let value = HeaderValue::from_str(&format!("Bearer {}", secret.expose()));
    // A secret that is no header value is one that the server cannot ask for either.
    let mut value = value.unwrap_or_else(|_| HeaderValue::from_static(""));
    value.set_sensitive(true);
    value
}

async fn read(mut response: reqwest::Response) -> Result<Bytes, reqwest::Error> {
    let mut body = BytesMut::new();
    while let Some(chunk) = response.chunk().await? {
        body.extend_from_slice(&chunk);
        if body.len() > MAX_ANSWER_BYTES {
            break;
        }
    }
    Ok(body.freeze())
}

/// What an answer means.
fn judge(status: u16, after: Option<Duration>, body: &[u8]) -> Delivered {
    let error = || Text::from(status.to_string());
    match status {
        200..=299 => Reply::read(body, true).map_or(Delivered::Taken, Delivered::Judged),
        409 => match Reply::read(body, false) {
            Some(reply) => Delivered::Judged(reply),
            None => Delivered::Failed {
                error: error(),
                lasting: true,
            },
        },
        413 => Delivered::TooLarge,
        408 | 425 | 429 | 502..=599 => Delivered::Unavailable {
            after,
            error: error(),
        },
        500 | 501 => Delivered::Failed {
            error: error(),
            lasting: false,
        },
        // Redirects are not followed; like these, they say that the address or the secret is wrong.
        300..=399 | 401 | 403 | 404 | 405 | 407 | 421 => Delivered::Forbidden { error: error() },
        _ => Delivered::Failed {
            error: error(),
            lasting: true,
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_status_has_its_meaning() {
        let reply: &[u8] = br#"{"ok":true,"acked":{},"gaps":{"c":1}}"#;
        assert!(matches!(judge(200, None, reply), Delivered::Judged(_)));
        assert!(matches!(judge(200, None, b"OK"), Delivered::Taken));
        assert!(matches!(judge(204, None, b""), Delivered::Taken));
        assert!(matches!(judge(409, None, reply), Delivered::Judged(reply) if !reply.applied));
        assert!(matches!(judge(413, None, b""), Delivered::TooLarge));
        for transient in [429, 502, 503, 504] {
            assert!(matches!(
                judge(transient, None, b""),
                Delivered::Unavailable { .. }
            ));
        }
        for forbidden in [301, 401, 403, 404] {
            assert!(matches!(
                judge(forbidden, None, b""),
                Delivered::Forbidden { .. }
            ));
        }
        assert!(matches!(
            judge(500, None, b""),
            Delivered::Failed { lasting: false, .. }
        ));
        assert!(matches!(
            judge(400, None, b""),
            Delivered::Failed { lasting: true, .. }
        ));
    }

    #[test]
    fn a_secret_is_marked_as_one() {
        assert!(bearer(&Secret::new("s")).is_sensitive());
    }
}
