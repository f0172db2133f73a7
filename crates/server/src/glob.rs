//! Patterns of keys, channels and names, as Redis matches them.

/// Whether all of a text is as a pattern says: `*` is anything, `?` one byte, `[a-c]` one of these, `[^a-c]` none of these, and what
/// follows `\` is itself. Takes O(pattern × text) at most, whatever the pattern.
pub(crate) fn matches(pattern: &[u8], text: &[u8], ignores_case: bool) -> bool {
    let (mut rest, mut left) = (pattern, text);
    // After the last star, and what was left of the text when it was met. Stars before it need not take more than they did.
    let mut star: Option<(&[u8], &[u8])> = None;
    loop {
        if let [b'*', after @ ..] = rest {
            rest = after;
            if rest.is_empty() {
                return true;
            }
            star = Some((rest, left));
            continue;
        }
        match (one(rest, left, ignores_case), left) {
            (Some(after), [_, next @ ..]) => (rest, left) = (after, next),
            _ if rest.is_empty() && left.is_empty() => return true,
            _ => match star {
                // The star takes one byte more.
                Some((after, [_, next @ ..])) => {
                    (rest, left) = (after, next);
                    star = Some((after, next));
                }
                _ => return false,
            },
        }
    }
}

/// What comes after the part of a pattern that stands for one byte, if the first of a text is as that says.
fn one<'p>(pattern: &'p [u8], text: &[u8], ignores_case: bool) -> Option<&'p [u8]> {
    let fold = |byte: u8| match ignores_case {
        true => byte.to_ascii_lowercase(),
        false => byte,
    };
    let byte = fold(*text.first()?);
    match pattern {
        [] => None,
        [b'?', rest @ ..] => Some(rest),
        [b'[', rest @ ..] => {
            let (is_in, rest) = class(rest, byte, fold);
            is_in.then_some(rest)
        }
        [b'\\', literal, rest @ ..] | [literal, rest @ ..] => {
            (fold(*literal) == byte).then_some(rest)
        }
    }
}

/// Whether a byte is in a class, and what comes after that. One that does not end, ends with the pattern.
fn class(mut rest: &[u8], byte: u8, fold: impl Fn(u8) -> u8) -> (bool, &[u8]) {
    let is_negated = rest.first() == Some(&b'^');
    if is_negated {
        rest = &rest[1..];
    }
    let mut is_in = false;
    loop {
        rest = match rest {
            [] => break,
            [b']', after @ ..] => {
                rest = after;
                break;
            }
            [b'\\', literal, after @ ..] => {
                is_in |= fold(*literal) == byte;
                after
            }
            [from, b'-', to, after @ ..] => {
                let (from, to) = (fold(*from), fold(*to));
                is_in |= (from.min(to)..=from.max(to)).contains(&byte);
                after
            }
            [literal, after @ ..] => {
                is_in |= fold(*literal) == byte;
                after
            }
        };
    }
    (is_in != is_negated, rest)
}

/// What every text that a pattern means begins with: keys are in order, so others need not be looked at.
pub(crate) fn prefix(pattern: &[u8]) -> Vec<u8> {
    let (mut prefix, mut rest) = (Vec::new(), pattern);
    loop {
        rest = match rest {
            [] | [b'*' | b'?' | b'[', ..] => return prefix,
            [b'\\', meant, rest @ ..] | [meant, rest @ ..] => {
                prefix.push(*meant);
                rest
            }
        };
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// By trying everything that a `*` may stand for.
    fn plainly(pattern: &[u8], text: &[u8]) -> bool {
        match (pattern, text) {
            ([b'*', rest @ ..], _) => (0..=text.len()).any(|at| plainly(rest, &text[at..])),
            ([], []) => true,
            (pattern, [byte, text @ ..]) => {
                one(pattern, &[*byte], false).is_some_and(|rest| plainly(rest, text))
            }
            (_, []) => false,
        }
    }

    fn is(pattern: &str, text: &str) -> bool {
        matches(pattern.as_bytes(), text.as_bytes(), false)
    }

    #[test]
    fn patterns_match_as_in_redis() {
        for (pattern, text) in [
            ("*", ""),
            ("h?llo", "hello"),
            ("h*llo", "heeeello"),
            ("h*llo", "hllo"),
            ("h[ae]llo", "hallo"),
            ("h[^e]llo", "hallo"),
            ("h[b-a]llo", "hallo"),
            ("a\\*b", "a*b"),
            ("a[\\]]b", "a]b"),
            ("*.*.c", "a.b.b.c"),
            ("a[bc", "ac"),
            ("**a**", "bab"),
            ("", ""),
            ("\\", "\\"),
            ("[^a", "b"),
            ("[a-]", "^"),
        ] {
            assert!(is(pattern, text), "{pattern} {text}");
        }
        for (pattern, text) in [
            ("", "a"),
            ("a", ""),
            ("h?llo", "hllo"),
            ("h[^e]llo", "hello"),
            ("a\\*b", "axb"),
            ("*a", "ab"),
            ("[a]", ""),
            ("A", "a"),
            ("[", "["),
            ("[]a", "a"),
            ("[a-]", "-"),
        ] {
            assert!(!is(pattern, text), "{pattern} {text}");
        }
        assert!(matches(b"GET*", b"getex", true));
        assert!(matches(b"[A-C]", b"b", true));
    }

    #[test]
    fn a_pattern_of_many_stars_does_not_take_for_ever() {
        let pattern = "a*".repeat(1000) + "b";
        assert!(!is(&pattern, &"a".repeat(20_000)));
    }

    proptest! {
        #[test]
        fn the_quick_way_finds_what_the_plain_one_does(
            pattern in r"[ab*?\[\]^\\-]{0,9}",
            text in r"[ab\[\]^\\-]{0,9}",
        ) {
            let (pattern, text) = (pattern.as_bytes(), text.as_bytes());
            prop_assert_eq!(matches(pattern, text, false), plainly(pattern, text));
            prop_assert!(!matches(pattern, text, false) || text.starts_with(&prefix(pattern)));
        }

        #[test]
        fn any_bytes_will_do(pattern: Vec<u8>, text: Vec<u8>) {
            let _either = matches(&pattern, &text, true);
        }
    }
}
