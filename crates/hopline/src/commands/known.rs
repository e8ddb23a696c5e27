//! Waiting until a server knows the runner in this process: from then on it can be given commands.

use std::time::Duration;

use hopline_runner::Handle;

use crate::api::{ApiClient, ApiError};
use crate::exit::{self, Failure};

/// How long that may take.
const CONNECTED: Duration = Duration::from_secs(15);

/// How often the server is asked.
const ASK: Duration = Duration::from_millis(1);

/// Waits until the server knows that the runner is linked.
///
/// # Errors
/// If the server is away, or the runner finds no broker in time.
pub(crate) async fn known_to_server(
    api: &ApiClient,
    runner_id: &str,
    runner: &Handle,
) -> anyhow::Result<()> {
    let known = async {
        runner.connected().await;
        loop {
            let runners = api.runners().await?;
            if runners
                .iter()
                .any(|known| known.id == runner_id && known.link == "up")
            {
                return Ok::<_, ApiError>(());
            }
            tokio::time::sleep(ASK).await;
        }
    };
    match tokio::time::timeout(CONNECTED, known).await {
        Ok(known) => Ok(known?),
        Err(_) => {
            let told = format!(
                "the runner in this process has found no broker within {} s: {:?}",
                CONNECTED.as_secs(),
                *runner.link().borrow(),
            );
            Err(Failure::new(exit::UNAVAILABLE, told).into())
        }
    }
}
