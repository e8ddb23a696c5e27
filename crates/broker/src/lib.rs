//! The hub between runners and the server: takes events from runners' links, forwards them in order,
//! acknowledges what the server has settled, and carries commands the other way.
//!
//! An event's way through this crate, and what holds at each step:
//! 1. `link` reads a frame, cuts it into events and reads their heads. Nothing is promised yet.
//! 2. `hub` puts each event at the end of its command's *lane*: a queue in memory, in order, bounded
//!    by bytes. A full hub stops reading from links; it never drops an event to make room.
//! 3. `forward` takes what waits in many lanes into one request, stamps each event with the broker's
//!    own span and the connection it came on, and posts it. A lane is in at most one request at a time.
//! 4. The server's answer settles events: committed, or refused for good. Only then is `events-acked`
//!    sent. Whatever else the answer says, the events go back to the head of their lane.
//!
//! The broker keeps nothing on disk. When it dies, runners of `hopline.v1` send again what was not
//! acknowledged; what a legacy runner had sent is lost, as it was with the original.
//!
//! `edge` is the HTTP surface around it. The crate knows the server only by its address.

#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used))]

mod broker;
mod counters;
mod edge;
mod error;
mod forward;
mod hub;
mod link;
mod options;
mod reach;
mod tokens;

pub use broker::{Broker, Handle, ShutdownReport};
pub use error::BrokerError;
pub use options::Options;
