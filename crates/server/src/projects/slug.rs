//! A project's short name: the name of its folder at a runner, and unique.

/// The longest slug, in characters.
const MAX_CHARS: usize = 63;

/// A slug made of a name: lower case letters, digits and single hyphens; `project` if nothing of the name is
/// left.
pub(super) fn of_name(name: &str) -> String {
    let mut slug = String::new();
    for character in name.chars() {
        let character = character.to_ascii_lowercase();
        if character.is_ascii_alphanumeric() {
            slug.push(character);
        } else if !slug.is_empty() && !slug.ends_with('-') {
            slug.push('-');
        }
        if slug.len() == MAX_CHARS {
            break;
        }
    }
    let slug = slug.trim_end_matches('-');
    if slug.is_empty() {
        return "project".to_owned();
    }
    slug.to_owned()
}

/// The slug with a number behind it, for when it is taken.
pub(super) fn numbered(slug: &str, number: u32) -> String {
    let suffix = format!("-{number}");
    let kept = slug.get(..MAX_CHARS - suffix.len()).unwrap_or(slug);
    format!("{}{suffix}", kept.trim_end_matches('-'))
}

/// Whether a slug that was asked for is one.
pub(super) fn is_valid(slug: &str) -> bool {
    let inner = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    !slug.is_empty()
        && slug.len() <= MAX_CHARS
        && slug.bytes().all(inner)
        && !slug.starts_with('-')
        && !slug.ends_with('-')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slug_is_always_valid() {
        for (name, slug) in [
            ("My App", "my-app"),
            ("  --Ünïcode/../x-- ", "n-code-x"),
            ("///", "project"),
            ("", "project"),
            ("hopline.rs", "hopline-rs"),
        ] {
            assert_eq!(of_name(name), slug);
            assert!(is_valid(&of_name(name)) && is_valid(&numbered(slug, 2)));
        }
        let long = of_name(&"x".repeat(500));
        assert!(is_valid(&long) && is_valid(&numbered(&long, 4_294_967_295)));
        for bad in ["", "-a", "a-", "A", "a/b", "..", "a b", &"x".repeat(64)] {
            assert!(!is_valid(bad), "{bad}");
        }
    }
}
