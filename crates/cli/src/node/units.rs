//! Times and sizes as people write them.

use std::time::Duration;

/// `500ms`, `10s`, `5m`, `2h`, `7d`; a bare number is seconds.
pub(crate) fn duration(text: &str) -> Result<Duration, String> {
    let (number, unit) = split(text);
    let ms = match unit {
        "ms" => Some(1),
        "s" | "" => Some(1_000),
        "m" => Some(60_000),
        "h" => Some(3_600_000),
        "d" => Some(86_400_000),
        _ => None,
    };
    let ms = ms
        .zip(number)
        .and_then(|(unit, number)| number.checked_mul(unit));
    match ms {
        Some(ms) if ms > 0 => Ok(Duration::from_millis(ms)),
        _ => Err("is no time; write 500ms, 10s, 5m, 2h or 7d".to_owned()),
    }
}

/// `65536`, `64KiB`, `4MiB`, `1GiB`, or with kB, MB and GB powers of a thousand.
pub(crate) fn bytes(text: &str) -> Result<u64, String> {
    let (number, unit) = split(text);
    let unit = match unit {
        "" | "B" => Some(1),
        "kB" => Some(1_000),
        "MB" => Some(1_000_000),
        "GB" => Some(1_000_000_000),
        "KiB" => Some(1 << 10),
        "MiB" => Some(1 << 20),
        "GiB" => Some(1 << 30),
        _ => None,
    };
    unit.zip(number)
        .and_then(|(unit, number): (u64, u64)| number.checked_mul(unit))
        .ok_or_else(|| "is no size; write a number of bytes, or 64KiB, 4MiB, 1GiB".to_owned())
}

/// Bytes per second: a size, with `/s` behind it or without; as many as a node takes at least.
pub(crate) fn rate(text: &str) -> Result<u64, String> {
    let size = text.strip_suffix("/s").unwrap_or(text);
    match bytes(size) {
        Ok(rate) if rate < 64 << 10 => {
            Err("is less than 64KiB a second, which is the least".to_owned())
        }
        Ok(rate) => Ok(rate),
        Err(_) => {
            Err("is no rate; write bytes a second, such as 64KiB/s or 1MB/s, or off".to_owned())
        }
    }
}

fn split(text: &str) -> (Option<u64>, &str) {
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let (number, unit) = text.split_at(digits);
    (number.parse().ok(), unit.trim_start())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_and_sizes_have_units() {
        for (text, ms) in [
            ("250ms", 250),
            ("10", 10_000),
            ("10s", 10_000),
            ("5 m", 300_000),
            ("7d", 604_800_000),
        ] {
            assert_eq!(duration(text), Ok(Duration::from_millis(ms)), "{text}");
        }
        for text in ["", "s", "0", "-1s", "1.5s", "1w", "99999999999999999d"] {
            assert!(duration(text).is_err(), "{text}");
        }
        for (text, size) in [
            ("0", 0),
            ("65536", 65_536),
            ("4MiB", 4 << 20),
            ("2 GB", 2_000_000_000),
        ] {
            assert_eq!(bytes(text), Ok(size), "{text}");
        }
        for text in ["", "MiB", "1mb", "1.5GiB", "99999999999GiB"] {
            assert!(bytes(text).is_err(), "{text}");
        }
    }
}
