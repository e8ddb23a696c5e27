//! Hopline's edge: everything that comes in over HTTP and WebSocket, and nothing else.
//!
//! - `hosts` and `access` ask every request under which name it came, from which page, and with which
//!   credential, before anything else happens;
//! - `requests_under_way` counts requests, and hears refused ones out, so that they get their answer;
//! - `ingest` takes events from brokers, and settles them through the processor;
//! - `projects`, `builds`, `files` and `devserver` turn requests into `commands`, which are sent to
//!   runners through their brokers;
//! - `dashboards` keeps what people look at again and again;
//! - `live` carries committed changes to browsers;
//! - `traces` takes spans in and gives traces out;
//! - `status` says how the server is doing;
//! - `console` serves the pages that people look at, `base_path` below whichever path a proxy has them;
//! - `representation` says which form of an answer a client takes, and whether it has it;
//! - `openapi` holds the routes and their description, `metrics` what is counted, `errors` what a
//!   request gets that cannot be served.
//!
//! The server keeps no rows of its own: what is true is in the store, what is settled comes from the
//! processor. Brokers and runners it knows by their addresses alone. Formats are described in `docs/wire.md`.

#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used))]

mod access;
mod app;
mod base_path;
mod builds;
mod commands;
pub mod console;
mod dashboards;
mod devserver;
mod dsns;
mod errors;
mod extract;
mod files;
mod hosts;
mod ingest;
mod live;
mod metrics;
mod openapi;
mod options;
mod projects;
mod representation;
mod requests;
mod requests_under_way;
mod runner_tokens;
mod runners;
mod server;
mod status;
mod traces;

pub use base_path::BasePath;
pub use options::{LiveOptions, Options, Parts, Secrets, TraceMode};
pub use server::{Handle, SHUTDOWN, Server, ServerError};
