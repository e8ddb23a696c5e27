//! Spans at rest: columns in memory (Arrow) and on disk (Parquet), found by trace id.
//!
//! - [`schema`] is what the columns are, [`rows`] makes them of spans and [`spans`] makes spans of them;
//! - [`Segments`] are the files that there are, which the trace log asks for what was taken over from it;
//! - [`Settler`] takes over in the background, merges segments and removes old ones;
//! - a [`Bucket`] is where segments go that are merged no further, if there is one;
//! - [`write_file`] and [`read_file`] are for files of somebody's own;
//! - [`Columns`] are all spans at one moment, for whoever asks questions.

#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used))]

mod archive;
mod bucket;
mod exchange;
mod file;
mod group;
mod merge;
mod name;
mod recent;
pub mod rows;
mod runs;
pub mod schema;
mod segment;
mod segments;
mod settle;
mod size;
pub mod spans;
mod values;

pub use bucket::Bucket;
pub use exchange::{read_file, write_file};
pub use recent::{Columns, SegmentFile, Snapshot};
pub use rows::Rows;
pub use segments::Segments;
pub use settle::{SettleOptions, Settler};
pub use spans::spans_of;
