//! Making events: numbered, stamped, written once as JSON, and handed to the outbox in batches.
//!
//! Each command has one [`Stream`] (who the events belong to, prepared for writing) and any number of clones
//! of one [`Emitter`], which numbers its events from 1 without gaps. An event's JSON is written
//! where it is made and never touched again. When the outbox is full the emitter waits, and with it whoever reads
//! the program's pipe.
//!
//! Texts over the size of an event are split, tool inputs and outputs cut in the middle ([`oversize`]).

mod emitter;
mod json;
mod oversize;
mod stamp;
mod stream;

pub(crate) use emitter::{Batch, Emitter, Failure, TooLarge};
pub(crate) use json::{Members, object};
pub(crate) use oversize::hex;
pub(crate) use stamp::Stamp;
pub(crate) use stream::{EventSpan, Origin, Stream, TracingTable, seq_member};
