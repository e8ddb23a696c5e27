//! The tests that every database behind [`Store`](crate::Store) must pass.
