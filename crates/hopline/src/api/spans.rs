//! All spans of a server, and spans for it.

use std::io::Write;
use std::ops::Range;

use hopline_wire::secret::Secret;
use hopline_wire::{Timestamp, otlp};
use reqwest::Method;

use super::{ApiClient, WHOLE_TRACE};

/// What it is called in errors.
const EXPORT: &str = "export spans";
const IMPORT: &str = "import spans";

impl ApiClient {
    /// Writes all spans that began within a time, as lines of OTLP in JSON, as they come.
    ///
    /// # Errors
    /// [`ApiError`](super::ApiError), or what `out` says.
    pub(crate) async fn copy_spans(
        &self,
        began: &Range<Timestamp>,
        out: &mut impl Write,
    ) -> anyhow::Result<()> {
        let range = [("from", began.start), ("to", began.end)];
        let request = self.request(Method::GET, "/api/spans").query(&range);
        let response = self.send(EXPORT, request.timeout(WHOLE_TRACE)).await?;
        self.copy(EXPORT, response, out).await
    }

    /// Has a server keep spans, a request of OTLP in protobuf.
    ///
    /// # Errors
    /// [`ApiError`](super::ApiError), or that some were refused.
    pub(crate) async fn keep_spans(&self, key: &Secret, body: Vec<u8>) -> anyhow::Result<()> {
        let request = self
            .http
            .post(format!("{}/v1/traces", self.base))
            .bearer_auth(key.expose())
            .header("content-type", "application/x-protobuf")
            .body(body);
        let response = self.send(IMPORT, request).await?;
        let answer = response.bytes().await;
        let answer = answer.map_err(|error| self.away(IMPORT, error))?;
        match otlp::rejected(&answer) {
            None => Ok(()),
            Some((count, why)) => anyhow::bail!("{IMPORT}: the server refused {count}: {why}"),
        }
    }
}
