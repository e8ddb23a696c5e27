//! The server over a real listener: on a real store, processor and trace store, with a broker of the test's
//! own on the other side.

#![allow(clippy::unwrap_used, clippy::expect_used)]

mod access;
mod bad_input;
mod builds;
mod commands;
mod console;
mod dashboards;
mod dsns;
mod envelopes;
mod grpc;
mod hangups;
mod live;
mod outline;
mod projects;
mod spans;
mod support;
mod tokens;
mod tool_calls;
mod traces;
