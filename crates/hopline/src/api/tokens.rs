//! The tokens of runners.

use hopline_wire::Timestamp;
use reqwest::Method;
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::{ApiClient, ApiError};

/// A token, as the API tells of it.
#[derive(Debug, Deserialize, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct RunnerToken {
    /// What it is called by.
    pub(crate) id: String,
    /// The one runner that may show it.
    pub(crate) runner_id: String,
    pub(crate) created_at: Timestamp,
    /// Since when it is good for nothing.
    pub(crate) revoked_at: Option<Timestamp>,
    /// When it was last shown, to within a minute.
    pub(crate) last_used_at: Option<Timestamp>,
}

/// A token that was made just now, itself. It is never printed but where the user asked for it.
#[derive(Deserialize, Serialize)]
pub(crate) struct MadeToken {
    #[serde(flatten)]
    pub(crate) about: RunnerToken,
    pub(crate) token: String,
}

#[derive(Deserialize)]
struct List {
    tokens: Vec<RunnerToken>,
}

impl ApiClient {
    /// Makes a token for a runner.
    ///
    /// # Errors
    /// [`ApiError`]; a name that no runner can have among them.
    pub(crate) async fn create_runner_token(&self, runner: &str) -> Result<MadeToken, ApiError> {
        let body = json!({"runnerId": runner});
        self.post("make a runner's token", "/api/runner-tokens", &body)
            .await
    }

    /// All tokens, the newest first.
    ///
    /// # Errors
    /// [`ApiError`].
    pub(crate) async fn runner_tokens(&self) -> Result<Vec<RunnerToken>, ApiError> {
        let list: List = self
            .get("list the tokens of runners", "/api/runner-tokens")
            .await?;
        Ok(list.tokens)
    }

    /// Revokes a token for ever.
    ///
    /// # Errors
    /// [`ApiError`]; one that is not there among them.
    pub(crate) async fn revoke_runner_token(&self, id: &str) -> Result<RunnerToken, ApiError> {
        let path = format!("/api/runner-tokens/{id}");
        let request = self.request(Method::DELETE, &path);
        self.answer("revoke a runner's token", request).await
    }
}
