//! Ctrl-C and SIGTERM. A signal always has an effect: on a build, on whatever is being waited for, or on the process.

use std::future::Future;

use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::watch;

use crate::exit::{self, Failure};
use crate::follow::Wish;

/// SIGINT and SIGTERM, as they are told to a service.
pub(crate) struct EndSignals {
    interrupt: Signal,
    terminate: Signal,
}

impl EndSignals {
    /// Listens. From now on neither ends the process by itself.
    ///
    /// # Errors
    /// If the system does not let signals be caught.
    pub(crate) fn listen() -> std::io::Result<Self> {
        Ok(Self {
            interrupt: signal(SignalKind::interrupt())?,
            terminate: signal(SignalKind::terminate())?,
        })
    }

    /// Waits for the next one.
    pub(crate) async fn next(&mut self) {
        tokio::select! {
            _ = self.interrupt.recv() => {}
            _ = self.terminate.recv() => {}
        }
    }

    /// Stops something in order, unless another signal asks for the end at once.
    ///
    /// # Errors
    /// A [`Failure`] that says so.
    pub(crate) async fn while_stopping<T>(
        &mut self,
        stop: impl Future<Output = T>,
    ) -> Result<T, Failure> {
        tokio::select! {
            stopped = stop => Ok(stopped),
            () = self.next() => {
                Err(Failure::new(exit::INTERRUPTED, "interrupted while stopping"))
            }
        }
    }
}

/// What the user of a build has asked for by signals: first to cancel it, then to leave it. A third one ends the
/// process on the spot, whatever it is waiting for. Clones see the same signals, and each takes them for itself.
#[derive(Clone)]
pub(crate) struct Wishes {
    came: watch::Receiver<u8>,
    taken: u8,
}

impl Wishes {
    /// Listens. From now on the first two signals do not end the process by themselves.
    ///
    /// # Errors
    /// If the system does not let signals be caught.
    pub(crate) fn listen() -> std::io::Result<Self> {
        let mut signals = EndSignals::listen()?;
        let (sender, came) = watch::channel(0);
        tokio::spawn(async move {
            for count in [1, 2] {
                signals.next().await;
                sender.send_replace(count);
            }
            signals.next().await;
            // Children end with this process: their guards see to it.
            std::process::exit(exit::INTERRUPTED.into());
        });
        Ok(Self { came, taken: 0 })
    }

    /// Waits for the next wish; for ever, once both have been taken.
    pub(crate) async fn next(&mut self) -> Wish {
        self.reach(self.taken + 1).await;
        self.taken += 1;
        match self.taken {
            1 => Wish::Cancel,
            _ => Wish::Leave,
        }
    }

    /// Waits until the build is to be left. Of this one's wishes none is left then.
    pub(crate) async fn leave(&mut self) {
        self.reach(2).await;
        self.taken = 2;
    }

    async fn reach(&mut self, count: u8) {
        // The sender lives until the last signal, and that one ends the process.
        if count > 2 || self.came.wait_for(|came| *came >= count).await.is_err() {
            std::future::pending().await
        }
    }

    /// Waits for something while there is no build to cancel: any wish is for the end.
    ///
    /// # Errors
    /// [`interrupted`].
    pub(crate) async fn or_interrupted<T>(
        &mut self,
        work: impl Future<Output = T>,
    ) -> Result<T, Failure> {
        tokio::select! {
            done = work => Ok(done),
            _ = self.next() => Err(interrupted()),
        }
    }

    /// Waits for something that a build comes out of, which the first wish is kept for.
    ///
    /// # Errors
    /// [`interrupted`], if the build is to be left.
    pub(crate) async fn or_left<T>(&mut self, work: impl Future<Output = T>) -> Result<T, Failure> {
        tokio::select! {
            done = work => Ok(done),
            () = self.leave() => Err(interrupted()),
        }
    }
}

/// The failure of a command whose user wanted its end.
pub(crate) fn interrupted() -> Failure {
    Failure::new(exit::INTERRUPTED, "interrupted")
}
