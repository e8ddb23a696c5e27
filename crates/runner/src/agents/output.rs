//! What a program of a build writes, without the build's secrets.

use std::collections::VecDeque;

use tokio::process::{ChildStderr, ChildStdout};

use super::child::Patience;
use crate::mask::{Mask, StreamMask};
use crate::output::{Chunk, ChunkLimits, OutputReader, OutputStream};
use crate::process::RunningProcess;

/// Both outputs of a program.
pub(super) struct Output {
    reader: OutputReader<ChildStdout, ChildStderr>,
    masks: Masks,
    /// What was held back of outputs that have ended.
    held: VecDeque<Chunk>,
}

/// The masks of both outputs, if there is anything to mask.
pub(super) struct Masks(Option<[StreamMask; 2]>);

impl Masks {
    pub(super) fn new(mask: Option<&Mask>) -> Self {
        Self(mask.map(|mask| [mask.stream(), mask.stream()]))
    }

    /// What can be told of a piece; nothing if all of it may be the beginning of a secret.
    pub(super) fn of(&mut self, mut chunk: Chunk) -> Option<Chunk> {
        if let Some(masks) = &mut self.0 {
            chunk.text = masks[chunk.stream as usize].push(&chunk.text);
        }
        (!chunk.text.is_empty()).then_some(chunk)
    }

    /// What was held back, as nothing more comes.
    pub(super) fn rest(&mut self) -> impl Iterator<Item = Chunk> {
        let masks = self.0.iter_mut().flatten();
        let streams = [OutputStream::Stdout, OutputStream::Stderr];
        let rest = masks.zip(streams).map(|(mask, stream)| Chunk {
            stream,
            text: mask.end(),
        });
        rest.filter(|chunk| !chunk.text.is_empty())
    }
}

impl Output {
    pub(super) fn of(process: &mut RunningProcess, mask: Option<&Mask>) -> Self {
        let (stdout, stderr) = (process.stdout.take(), process.stderr.take());
        Self {
            reader: OutputReader::new(stdout, stderr, ChunkLimits::default()),
            masks: Masks::new(mask),
            held: VecDeque::new(),
        }
    }

    /// The next piece of output; none at the end, or when the patience with a program that has ended is.
    pub(super) async fn next(&mut self, patience: &mut Patience) -> Option<Chunk> {
        loop {
            let chunk = match patience.wait(self.reader.next()).await {
                Some(Ok(chunk)) => chunk,
                // That pipe counts as ended; the other may have more.
                Some(Err(error)) => {
                    tracing::warn!("cannot read a program's output: {error}");
                    continue;
                }
                None => self.reader.rest(),
            };
            let Some(chunk) = chunk else {
                self.held.extend(self.masks.rest());
                return self.held.pop_front();
            };
            patience.took(chunk.text.len());
            if let Some(chunk) = self.masks.of(chunk) {
                return Some(chunk);
            }
        }
    }
}
