//! Bytes as people may read them. Keys and values are of anybody's making: what could act on a terminal, or turn the direction of what
//! stands beside it, is shown as what it is.

use std::fmt::Write as _;

/// Printable characters as they are; `\xNN` for bytes that are no text, `\u{…}` for what cannot be seen, and `\\` for a backslash, so that it can be
/// told from these. No more than the first `limit` bytes; whether there were more is for the caller to say.
pub(crate) fn escaped(bytes: &[u8], limit: usize) -> String {
    let kept = bytes.get(..limit).unwrap_or(bytes);
    let mut text = String::with_capacity(kept.len());
    for chunk in kept.utf8_chunks() {
        for char in chunk.valid().chars() {
            match char {
                '\\' => text.push_str("\\\\"),
                char if is_seen(char) => text.push(char),
                char => text.extend(char.escape_unicode()),
            }
        }
        for byte in chunk.invalid() {
            // Writing to a string cannot fail.
            let _ = write!(text, "\\x{byte:02x}");
        }
    }
    text
}

fn is_seen(char: char) -> bool {
    let is_hidden = matches!(char,
        '\u{ad}' | '\u{61c}' | '\u{180e}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}'
        | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e007f}');
    !char.is_control() && !is_hidden
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_is_shown_as_it_is_and_all_else_as_what_it_is() {
        for (bytes, shown) in [
            (&b"user:1"[..], "user:1"),
            ("größe".as_bytes(), "größe"),
            (b"a\\x00", "a\\\\x00"),
            (b"\x00\x1b[2J", "\\u{0}\\u{1b}[2J"),
            (b"\xff\xfeb", "\\xff\\xfeb"),
            ("a\u{202e}b\u{feff}".as_bytes(), "a\\u{202e}b\\u{feff}"),
            (b"<script>", "<script>"),
        ] {
            assert_eq!(escaped(bytes, 100), shown);
        }
        // A character that is cut in two is no character.
        assert_eq!(escaped("aö".as_bytes(), 2), "a\\xc3");
    }
}
