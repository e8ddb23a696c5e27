//! DSNs.

use hopline_wire::Timestamp;
use reqwest::Method;
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::{ApiClient, ApiError};

/// A DSN, as the API tells of it.
#[derive(Debug, Deserialize, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Dsn {
    /// What it is called by.
    pub(crate) number: u64,
    pub(crate) name: String,
    pub(crate) public_key: String,
    /// The whole.
    pub(crate) dsn: String,
    pub(crate) created_at: Timestamp,
    /// Since when it is good for nothing.
    pub(crate) revoked_at: Option<Timestamp>,
}

#[derive(Deserialize)]
struct List {
    dsns: Vec<Dsn>,
}

impl ApiClient {
    /// Makes a DSN for whoever is named so.
    ///
    /// # Errors
    /// [`ApiError`].
    pub(crate) async fn create_dsn(&self, name: &str) -> Result<Dsn, ApiError> {
        self.post("make a DSN", "/api/dsns", &json!({"name": name}))
            .await
    }

    /// All DSNs, by their numbers.
    ///
    /// # Errors
    /// [`ApiError`].
    pub(crate) async fn dsns(&self) -> Result<Vec<Dsn>, ApiError> {
        let list: List = self.get("list the DSNs", "/api/dsns").await?;
        Ok(list.dsns)
    }

    /// Revokes a DSN for ever.
    ///
    /// # Errors
    /// [`ApiError`]; one that is not there among them.
    pub(crate) async fn revoke_dsn(&self, number: u32) -> Result<Dsn, ApiError> {
        let request = self.request(Method::DELETE, &format!("/api/dsns/{number}"));
        self.answer("revoke a DSN", request).await
    }
}
