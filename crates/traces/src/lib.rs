//! The trace store: spans in, kept on disk, found by trace.
//!
//! - [`store`] is the trait that everything else sees; [`log`] is the store behind it;
//! - [`ingest`] reads what other programs send over HTTP, and writes the answers;
//! - [`tree`] and [`path`] make of a trace's spans what people look at: the tree, and the way of each
//!   event through its hops. They are pure, and know no store;
//! - [`outline`] is a trace as columns, for views that draw all of it;
//! - [`questions`] is what others see of a query engine, which is a crate of its own;
//! - [`overview`] is what a trace comes to in a few figures, however large it is.
//!
//! The crate knows spans as `hopline_wire` has them and nothing else of Hopline.

#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used))]

mod frame;
pub mod ingest;
pub mod jaeger;
mod lines;
pub mod log;
pub mod outline;
pub mod overview;
pub mod path;
pub mod questions;
pub mod store;
pub mod tree;

#[cfg(any(test, feature = "testing"))]
pub mod testing;

pub use lines::{LinesError, write_spans};
pub use log::{LogOptions, LogSegment, LogStore, Older, OlderStats, Opened, Stretch};
pub use overview::Overview;
pub use store::{Appended, Durability, Part, Stats, Trace, TraceStore, TracesError};
