//! The trace store. (Being built.)

#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used))]

mod frame;

#[cfg(test)]
mod testing;
