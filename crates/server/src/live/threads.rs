//! The threads of live updates.
//!
//! Telling a thousand clients of one flush is a thousand writes to sockets. On the threads that take events in, those would
//! stand in front of the next events; so live updates have threads of their own, which the system lets run after others.
//! Rows are read for them on the other threads ([`super::Hub::at_home`]): whoever runs after others must hold nothing
//! meanwhile that those wait for, a connection to the database above all.

use std::io;

use tokio::runtime::{Builder, Handle, Runtime};

/// The threads, which end when this is let go.
pub(crate) struct Threads(Option<Runtime>);

impl Threads {
    /// Starts as many as half the processors.
    ///
    /// # Errors
    /// If the system gives no thread.
    pub(crate) fn start() -> io::Result<Self> {
        let processors = std::thread::available_parallelism().map_or(1, usize::from);
        let runtime = Builder::new_multi_thread()
            .worker_threads((processors / 2).max(1))
            .thread_name("hopline-live")
            .on_thread_start(be_nicer)
            .enable_all()
            .build()?;
        Ok(Self(Some(runtime)))
    }

    /// To start tasks on them.
    pub(crate) fn handle(&self) -> Handle {
        // It is taken when this is let go, and not before.
        self.0
            .as_ref()
            .map_or_else(Handle::current, |runtime| runtime.handle().clone())
    }
}

impl Drop for Threads {
    fn drop(&mut self) {
        if let Some(runtime) = self.0.take() {
            // Nobody waits here: this may be a thread that must not.
            runtime.shutdown_background();
        }
    }
}

/// Linux has a priority for each thread, others for the process only.
fn be_nicer() {
    #[cfg(target_os = "linux")]
    if let Err(error) = rustix::process::nice(10) {
        tracing::debug!(%error, "the threads of live updates are as urgent as others");
    }
}

/// Lets others have the processor that wait for it. A low priority alone gives them more of it, but not at once: what runs
/// is left to run for a few milliseconds, which is as long as a commit.
pub(super) fn give_way() {
    std::thread::yield_now();
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;

    #[test]
    fn clients_are_served_on_threads_that_let_others_go_first() {
        let urgency = || rustix::process::getpriority_process(None).unwrap();
        let threads = Threads::start().unwrap();
        let handle = threads.handle();
        let served = handle.spawn(async move {
            let name = std::thread::current().name().map(str::to_owned);
            (name, urgency())
        });
        let (name, of_clients) = handle.block_on(served).unwrap();
        assert_eq!(name.as_deref(), Some("hopline-live"));
        assert_eq!(of_clients, (urgency() + 10).min(19));
    }
}
