//! What the broker has to say to a runner besides commands. Acknowledgements are cumulative, so the
//! newest per command stands for those before it: however slow the runner reads, little waits.

use std::collections::HashMap;
use std::sync::Arc;

use hopline_wire::link::{EventsAcked, LinkFrame, Resend};
use parking_lot::Mutex;
use tokio::sync::Notify;

use super::Closing;

/// See the module.
#[derive(Default)]
pub(crate) struct Outbox {
    state: Mutex<State>,
    changed: Notify,
}

#[derive(Default)]
struct State {
    first: Vec<String>,
    acks: HashMap<Arc<str>, u64>,
    resends: HashMap<Arc<str>, u64>,
    closing: Option<Closing>,
}

/// What is to be written now.
pub(super) enum Say {
    /// These frames.
    Frames(Vec<String>),
    /// These frames, and then nothing more.
    Last(Vec<String>, Closing),
}

impl Outbox {
    /// Says this before all else.
    pub(super) fn say(&self, frame: &LinkFrame) {
        self.state.lock().first.push(json(frame));
        self.changed.notify_one();
    }

    /// Acknowledges a command's events up to `seq`.
    pub(crate) fn ack(&self, command: &Arc<str>, seq: u64) {
        let mut state = self.state.lock();
        if let Some(there) = state.acks.get_mut(command) {
            *there = seq.max(*there);
        } else {
            state.acks.insert(Arc::clone(command), seq);
        }
        drop(state);
        self.changed.notify_one();
    }

    /// Asks for a command's events from `seq` on.
    pub(crate) fn resend(&self, command: &Arc<str>, seq: u64) {
        self.state.lock().resends.insert(Arc::clone(command), seq);
        self.changed.notify_one();
    }

    /// Closes the link once everything else is said.
    pub(crate) fn close(&self, closing: Closing) {
        self.state.lock().closing.get_or_insert(closing);
        self.changed.notify_one();
    }

    /// Waits until there is something to say.
    pub(super) async fn next(&self) -> Say {
        loop {
            let changed = self.changed.notified();
            if let Some(say) = self.take() {
                return say;
            }
            changed.await;
        }
    }

    fn take(&self) -> Option<Say> {
        let (first, acks, resends, closing) = {
            let mut state = self.state.lock();
            (
                std::mem::take(&mut state.first),
                std::mem::take(&mut state.acks),
                std::mem::take(&mut state.resends),
                state.closing.take(),
            )
        };
        let mut frames = first;
        frames.extend(acks.iter().map(|(command, seq)| {
            json(&LinkFrame::EventsAcked(EventsAcked {
                command_id: command.to_string(),
                seq: *seq,
            }))
        }));
        frames.extend(resends.iter().map(|(command, seq)| {
            json(&LinkFrame::Resend(Resend {
                command_id: command.to_string(),
                seq: *seq,
            }))
        }));
        match closing {
            Some(closing) => Some(Say::Last(frames, closing)),
            None if frames.is_empty() => None,
            None => Some(Say::Frames(frames)),
        }
    }
}

fn json(frame: &LinkFrame) -> String {
    // Texts and numbers serialise without fail.
    serde_json::to_string(frame).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn acknowledgements_of_one_command_are_merged_until_they_are_written() {
        let outbox = Outbox::default();
        let command: Arc<str> = "c".into();
        for seq in [3, 9, 7] {
            outbox.ack(&command, seq);
        }
        let Say::Frames(frames) = outbox.next().await else {
            panic!("the link was not closed");
        };
        assert_eq!(
            frames,
            [r#"{"type":"events-acked","commandId":"c","seq":9}"#]
        );
    }
}
