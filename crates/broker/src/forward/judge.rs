//! What an answer means for each event of a request: its stay has ended, or it waits again.

use std::time::Duration;

use hopline_wire::Timestamp;
use hopline_wire::span::Text;
use tokio::time::Instant;

use super::reply::Reply;
use super::transport::Delivered;
use super::upstream::{Pauses, Peer};
use crate::hub::{Fate, Held, Judged, Part, Refusals, Taken};

/// A lane of which so many events may go at once again is bounded no longer.
const MANY_EVENTS: usize = 512;

/// An answer, and what is known about its request.
pub(super) struct Judge<'a> {
    pub(super) delivered: &'a Delivered,
    /// Whether the request was a single object.
    pub(super) single: bool,
    /// Whether it carried one event.
    pub(super) alone: bool,
    pub(super) peer: Peer,
    pub(super) at: Timestamp,
    /// Whether the events' spans were shown unfinished meanwhile.
    pub(super) shown: bool,
    pub(super) pauses: Pauses,
    /// What the server has taken by now.
    pub(super) taken: Taken,
    pub(super) now: Instant,
    /// See [`crate::Options::refused_for`].
    pub(super) refused_for: Duration,
}

impl Judge<'_> {
    /// Judges the events of one lane.
    pub(super) fn judge(&self, part: Part) -> Judged {
        let Part {
            lane,
            runner,
            command,
            acks,
            most,
            refusals,
            mut events,
        } = part;
        if self.shown {
            events.iter_mut().for_each(|held| held.shown = true);
        }
        let mut judged = Judged {
            lane,
            runner,
            command,
            finished: Vec::with_capacity(events.len()),
            back: Vec::new(),
            settled: None,
            gap: None,
            pause: None,
            most,
            refusals,
        };
        match self.delivered {
            Delivered::Judged(reply) => self.by_reply(&mut judged, events, reply, acks),
            Delivered::Taken if self.single => {
                for held in events {
                    judged.finish(held, Fate::Settled);
                }
            }
            // An array was taken by a server that does not say what of it: each goes alone again.
            Delivered::Taken => self.back(&mut judged, events, &Text::Static("unacknowledged")),
            Delivered::TooLarge => self.too_large(&mut judged, events),
            Delivered::Unavailable { error, .. } | Delivered::Forbidden { error } => {
                self.back(&mut judged, events, error);
            }
            Delivered::Failed { error, lasting } => {
                self.refused(&mut judged, events, error, *lasting);
                return judged;
            }
        }
        if !judged.finished.is_empty() {
            judged.refusals = Refusals::default();
            judged.most = most
                .map(|most| most.saturating_mul(2))
                .filter(|most| *most < MANY_EVENTS);
        }
        judged
    }

    /// The server could not take the request: each lane goes on alone, with one event at first, so that the one that it
    /// cannot take is found. When that one is hopeless, it goes no further.
    fn refused(&self, judged: &mut Judged, events: Vec<Held>, error: &Text, lasting: bool) {
        judged.most = Some(1);
        if !self.alone {
            self.back(judged, events, error);
            return judged.rest(self.pauses, lasting);
        }
        judged.refusals.refused(self.taken, self.now);
        for mut held in events {
            let refusals = &judged.refusals;
            let hopeless = refusals.are_hopeless(self.now, self.refused_for)
                // The original's server refuses for good by a status only.
                || (lasting && self.peer == Peer::Plain && refusals.are_many());
            // That a number is gone the server must take, or nothing of the command can ever go on.
            let stands_in =
                held.replaced.is_some() && held.seq.is_some() && self.peer != Peer::Plain;
            if !hopeless || stands_in {
                self.back(judged, vec![held], error);
                judged.rest(self.pauses, lasting);
                continue;
            }
            tracing::error!(
                runner = &*judged.runner,
                command = &*judged.command,
                seq = held.seq,
                %error,
                "the server refuses an event for good; it is given up"
            );
            judged.refusals.given_up();
            let why = format!("the server refuses the event: {error}");
            if held.seq.is_some() && self.peer != Peer::Plain {
                held.stand_in(&judged.command, "refused", &why, self.at);
                self.back(judged, vec![held], error);
            } else {
                let (code, error) = ("refused".into(), why.into());
                judged.finish(held, Fate::Rejected { code, error });
            }
        }
    }

    fn back(&self, judged: &mut Judged, events: Vec<Held>, error: &Text) {
        judged.back.extend(events);
        for held in &mut judged.back {
            held.failed(error, self.at);
        }
    }

    /// Events leave in order: behind the first one that stays, all numbered ones stay.
    fn by_reply(&self, judged: &mut Judged, events: Vec<Held>, reply: &Reply, acks: bool) {
        let command = judged.command.clone();
        let acked = reply.acked(&command).unwrap_or(0);
        judged.gap = reply.gap(&command);
        // Of events without a number the answer does not say which it means, unless it means all.
        let unnumbered = events.iter().filter(|held| held.seq.is_none()).count();
        let all_refused = reply.unnumbered_rejections(&command) >= unnumbered;
        let before_gap = judged.gap.map_or(0, |gap| gap.saturating_sub(1));
        for mut held in events {
            let rejection = reply
                .rejection(&command, held.seq)
                .filter(|_| held.seq.is_some() || all_refused);
            let fate = match (rejection, held.seq) {
                (Some(rejected), _) => Some(Fate::Rejected {
                    code: rejected.code.clone().into(),
                    error: rejected.error.clone().into(),
                }),
                (None, None) => reply.applied.then_some(Fate::Settled),
                (None, Some(seq)) => (seq <= acked.max(before_gap)).then_some(Fate::Settled),
            };
            // A runner that cannot send again cannot fill a gap.
            let lost = !acks && judged.gap.is_some() && held.seq.is_some();
            let stays = judged.back.iter().any(|held| held.seq.is_some()) && held.seq.is_some();
            match fate {
                Some(fate) if !stays => judged.finish(held, fate),
                None if lost => judged.finish(
                    held,
                    Fate::Rejected {
                        code: "gap".into(),
                        error: "an event before it never came".into(),
                    },
                ),
                _ => {
                    held.failed(&Text::Static("not_settled"), self.at);
                    judged.back.push(held);
                }
            }
        }
        judged.rest(self.pauses, false);
    }

    fn too_large(&self, judged: &mut Judged, events: Vec<Held>) {
        if !self.alone {
            return self.back(judged, events, &Text::Static("413"));
        }
        for mut held in events {
            // The server has to hear of the number, or all that follow would come after a gap. One that
            // knows no numbers does not.
            if held.seq.is_some() && held.replaced.is_none() && self.peer != Peer::Plain {
                let why = format!("the event has {} bytes", held.json.len());
                held.stand_in(&judged.command, "too_large", &why, self.at);
                self.back(judged, vec![held], &Text::Static("413"));
                continue;
            }
            let fate = if held.replaced.is_some() {
                Fate::Settled
            } else {
                Fate::Rejected {
                    code: "too_large".into(),
                    error: "the server finds the event too large".into(),
                }
            };
            judged.finish(held, fate);
        }
    }
}

impl Judged {
    fn finish(&mut self, held: Held, fate: Fate) {
        self.settled = self.settled.max(held.seq);
        self.finished.push((held, fate));
    }

    /// Lets the lane rest if some of it has to go again.
    fn rest(&mut self, pauses: Pauses, lasting: bool) {
        self.pause = self
            .back
            .first()
            .map(|held| pauses.after(held.attempts, lasting));
    }
}
