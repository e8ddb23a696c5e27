//! One span's record in a frame: what is written here is read here.
//!
//! | field | written as |
//! | --- | --- |
//! | flags, see the constants | 2 bytes |
//! | trace | its number in the frame's list |
//! | span id; parent's, if flagged | 8 bytes each |
//! | name; op, if flagged | text |
//! | resource | its number in the frame's list |
//! | start | signed, nanoseconds after the start of the span before |
//! | length | number of nanoseconds between start and end; a flag says if the end is the earlier |
//! | error's description, if the status is error | text |
//! | event keys, if flagged | texts: type, project, command, session; `seq`: signed, above that of the span before |
//! | attributes, if flagged | a count; each a text and a value |
//! | links, by the flags | the number of a shared list; or a count, each trace id, span id, attributes |
//! | events, if flagged | a count; each a signed time after the start, a text, attributes |
//! | `tracestate`, if flagged | text |
//!
//! A value is a tag and what the tag calls for, see [`tag`].

/// The bits of a record's flags. Bits 8 to 10 are the kind, bits 11 and 12 the status.
pub(super) mod flag {
    pub(in super::super) const PARENT: u16 = 1;
    pub(in super::super) const PENDING: u16 = 1 << 1;
    pub(in super::super) const EVENT_KEYS: u16 = 1 << 2;
    pub(in super::super) const SHARED_LINKS: u16 = 1 << 3;
    pub(in super::super) const LINKS: u16 = 1 << 4;
    pub(in super::super) const EVENTS: u16 = 1 << 5;
    pub(in super::super) const TRACE_STATE: u16 = 1 << 6;
    pub(in super::super) const ATTRIBUTES: u16 = 1 << 7;
    pub(in super::super) const KIND_SHIFT: u32 = 8;
    pub(in super::super) const STATUS_SHIFT: u32 = 11;
    pub(in super::super) const OP: u16 = 1 << 13;
    pub(in super::super) const ENDS_BEFORE: u16 = 1 << 14;
    pub(in super::super) const STATUS_OK: u16 = 1;
    pub(in super::super) const STATUS_ERROR: u16 = 2;
}

/// The tags of values.
pub(super) mod tag {
    /// No value.
    pub(in super::super) const EMPTY: u8 = 0;
    /// A truth value.
    pub(in super::super) const FALSE: u8 = 1;
    /// The other.
    pub(in super::super) const TRUE: u8 = 2;
    /// A whole number: signed.
    pub(in super::super) const INT: u8 = 3;
    /// A floating-point number: 8 bytes.
    pub(in super::super) const DOUBLE: u8 = 4;
    /// A floating-point number that is a whole number of millionths: that number. Milliseconds that
    /// were measured in nanoseconds are such.
    pub(in super::super) const MILLIONTHS: u8 = 5;
    /// A text of the frame's list.
    pub(in super::super) const TEXT: u8 = 6;
    /// A long text, written here: bytes.
    pub(in super::super) const LONG_TEXT: u8 = 7;
    /// Raw bytes.
    pub(in super::super) const BYTES: u8 = 8;
    /// A list: a count and the values.
    pub(in super::super) const LIST: u8 = 9;
    /// A map: attributes.
    pub(in super::super) const MAP: u8 = 10;
    /// This and the tags above it are the small whole numbers from 0.
    pub(in super::super) const SMALL_INT: u8 = 16;
}

/// The most levels of lists and maps within a value. Requests in OTLP cannot nest deeper than 50, since
/// their readers stop there; what is deeper is cut.
pub(super) const MAX_DEPTH: usize = 64;

/// What is written for a value beyond [`MAX_DEPTH`].
pub(super) const TOO_DEEP: &str = "(nested too deeply)";

/// Texts of values longer than this are written where they stand: they seldom come twice, and finding
/// out would cost more than it saves.
pub(super) const LONG_TEXT_BYTES: usize = 256;

/// What a record leaves to the one before it.
#[derive(Clone, Copy, Default)]
pub(super) struct Before {
    /// The start of the span before, in nanoseconds since the epoch.
    pub(super) start: u64,
    /// `event.seq` of the last span that had event keys.
    pub(super) seq: u64,
}
