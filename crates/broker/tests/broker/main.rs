//! The broker between a runner and a server, over real sockets.

#![allow(clippy::unwrap_used, clippy::expect_used)]

mod edge;
mod forwarding;
mod links;
mod refusals;
mod support;
mod tokens;
mod tracing;
