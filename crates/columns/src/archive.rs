//! Between the folder of segments and the bucket.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use crate::bucket::Bucket;
use crate::name::Name;
use crate::segment::{Segment, SegmentError};
use crate::segments::Segments;

/// How many segments of a bucket are opened at once: each is a request or two, and little work.
const OPENED_AT_ONCE: usize = 16;

/// Opens segments of a bucket by their names and lengths. Answers them in the same order.
pub(crate) fn open_all(
    bucket: &Arc<Bucket>,
    listed: &[(Name, u64)],
) -> Vec<Result<Segment, SegmentError>> {
    let next = AtomicUsize::new(0);
    let open = || {
        let mut opened = Vec::new();
        loop {
            let at = next.fetch_add(1, Ordering::Relaxed);
            let Some((name, bytes)) = listed.get(at) else {
                return opened;
            };
            opened.push((at, Segment::open_in(bucket, name.clone(), *bytes)));
        }
    };
    let mut opened: Vec<_> = std::thread::scope(|scope| {
        let threads = OPENED_AT_ONCE.min(listed.len());
        let opening: Vec<_> = (0..threads).map(|_| scope.spawn(open)).collect();
        let opened = opening.into_iter().flat_map(|thread| {
            let opened = thread.join();
            opened.unwrap_or_else(|panic| std::panic::resume_unwind(panic))
        });
        opened.collect()
    });
    opened.sort_by_key(|(at, _)| *at);
    opened.into_iter().map(|(_, opened)| opened).collect()
}

/// Sends a segment of the folder to the bucket, unless it is to end meanwhile, and has it found there. Its file in the folder is
/// to be removed once nobody reads it.
pub(crate) fn send(
    segments: &Segments,
    bucket: &Arc<Bucket>,
    segment: &Segment,
    ends: &dyn Fn() -> bool,
) -> Result<(), SegmentError> {
    bucket.put(&segment.name, segment.reader()?, ends)?;
    let sent = Segment::open_in(bucket, segment.name.clone(), segment.bytes)?;
    segments.put(sent);
    Ok(())
}
