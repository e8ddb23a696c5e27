//! The processor's settings.

use std::path::PathBuf;
use std::time::Duration;

use hopline_wire::limits;

/// The processor's settings; the defaults suit one machine.
#[derive(Debug, Clone)]
pub struct Options {
    /// The largest event that is taken, in bytes of JSON.
    pub max_event_bytes: usize,
    /// How many bytes of events may be under way at once; more wait.
    pub max_bytes_under_way: usize,
    /// How long a request waits for room before it is handed back.
    pub patience: Duration,
    /// About how many events a group commit takes.
    pub group_events: usize,
    /// About how many bytes of events a group commit takes.
    pub group_bytes: usize,
    /// How long a command without events is kept in memory.
    pub idle_after: Duration,
    /// How long an ended build must be quiet before its full state is written again.
    pub refresh_after: Duration,
    /// How long nothing must be heard of a build whose runner is gone until it counts as failed.
    pub silence: Duration,
    /// How long a linked runner may be silent before it counts as gone.
    pub runner_gone_after: Duration,
    /// How often silent builds are looked for.
    pub watch_every: Duration,
    /// How long the log of a build or command is kept after the last that was heard of it; none: for ever.
    pub log_retention: Option<Duration>,
    /// How often logs that are older are looked for.
    pub retain_every: Duration,
    /// The folder to fold logs again in; where there is none, they cannot be.
    pub scratch: Option<PathBuf>,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            max_event_bytes: limits::MAX_EVENT_BYTES,
            max_bytes_under_way: 32 << 20,
            patience: Duration::from_secs(5),
            group_events: 4_000,
            group_bytes: 16 << 20,
            idle_after: Duration::from_secs(30),
            refresh_after: Duration::from_millis(500),
            silence: Duration::from_secs(30 * 60),
            runner_gone_after: Duration::from_secs(60),
            watch_every: Duration::from_secs(30),
            log_retention: Some(Duration::from_secs(7 * 24 * 3600)),
            retain_every: Duration::from_secs(10 * 60),
            scratch: None,
        }
    }
}
