//! What each command does.

pub(crate) mod apart;
pub(crate) mod build;
pub(crate) mod builds;
pub(crate) mod credentials;
pub(crate) mod dsn;
pub(crate) mod export;
pub(crate) mod import;
pub(crate) mod known;
pub(crate) mod look;
pub(crate) mod outcome;
pub(crate) mod query;
pub(crate) mod rebuild;
pub(crate) mod run;
pub(crate) mod signals;
pub(crate) mod spool;
pub(crate) mod status;
pub(crate) mod target;
pub(crate) mod token;
pub(crate) mod trace;
pub(crate) mod up;
pub(crate) mod work;
