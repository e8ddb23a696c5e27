//! Durations and shares as people read them: three digits that matter, and a unit.

/// A duration, such as `850 µs`, `12.3 ms`, `2.05 s` or `3 min 20 s`.
pub(crate) fn nanos(nanos: u64) -> String {
    const MICRO: f64 = 1e3;
    const MILLI: f64 = 1e6;
    const SECOND: f64 = 1e9;
    #[expect(clippy::cast_precision_loss, reason = "three digits are shown")]
    let value = nanos as f64;
    // Each bound is where rounding would reach the next unit.
    if nanos < 1_000 {
        format!("{nanos} ns")
    } else if value < 999.5 * MICRO {
        format!("{} µs", digits(value / MICRO))
    } else if value < 999.5 * MILLI {
        format!("{} ms", digits(value / MILLI))
    } else if value < 59.95 * SECOND {
        format!("{} s", digits(value / SECOND))
    } else {
        long(nanos.div_ceil(1_000_000_000 / 2) / 2)
    }
}

fn long(seconds: u64) -> String {
    let (minutes, rest) = (seconds / 60, seconds % 60);
    match (minutes / 60, minutes % 60) {
        (0, minutes) => format!("{minutes} min {rest} s"),
        (hours, minutes) => format!("{hours} h {minutes} min"),
    }
}

fn digits(value: f64) -> String {
    if value < 9.995 {
        format!("{value:.2}")
    } else if value < 99.95 {
        format!("{value:.1}")
    } else {
        format!("{value:.0}")
    }
}

/// A part of a whole, such as `12.3 %`; blank if there is no whole.
pub(crate) fn share(part: u64, whole: u64) -> String {
    if whole == 0 {
        return String::new();
    }
    #[expect(clippy::cast_precision_loss, reason = "one decimal is shown")]
    let percent = part as f64 / whole as f64 * 100.0;
    format!("{percent:.1} %")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_have_three_digits_and_the_unit_that_fits() {
        let shown = [
            (0, "0 ns"),
            (999, "999 ns"),
            (1_500, "1.50 µs"),
            (850_000, "850 µs"),
            (999_600, "1.00 ms"),
            (12_345_678, "12.3 ms"),
            (2_050_000_000, "2.05 s"),
            (59_960_000_000, "1 min 0 s"),
            (200_000_000_000, "3 min 20 s"),
            (7_320_000_000_000, "2 h 2 min"),
        ];
        for (value, text) in shown {
            assert_eq!(nanos(value), text);
        }
    }

    #[test]
    fn a_share_of_nothing_is_blank() {
        assert_eq!(share(1, 8), "12.5 %");
        assert_eq!(share(1, 0), "");
    }
}
