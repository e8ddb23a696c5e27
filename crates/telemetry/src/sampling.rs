//! The decision whether a trace is recorded: made once, at the trace's head, and obeyed by every hop.

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

    /// The decision about a trace that came undecided: by the random number of its head and the
    /// head's rate, or this sampler's where the head named none. All hops that see the same context decide
    /// alike.
    #[must_use]
    pub fn decide_received(&self, context: Option<&SamplingContext>) -> bool {
        if let Some(sampled) = context.and_then(|context| context.sampled) {
            return sampled;
        }
        let rate = context
            .and_then(|context| context.sample_rate)
            .unwrap_or(self.rate);
        let sample_rand = context.and_then(|context| context.sample_rand);
        sample_rand.unwrap_or_else(|| rand::rng().random()) < rate
    }
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
        assert!(sampler.decide_received(Some(&context(0.49))));
        assert!(!sampler.decide_received(Some(&context(0.5))));
        let without_rate = SamplingContext {
            sample_rand: Some(0.49),
            ..SamplingContext::default()
        };
        assert!(!sampler.decide_received(Some(&without_rate)));
        assert!(Sampler::new(1.0).decide_received(None));
    }
}
