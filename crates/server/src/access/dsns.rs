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
    /// Whether it is known to be no longer so.
    is_stale: bool,
    /// The number of each key.
    numbers: Arc<HashMap<String, u64>>,
}

impl LiveDsns {
    /// Has them read anew by whoever asks next. What was read before this was called is not taken for new; `revoked` is
    /// good for nothing from now on, even if they cannot be read.
    pub(crate) async fn changed(&self, revoked: Option<&str>) {
        let _turn = self.turn.lock().await;
        if let Some(read) = self.read.lock().as_mut() {
            read.is_stale = true;
            if let Some(key) = revoked {
                Arc::make_mut(&mut read.numbers).remove(key);
            }
        }
    }

    /// The number that the DSN with this key had when they were read last, if it has not been revoked here since.
    fn known_before(&self, key: &str) -> Option<u64> {
        self.read.lock().as_ref()?.numbers.get(key).copied()
    }

    /// The number of the DSN with this key, if what was read last can still say.
    fn known(&self, key: &str) -> Option<Option<u64>> {
        let read = self.read.lock().clone()?;
        let number = read.numbers.get(key).copied();
        let holds = match number {
            Some(_) => HOLDS,
            None => HOLDS_AGAINST,
        };
        (!read.is_stale && read.at.elapsed() < holds).then_some(number)
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
        let _turn = match self.dsns.turn.try_lock() {
            Ok(turn) => turn,
            Err(_) => {
                // Someone asks already, and the database may be slow to answer: whoever was known is not held up by it.
                if let Some(known) = self.dsns.known_before(key) {
                    return Ok(Some(known));
                }
                self.dsns.turn.lock().await
            }
        };
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
                    is_stale: false,
                    numbers: Arc::new(numbers),
                }
            }
            Err(error) => {
                // Nobody can revoke one either while the database cannot be asked.
                tracing::warn!(error = %Chain(&error), "the live DSNs are those of a while ago");
                let known = self.dsns.read.lock().clone();
                let known = known.filter(|known| known.numbers.contains_key(key));
                let Some(known) = known else {
                    return Err(error.into());
                };
                // From when it has failed: asking may have taken longer than an answer holds.
                Read {
                    at: Instant::now(),
                    is_stale: false,
                    ..known
                }
            }
        };
        let number = read.numbers.get(key).copied();
        *self.dsns.read.lock() = Some(read);
        Ok(number)
    }
}
