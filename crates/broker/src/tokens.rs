//! Runners' own tokens: which of them are good, the server says. It is asked when a link opens, and every few seconds
//! about all links that are open.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;
use std::time::Duration;

use hopline_wire::secret::Secret;
use hopline_wire::token::{self, LiveTokens, MAX_HASHES, TokenCheck};
use reqwest::header::{AUTHORIZATION, HeaderValue};
use tokio::sync::Semaphore;
use tokio::time::{Instant, MissedTickBehavior};
use tokio_util::sync::CancellationToken;

use crate::counters::Counters;
use crate::forward::bearer;
use crate::hub::Hub;
use crate::link::Closing;

/// How long the server may take to say whether a token is good: a runner waits for it with the opening of its link.
const PATIENCE: Duration = Duration::from_secs(3);

/// How many links may be judged at once: whoever knocks costs the server a request.
const JUDGED_AT_ONCE: usize = 64;

/// Asks the server about tokens; cheap to clone.
#[derive(Clone)]
pub(crate) struct Tokens {
    client: reqwest::Client,
    url: String,
    authorization: HeaderValue,
    counters: Counters,
    /// One permit for each link that is being judged.
    turns: Arc<Semaphore>,
}

/// Why a link is not opened.
pub(crate) enum Denied {
    /// The token is not good for it.
    Wrong(&'static str),
    /// Nobody can say just now.
    Unknown,
}

/// Whose the tokens with these hashes are, of those that are good.
type Live = HashMap<String, String>;

/// Why the server has not said which tokens are good.
#[derive(Debug, thiserror::Error)]
pub(crate) enum NotTold {
    /// There was no answer, or none that could be read.
    #[error("ask the server about tokens of runners")]
    Unreachable(#[from] reqwest::Error),
    /// It answered otherwise.
    #[error("the server answered {0} when asked about tokens of runners")]
    Status(u16),
    /// It did not say so in time, or there was no time left to ask it.
    #[error("the server has not said in time which tokens of runners are good")]
    Late,
}

impl Tokens {
    /// Asks the server at `base`, an address without a slash at the end.
    pub(crate) fn new(
        client: reqwest::Client,
        base: &str,
        secret: &Secret,
        counters: Counters,
    ) -> Self {
        Self {
            client,
            url: format!("{base}{}", token::CHECK_PATH),
            authorization: bearer(secret),
            counters,
            turns: Arc::new(Semaphore::new(JUDGED_AT_ONCE)),
        }
    }

    /// Judges a runner that opens a link with the token of this hash. That is done before the link stands: a runner of an
    /// older link counts as settled what it has written, and one of a newer waits for its welcome only so long.
    pub(crate) async fn admit(&self, hash: &str, runner: &str) -> Result<(), Denied> {
        let judged = async {
            let Ok(_turn) = self.turns.acquire().await else {
                return Err(NotTold::Late);
            };
            self.live(vec![hash.to_owned()]).await
        };
        let live = tokio::time::timeout(PATIENCE, judged).await;
        match live.unwrap_or(Err(NotTold::Late)) {
            Ok(live) => match live.get(hash) {
                Some(owner) if owner == runner => Ok(()),
                Some(_) => Err(Denied::Wrong("the token is another runner's")),
                None => Err(Denied::Wrong("the token is wrong or revoked")),
            },
            Err(NotTold::Status(404)) => {
                Err(Denied::Wrong("the server knows no tokens of runners"))
            }
            Err(error) => {
                self.failed(&error);
                Err(Denied::Unknown)
            }
        }
    }

    /// Looks every so often, until told to stop, whether the tokens of open links are still good, and closes the links of
    /// those that are not. Links whose tokens nobody could vouch for in all of `grace` are closed too.
    pub(crate) async fn watch(
        self,
        hub: Arc<Hub>,
        every: Duration,
        grace: Duration,
        stop: CancellationToken,
    ) {
        let mut look = tokio::time::interval(every);
        look.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut last_told = Instant::now();
        loop {
            tokio::select! {
                () = stop.cancelled() => return,
                _ = look.tick() => {}
            }
            match self.look(&hub).await {
                Ok(()) => last_told = Instant::now(),
                Err(error) => {
                    self.failed(&error);
                    if last_told.elapsed() >= grace {
                        let reason = "the server has not vouched for the token for too long";
                        close(&hub, |_, _| Some(Closing::try_again_later(reason)));
                    }
                }
            }
        }
    }

    async fn look(&self, hub: &Hub) -> Result<(), NotTold> {
        let links = hub.links();
        let shown = links
            .iter()
            .filter_map(|link| link.connection.token.clone());
        let hashes: Vec<_> = shown.collect::<BTreeSet<_>>().into_iter().collect();
        let mut live = Live::new();
        for hashes in hashes.chunks(MAX_HASHES) {
            live.extend(self.live(hashes.to_vec()).await?);
        }
        close(hub, |runner, hash| {
            // One that came while the answer was under way was judged by an answer of its own.
            let was_asked = hashes.binary_search_by(|asked| (**asked).cmp(hash)).is_ok();
            let is_good = live.get(hash).is_some_and(|owner| owner == runner);
            (was_asked && !is_good).then(|| Closing::unauthorised("the token was revoked"))
        });
        Ok(())
    }

    async fn live(&self, hashes: Vec<String>) -> Result<Live, NotTold> {
        if hashes.is_empty() {
            return Ok(Live::new());
        }
        let answer = self
            .client
            .post(&self.url)
            .timeout(PATIENCE)
            .header(AUTHORIZATION, self.authorization.clone())
            .json(&TokenCheck { hashes })
            .send()
            .await?;
        if !answer.status().is_success() {
            return Err(NotTold::Status(answer.status().as_u16()));
        }
        let told: LiveTokens = answer.json().await?;
        let live = told.live.into_iter();
        Ok(live.map(|token| (token.hash, token.runner_id)).collect())
    }

    fn failed(&self, error: &NotTold) {
        self.counters.token_checks_failed.inc();
        let cause = std::error::Error::source(error).map(ToString::to_string);
        tracing::warn!(cause, "{error}");
    }
}

/// Closes the links with a token for which `judge` says how, by runner and hash.
fn close(hub: &Hub, judge: impl Fn(&str, &str) -> Option<Closing>) {
    for link in hub.links() {
        let connection = &link.connection;
        let closing = connection.token.as_deref().filter(|_| !link.has_ended());
        let closing = closing.and_then(|hash| judge(&connection.runner, hash));
        if let Some(closing) = closing {
            tracing::warn!(
                runner = &*connection.runner,
                reason = closing.reason(),
                "closing a link"
            );
            link.end(closing);
        }
    }
}
