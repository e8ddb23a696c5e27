//! Live updates to browsers: `GET /ws`, a WebSocket.
//!
//! ```text
//! processor's feed ─▶ room (one per build or project followed) ─▶ each client's queue ─▶ its socket
//! ```
//!
//! - A [`room`](hub) gathers changes for 50 ms (todos go at once), writes them as one text, and hands the same
//!   text to every client. What a change costs does not grow with the clients.
//! - A [`client`] has a queue bounded by bytes. One that does not keep up loses what waits and gets a
//!   [`snapshot`] in its place.
//! - Nothing here is waited for by the processor: the feed has a queue for each room, and a room that does not
//!   keep up is told so and sends snapshots.
//!
//! What every client may rely on: `seq` in an update is the last event included, updates of a build come in
//! order, and a snapshot and the updates after it leave no hole.

mod batch;
mod client;
mod flush;
mod hub;
mod queue;
mod recent;
mod snapshot;
mod socket;
mod threads;

pub(crate) use hub::Hub;
pub(crate) use snapshot::Snapshots;
pub(crate) use socket::{__path_live_updates, live_updates};
pub(crate) use threads::Threads;
