//! Runners that show a token of their own.

use std::sync::Arc;
use std::time::Duration;

use axum::extract::FromRequestParts;
use axum::http::HeaderMap;
use axum::http::request::Parts;
use hopline_state::rows::RunnerToken;
use hopline_wire::{Timestamp, token};
use uuid::Uuid;

use super::bearer_token;
use crate::app::App;
use crate::errors::{ApiError, ApiResult, Chain};

/// A use is noted at most this often, so that a token in steady use costs no steady writes.
const NOTED_EVERY: Duration = Duration::from_secs(60);

/// Whoever sends what runners say: a broker for all of its runners, or one runner for itself.
#[derive(Debug, Clone)]
pub(crate) enum RunnerSender {
    /// It bears the runner secret.
    Any,
    /// It bears a token of this runner.
    One {
        /// The runner.
        runner_id: Arc<str>,
        /// The token.
        token: Uuid,
    },
}

impl FromRequestParts<Arc<App>> for RunnerSender {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, app: &Arc<App>) -> ApiResult<Self> {
        let headers = &parts.headers;
        // The secret may be any text, one like a token too.
        let Err(refused) = app.access.runner(headers) else {
            return Ok(Self::Any);
        };
        let token = app.token_shown(headers).await?.ok_or(refused)?;
        Ok(Self::One {
            runner_id: token.runner_id.into(),
            token: token.id,
        })
    }
}

impl App {
    /// The live token that a request bears; none if it bears a credential of another kind, or none.
    ///
    /// # Errors
    /// 403 if the token is not live, 503 if the database cannot say.
    pub(super) async fn token_shown(&self, headers: &HeaderMap) -> ApiResult<Option<RunnerToken>> {
        let Some(shown) = bearer_token(headers).filter(|shown| token::is_token(shown)) else {
            return Ok(None);
        };
        let live = self.live_tokens(vec![token::hash(shown)]).await?;
        let refused = || ApiError::forbidden("forbidden", "the runner's token is wrong or revoked");
        live.into_iter().next().map(Some).ok_or_else(refused)
    }

    /// Those of the tokens with these hashes that are live. That they were used is noted soon after.
    ///
    /// # Errors
    /// 503 if the database cannot say.
    pub(crate) async fn live_tokens(&self, hashes: Vec<String>) -> ApiResult<Vec<RunnerToken>> {
        let live = self.store.live_runner_tokens(hashes).await?;
        let now = Timestamp::now();
        let is_news = |token: &&RunnerToken| {
            let noted = token.last_used_at;
            noted.is_none_or(|noted| u128::from(now.nanos_since(noted)) >= NOTED_EVERY.as_nanos())
        };
        let news: Vec<_> = live.iter().filter(is_news).map(|token| token.id).collect();
        // Whether a token is live does not hang on it, so nobody waits for it. One at a time, that none pile up while
        // the database takes no writes; what is passed over then is noted by a later use.
        if !news.is_empty()
            && let Ok(turn) = Arc::clone(&self.token_notes).try_acquire_owned()
        {
            let store = Arc::clone(&self.store);
            self.tasks.spawn(async move {
                let _turn = turn;
                if let Err(error) = store.note_runner_tokens_used(news, now).await {
                    tracing::warn!(error = %Chain(&error), "the use of tokens was not noted");
                }
            });
        }
        Ok(live)
    }
}
