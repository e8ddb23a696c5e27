//! Ctrl-C and SIGTERM.

use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::mpsc;

use crate::follow::Wish;

/// Waits for SIGINT or SIGTERM. From the first call on, neither ends the process by itself.
///
/// # Errors
/// If the system does not let signals be caught.
pub(crate) async fn end_wanted() -> std::io::Result<()> {
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut terminate = signal(SignalKind::terminate())?;
    tokio::select! {
        _ = interrupt.recv() => {}
        _ = terminate.recv() => {}
    }
    Ok(())
}

/// Turns the first signal into the wish to cancel a build, and the second into that to leave it.
///
/// # Errors
/// If the system does not let signals be caught.
pub(crate) fn wishes() -> std::io::Result<mpsc::Receiver<Wish>> {
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut terminate = signal(SignalKind::terminate())?;
    let (sender, receiver) = mpsc::channel(2);
    tokio::spawn(async move {
        for wish in [Wish::Cancel, Wish::Leave] {
            tokio::select! {
                _ = interrupt.recv() => {}
                _ = terminate.recv() => {}
            }
            if sender.send(wish).await.is_err() {
                return;
            }
        }
    });
    Ok(receiver)
}
