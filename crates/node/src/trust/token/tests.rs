#![allow(clippy::unwrap_used)]

use super::*;

fn token() -> Token {
    Token {
        words: Words {
            secret: [3; 32],
            authority: [4; 32],
            expires: 1_800_000_000,
            addresses: vec![
                "oslo.example:7400".to_owned(),
                "[2001:db8::1]:7400".to_owned(),
            ],
        },
    }
}

/// A token from another version of the software has to go on being read, or to be refused as such.
#[test]
fn golden() {
    let text = token().to_string();
    let bytes = URL_SAFE_NO_PAD
        .decode(text.strip_prefix(PREFIX).unwrap())
        .unwrap();
    let mut expected = [[3; 32], [4; 32]].concat();
    expected.extend([0x80, 0xa4, 0xa7, 0xda, 0x06, 2, 17]);
    expected.extend(b"oslo.example:7400");
    expected.push(18);
    expected.extend(b"[2001:db8::1]:7400");
    assert_eq!(bytes[..bytes.len() - 4], expected);
    let read: Token = text.parse().unwrap();
    assert_eq!(read.addresses(), token().addresses());
    assert_eq!(read.expires_at(), token().expires_at());
    assert_eq!(read.authority(), token().authority());
    assert_eq!(read.key().unwrap(), token().key().unwrap());
    assert_eq!(
        format!(" {text}\n").parse::<Token>().unwrap().to_string(),
        text
    );
}

/// The key follows from the secret alone, and always so.
#[test]
fn the_key_follows_from_the_secret() {
    let key = token().key().unwrap();
    let mut other = token();
    other.words.expires += 1;
    other.words.addresses.clear();
    assert_eq!(other.key().unwrap(), key);
    other.words.secret[31] ^= 1;
    assert_ne!(other.key().unwrap(), key);
    token().guest().unwrap();
}

#[test]
fn what_was_cut_or_mistyped_is_noticed() {
    let text = token().to_string();
    for end in 0..text.len() {
        assert!(text[..end].parse::<Token>().is_err(), "{end}");
    }
    for at in PREFIX.len()..text.len() {
        let mut wrong = text.clone().into_bytes();
        wrong[at] = if wrong[at] == b'A' { b'B' } else { b'A' };
        let wrong = String::from_utf8(wrong).unwrap();
        // The last character may have bits that stand for nothing; such a text is refused as well.
        assert!(wrong.parse::<Token>().is_err(), "{at}");
    }
    let error = "ssh-ed25519 AAAA".parse::<Token>().unwrap_err();
    assert!(
        error.to_string().contains("syncline cluster invite"),
        "{error}"
    );
    let long = format!("{PREFIX}{}", "A".repeat(LONGEST + 1));
    assert!(long.parse::<Token>().is_err());
}

#[test]
fn debug_output_holds_no_secret() {
    let text = format!("{:?}", token());
    assert!(!text.contains("3, 3") && !text.contains("0303"), "{text}");
}
