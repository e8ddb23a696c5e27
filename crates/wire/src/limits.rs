//! The sizes that every part holds to. Where a peer may set its own, these are the defaults.

/// The largest event, in bytes of JSON. Larger texts are split and larger tool outputs cut by the runner.
pub const MAX_EVENT_BYTES: usize = 1 << 20;

/// The largest body of one ingest request, in bytes.
pub const MAX_INGEST_BYTES: usize = 8 << 20;

/// The most events of one ingest request.
pub const MAX_INGEST_EVENTS: usize = 1_000;

/// The most events a runner may have unacknowledged on one link.
pub const WINDOW_EVENTS: u32 = 8_192;

/// The most bytes of events a runner may have unacknowledged on one link.
pub const WINDOW_BYTES: u64 = 16 << 20;

/// The most bytes of a `baggage` value that is passed on (W3C Baggage, section 3.3.2).
pub const MAX_BAGGAGE_BYTES: usize = 8_192;

/// The most entries of a `baggage` value that are passed on (W3C Baggage, section 3.3.2).
pub const MAX_BAGGAGE_ENTRIES: usize = 64;

/// The most bytes of text in one row of `generation_notes`.
pub const NOTE_PART_BYTES: usize = 16 << 10;

/// Tool inputs and outputs above this many bytes are cut in a finished build's `raw_state`.
pub const RAW_STATE_FIELD_BYTES: usize = 16 << 10;
