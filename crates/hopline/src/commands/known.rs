//! Waiting until a server knows the runner in this process: from then on it can be given commands.

use std::time::Duration;

use hopline_runner::{Handle, LinkState, Refusal};
use tokio::time::Instant;

use crate::api::{ApiClient, ApiError};
use crate::exit::{self, Failure};

/// How long a broker is looked for.
const LINKED: Duration = Duration::from_secs(5);

/// How often the server is asked meanwhile whether it is still there.
const STILL_THERE: Duration = Duration::from_millis(250);

/// How long a server may take to hear of a runner that is linked.
const CONNECTED: Duration = Duration::from_secs(15);

/// How often the server is asked.
const ASK: Duration = Duration::from_millis(1);

/// Waits until the server knows that the runner is linked to the broker at this address.
///
/// # Errors
/// If the server is away, the broker refuses the runner or is away, or it is another server's.
pub(crate) async fn known_to_server(
    api: &ApiClient,
    runner_id: &str,
    runner: &Handle,
    broker: &str,
) -> anyhow::Result<()> {
    linked(api, runner_id, runner, broker).await?;
    let known = async {
        loop {
            if api.is_linked(runner_id).await? {
                return Ok::<_, ApiError>(());
            }
            tokio::time::sleep(ASK).await;
        }
    };
    match tokio::time::timeout(CONNECTED, known).await {
        Ok(known) => Ok(known?),
        Err(_) => {
            let told = format!(
                "the runner in this process is linked to the broker at {broker}, of which the server at {} has heard \
                 nothing for {} s: is it that server's broker?",
                api.base(),
                CONNECTED.as_secs(),
            );
            Err(Failure::new(exit::UNAVAILABLE, told).into())
        }
    }
}

/// Waits until the runner is linked.
async fn linked(
    api: &ApiClient,
    runner_id: &str,
    runner: &Handle,
    broker: &str,
) -> anyhow::Result<()> {
    let deadline = Instant::now() + LINKED;
    let mut link = runner.link();
    loop {
        let state = link.borrow_and_update().clone();
        match state {
            LinkState::Up(_) => return Ok(()),
            LinkState::Refused(refusal) => return Err(refused(refusal, broker).into()),
            LinkState::Down { reason } if Instant::now() >= deadline => {
                let told = format!(
                    "the runner in this process finds no broker at {broker}: {reason}: start one with: hopline broker, \
                     or name another with --broker"
                );
                return Err(Failure::new(exit::UNAVAILABLE, told).into());
            }
            LinkState::Down { .. } => {
                // A server that ends takes the broker in its process along: whoever waits had better know.
                api.is_linked(runner_id).await?;
            }
            LinkState::Connecting if Instant::now() >= deadline => {
                let told = format!(
                    "the runner in this process gets no answer of the broker at {broker} within {} s",
                    LINKED.as_secs()
                );
                return Err(Failure::new(exit::UNAVAILABLE, told).into());
            }
            LinkState::Connecting => {}
            LinkState::Closed => return Err(super::signals::interrupted().into()),
        }
        let _ = tokio::time::timeout(STILL_THERE, link.changed()).await;
    }
}

fn refused(refusal: Refusal, broker: &str) -> Failure {
    let (code, remedy) = match refusal {
        Refusal::WrongSecret => (
            exit::FORBIDDEN,
            ": give the server's as HOPLINE_RUNNER_SECRET",
        ),
        Refusal::AlreadyConnected => (exit::TAKEN, ""),
    };
    Failure::new(
        code,
        format!("link to the broker at {broker}: {refusal}{remedy}"),
    )
}
