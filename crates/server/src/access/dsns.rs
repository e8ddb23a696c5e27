//! Senders that show the key of a DSN.
//!
//! What is live is read from the database for all keys together and remembered for some seconds, so that a request with
//! spans costs no query: it must not be slowed by the database, nor end with it.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::Mutex;

use crate::app::App;
use crate::errors::{ApiError, ApiResult, Chain};

/// For how long what was read holds. A DSN that is revoked at another server is refused here after that.
const HOLDS: Duration = Duration::from_secs(10);

/// For how long it holds against a key that it does not have, which another server may have made since.
const HOLDS_AGAINST: Duration = Duration::from_secs(1);

/// The live keys, as they were read last.
#[derive(Default)]
pub(crate) struct LiveDsns {
    read: Mutex<Option<Read>>,
    /// One at a time reads them anew.
    turn: tokio::sync::Mutex<()>,
}

#[derive(Clone)]
struct Read {
    at: Instant,
    /// The number of each key.
    numbers: Arc<HashMap<String, u64>>,
}

impl LiveDsns {
    /// Has them read anew by whoever asks next. What was read before this was called is not taken for new.
    pub(crate) async fn forget(&self) {
        let _turn = self.turn.lock().await;
        *self.read.lock() = None;
    }

    /// The number of the DSN with this key, if what was read last can still say.
    fn known(&self, key: &str) -> Option<Option<u64>> {
        let read = self.read.lock().clone()?;
        let number = read.numbers.get(key).copied();
        let holds = match number {
            Some(_) => HOLDS,
            None => HOLDS_AGAINST,
        };
        (read.at.elapsed() < holds).then_some(number)
    }
}

impl App {
    /// Whether spans may be sent with this key: the ingest key, with any number, or that of a live DSN with its own. OTLP
    /// has no number.
    ///
    /// # Errors
    /// 403 if not, 503 if the database could never say.
    pub(crate) async fn dsn_key(&self, key: &str, number: Option<u64>) -> ApiResult<()> {
        if self.access.is_ingest_key(key) {
            return Ok(());
        }
        let own = self.number_of(key).await?;
        match (own, number) {
            (Some(own), Some(number)) if own != number => Err(ApiError::forbidden(
                "forbidden",
                "the key is that of a DSN with another number",
            )),
            (Some(_), _) => Ok(()),
            (None, _) => Err(ApiError::forbidden(
                "forbidden",
                "the key is that of no live DSN",
            )),
        }
    }

    async fn number_of(&self, key: &str) -> ApiResult<Option<u64>> {
        if let Some(known) = self.dsns.known(key) {
            return Ok(known);
        }
        let _turn = self.dsns.turn.lock().await;
        // Whoever had the turn before has asked for all.
        if let Some(known) = self.dsns.known(key) {
            return Ok(known);
        }
        let asked_at = Instant::now();
        let read = match self.store.dsns().await {
            Ok(dsns) => {
                let live = dsns.into_iter().filter(|dsn| dsn.revoked_at.is_none());
                let numbers = live.map(|dsn| (dsn.public_key, dsn.number)).collect();
                Read {
                    at: asked_at,
                    numbers: Arc::new(numbers),
                }
            }
            Err(error) => {
                // Nobody can revoke one either while the database cannot be asked.
                let mut read = self.dsns.read.lock();
                let Some(read) = read.as_mut() else {
                    return Err(error.into());
                };
                tracing::warn!(error = %Chain(&error), "the live DSNs are those of a while ago");
                read.at = asked_at;
                read.clone()
            }
        };
        let number = read.numbers.get(key).copied();
        *self.dsns.read.lock() = Some(read);
        Ok(number)
    }
}
