//! What was probably meant by a word that is not known.

/// The one of these that is nearest to a word, if it is near.
pub(crate) fn nearest<'a>(word: &str, all: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    // Nobody mistypes a long text for a short one, and comparing takes their product.
    if word.len() > 64 {
        return None;
    }
    let word = word.to_ascii_lowercase();
    let distances = all.into_iter().map(|known| (distance(&word, known), known));
    let (distance, known) = distances.min_by_key(|(distance, _)| *distance)?;
    (distance <= known.len().max(word.len()) / 3).then_some(known)
}

/// How many letters are to be added, left out, changed or swapped with their neighbour to make one word of the other.
fn distance(a: &str, b: &str) -> usize {
    let (a, b): (Vec<char>, Vec<char>) = (a.chars().collect(), b.chars().collect());
    let mut before: Vec<usize> = Vec::new();
    let mut last: Vec<usize> = (0..=b.len()).collect();
    for i in 1..=a.len() {
        let mut row = vec![i];
        for j in 1..=b.len() {
            let changed = last[j - 1] + usize::from(a[i - 1] != b[j - 1]);
            let mut least = changed.min(last[j] + 1).min(row[j - 1] + 1);
            if i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] {
                least = least.min(before[j - 2] + 1);
            }
            row.push(least);
        }
        before = std::mem::replace(&mut last, row);
    }
    last[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slip_is_understood_and_a_guess_is_not_made() {
        let known = ["count", "count_unique", "avg", "order", "where", "by"];
        for (word, meant) in [
            ("cuont", Some("count")),
            ("counts", Some("count")),
            ("COUNT_UNIQ", Some("count_unique")),
            ("oder", Some("order")),
            ("wher", Some("where")),
            ("agv", Some("avg")),
            ("median", None),
            ("", None),
        ] {
            assert_eq!(nearest(word, known), meant, "{word}");
        }
    }
}
