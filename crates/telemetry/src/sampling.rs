//! The decision whether a trace is recorded: made once, at the trace's head, and obeyed by every hop.

use hopline_wire::TraceId;
use hopline_wire::baggage::SamplingContext;
use rand::RngExt;

/// Decides new traces, and those that came undecided.
#[derive(Debug, Clone)]
pub struct Sampler {
    rate: f64,
}

impl Sampler {
    /// A sampler that records this share of traces: from 0 to 1, anything outside taken as the nearer end.
    #[must_use]
    pub fn new(rate: f64) -> Self {
        Self {
            rate: if rate.is_nan() {
                1.0
            } else {
                rate.clamp(0.0, 1.0)
            },
        }
    }

    /// The decision about a new trace, as the beginning of its sampling context.
    #[must_use]
    pub fn decide_new(&self) -> SamplingContext {
        // Six digits are what travels, so the decision is made by what travels.
        let sample_rand = f64::from(rand::rng().random_range(0..1_000_000_u32)) / 1_000_000.0;
        SamplingContext {
            sample_rate: Some(self.rate),
            sample_rand: Some(sample_rand),
            sampled: Some(sample_rand < self.rate),
            ..SamplingContext::default()
        }
    }

    /// The decision about a trace that came undecided: by the random number of its head, or the one that its id
    /// stands for, and the head's rate, or this sampler's where the head named none. So every event of a trace is
    /// decided alike, and by every hop of one rate.
    #[must_use]
    pub fn decide_received(&self, trace_id: TraceId, context: Option<&SamplingContext>) -> bool {
        if let Some(sampled) = context.and_then(|context| context.sampled) {
            return sampled;
        }
        let rate = context
            .and_then(|context| context.sample_rate)
            .unwrap_or(self.rate);
        let sample_rand = context.and_then(|context| context.sample_rand);
        sample_rand.unwrap_or_else(|| number_of(trace_id)) < rate
    }
}

/// The number from 0 to below 1 that a trace's id stands for. OpenTelemetry takes the last seven bytes for random
/// ("TraceState: Probability Sampling") and records a trace when they reach `1 - rate`; with this number its samplers
/// and ours decide alike.
fn number_of(trace_id: TraceId) -> f64 {
    // As many of the seven bytes' bits as a number holds without rounding up to 1.
    const STEPS: u64 = 1 << 52;
    let [.., a, b, c, d, e, f, g] = trace_id.to_bytes();
    let last = u64::from_be_bytes([0, a, b, c, d, e, f, g]) >> 4;
    #[expect(
        clippy::cast_precision_loss,
        reason = "both are within what is held exactly"
    )]
    let number = (STEPS - 1 - last) as f64 / STEPS as f64;
    number
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_new_trace_is_sampled_exactly_when_its_number_is_below_the_rate() {
        for rate in [0.0, 0.3, 1.0] {
            let sampler = Sampler::new(rate);
            for _ in 0..500 {
                let context = sampler.decide_new();
                let (rand, sampled) = (context.sample_rand.unwrap(), context.sampled.unwrap());
                assert!((0.0..1.0).contains(&rand));
                assert_eq!(rand < rate, sampled);
            }
        }
    }

    #[test]
    fn an_undecided_trace_is_decided_by_the_number_of_its_head() {
        let context = |rand| SamplingContext {
            sample_rate: Some(0.5),
            sample_rand: Some(rand),
            ..SamplingContext::default()
        };
        let sampler = Sampler::new(0.0);
        let id = crate::ids::new_trace_id();
        assert!(sampler.decide_received(id, Some(&context(0.49))));
        assert!(!sampler.decide_received(id, Some(&context(0.5))));
        let without_rate = SamplingContext {
            sample_rand: Some(0.49),
            ..SamplingContext::default()
        };
        assert!(!sampler.decide_received(id, Some(&without_rate)));
        assert!(Sampler::new(1.0).decide_received(id, None));
    }

    #[test]
    fn an_undecided_trace_without_a_number_is_decided_by_its_id_and_each_time_alike() {
        let sampler = Sampler::new(0.5);
        let mut recorded = 0;
        for _ in 0..1_000 {
            let id = crate::ids::new_trace_id();
            let first = sampler.decide_received(id, None);
            assert!((0..10).all(|_| sampler.decide_received(id, None) == first));
            assert!(Sampler::new(1.0).decide_received(id, None));
            assert!(!Sampler::new(0.0).decide_received(id, None));
            recorded += u32::from(first);
        }
        assert!((350..650).contains(&recorded), "{recorded} of 1000");
    }

    #[test]
    fn an_id_stands_for_the_number_that_opentelemetry_sees_in_it() {
        let decided =
            |id: &str, rate| Sampler::new(rate).decide_received(id.parse().unwrap(), None);
        // The last seven bytes are three quarters of their range: recorded from a rate of a quarter on.
        let id = "00000000000000000bc0000000000000";
        assert!(decided(id, 0.26) && !decided(id, 0.24));
        let lowest = "0000000000000000ff00000000000000";
        let highest = "000000000000000000ffffffffffffff";
        assert!(decided(lowest, 1.0) && !decided(lowest, 0.999));
        assert!(decided(highest, 0.001) && !decided(highest, 0.0));
    }
}
