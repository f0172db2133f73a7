//! Numbers as clients write them, read as Redis reads them.

use syncline::Decimal;

use crate::refusal::Refusal;
pub(crate) use crate::request::integer;

/// An integer, or the refusal that Redis has for what is none.
pub(crate) fn required(text: &[u8]) -> Result<i64, Refusal> {
    integer(text).ok_or(Refusal::NOT_INTEGER)
}

/// An integer of these, or else a refusal in the command's own words.
pub(crate) fn among(
    text: &[u8],
    wanted: impl std::ops::RangeBounds<i64>,
    refusal: &'static str,
) -> Result<i64, Refusal> {
    integer(text)
        .filter(|number| wanted.contains(number))
        .ok_or(Refusal::said(refusal))
}

/// A floating-point number: any decimal form, or an infinity. What is beyond its range, on either side, is none; nor is a hexadecimal form, which
/// Redis reads.
pub(crate) fn float(text: &[u8]) -> Option<f64> {
    let text = std::str::from_utf8(text).ok()?;
    let number: f64 = text.parse().ok()?;
    let is_said = |digits: std::ops::RangeInclusive<u8>| {
        let mantissa = text.split(['e', 'E']).next().unwrap_or_default();
        mantissa.bytes().any(|byte| digits.contains(&byte))
    };
    let is_beyond = match number {
        number if number.is_infinite() => is_said(b'0'..=b'9'),
        0.0 => is_said(b'1'..=b'9'),
        number => number.is_nan(),
    };
    (!is_beyond).then_some(number)
}

/// A floating-point number as Redis prints it: by 17 significant digits, without the zeros at their end.
pub(crate) fn print(number: f64) -> String {
    const DIGITS: i32 = 17;
    if number.is_infinite() {
        return String::from(if number > 0.0 { "inf" } else { "-inf" });
    }
    let rounded = format!("{number:.16e}");
    let (mantissa, exponent) = rounded.split_once('e').unwrap_or((&rounded, "0"));
    let exponent: i32 = exponent.parse().unwrap_or(0);
    let (text, power) = match exponent {
        // So many digits in all, which are those that were rounded to.
        -4..DIGITS => {
            let places = usize::try_from(DIGITS - 1 - exponent).unwrap_or(0);
            (format!("{number:.places$}"), String::new())
        }
        _ => {
            let sign = if exponent < 0 { '-' } else { '+' };
            let power = format!("e{sign}{:02}", exponent.unsigned_abs());
            (mantissa.to_owned(), power)
        }
    };
    let text = match text.contains('.') {
        true => text.trim_end_matches('0').trim_end_matches('.'),
        false => &text,
    };
    format!("{text}{power}")
}

/// Digits after the point that Redis prints of a sum.
const PLACES: i32 = 17;

/// A decimal number in any form, exact but for what is behind its 17th digit after the point: more Redis would not print of it. Nothing for what
/// is no number, or none of 64 bits before the point.
pub(crate) fn decimal(text: &[u8]) -> Option<Decimal> {
    let number = float(text).filter(|number| number.is_finite())?;
    let at = text.iter().position(|byte| matches!(byte, b'e' | b'E'));
    let (mantissa, exponent) = match at {
        Some(at) => (&text[..at], std::str::from_utf8(&text[at + 1..]).ok()?),
        None => (text, "0"),
    };
    let after = mantissa.iter().rev().position(|byte| *byte == b'.');
    // Of a finite number that is not zero it is a small one.
    let exponent: i32 = exponent.parse().unwrap_or(0);
    let mut scale = i32::try_from(after.unwrap_or(0)).ok()? - exponent;
    let mut digits: Vec<u8> = mantissa
        .iter()
        .copied()
        .filter(u8::is_ascii_digit)
        .skip_while(|digit| *digit == b'0')
        .collect();
    let mut is_up = false;
    while scale > PLACES {
        is_up = digits.pop().is_some_and(|digit| digit >= b'5');
        scale -= 1;
        if digits.is_empty() && !is_up {
            return Some(Decimal::default());
        }
    }
    let digits = std::str::from_utf8(&digits).ok()?;
    let digits = match digits {
        "" => 0,
        digits => digits.parse::<u128>().ok()?,
    };
    let digits = digits.checked_add(u128::from(is_up))?;
    let sign = if number < 0.0 { "-" } else { "" };
    let number = Decimal::parse(format!("{sign}{digits}e{}", -scale).as_bytes())?;
    (Decimal::from(i64::MIN)..=Decimal::from(i64::MAX))
        .contains(&number)
        .then_some(number)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn floats_are_read_as_redis_reads_them() {
        for (text, number) in [
            ("1", Some(1.0)),
            ("-0.5", Some(-0.5)),
            ("+1.", Some(1.0)),
            (".5e1", Some(5.0)),
            ("inf", Some(f64::INFINITY)),
            ("-Infinity", Some(f64::NEG_INFINITY)),
            ("0e-999", Some(0.0)),
            ("nan", None),
            ("", None),
            (" 1", None),
            ("1 ", None),
            ("1e999", None),
            ("-1e999", None),
            ("1e-999", None),
        ] {
            assert_eq!(float(text.as_bytes()), number, "{text}");
        }
    }

    #[test]
    fn floats_are_printed_as_redis_prints_them() {
        for (number, text) in [
            (0.0, "0"),
            (1.0, "1"),
            (-2.5, "-2.5"),
            (0.1, "0.10000000000000001"),
            (100.0, "100"),
            (0.0001, "0.0001"),
            (0.00001, "1.0000000000000001e-05"),
            (1e16, "10000000000000000"),
            (1e17, "1e+17"),
            (1e300, "1.0000000000000001e+300"),
            (f64::INFINITY, "inf"),
            (f64::NEG_INFINITY, "-inf"),
        ] {
            assert_eq!(print(number), text);
        }
    }

    #[test]
    fn decimals_are_exact_to_the_seventeenth_place() {
        for (text, read) in [
            ("0.1", Some("0.1")),
            ("-3.0e3", Some("-3000")),
            ("5.", Some("5")),
            ("0", Some("0")),
            ("0e99999999999", Some("0")),
            ("0.30000000000000004", Some("0.30000000000000004")),
            ("3.3333333333333335e-05", Some("0.00003333333333333")),
            ("0.123456789012345678", Some("0.12345678901234568")),
            ("0.99999999999999999999999", Some("1")),
            ("-9e-18", Some("-0.00000000000000001")),
            ("1e-300", Some("0")),
            ("9223372036854775807", Some("9223372036854775807")),
            ("9223372036854775808", None),
            ("1e300", None),
            ("inf", None),
            ("1,5", None),
            ("e5", None),
        ] {
            let number = decimal(text.as_bytes()).map(|number| number.to_string());
            assert_eq!(number.as_deref(), read, "{text}");
        }
        let long = format!("0.{}1", "0".repeat(300));
        assert_eq!(decimal(long.as_bytes()), Some(Decimal::default()));
    }

    proptest! {
        #[test]
        fn what_is_printed_is_read_as_the_same(bits: u64) {
            let number = f64::from_bits(bits);
            if !number.is_nan() {
                prop_assert_eq!(print(number).parse::<f64>().unwrap(), number);
            }
        }

        #[test]
        fn a_float_is_near_the_decimal_of_its_digits(number in -1e15..1e15f64, exponent in -20i32..3) {
            let number = number * 10f64.powi(exponent);
            let read = decimal(format!("{number:e}").as_bytes()).unwrap().to_string();
            let read: f64 = read.parse().unwrap();
            prop_assert!((read - number).abs() <= 1e-17 + number.abs() * f64::EPSILON);
        }

        #[test]
        fn no_text_makes_it_panic(text in "[-+0-9.eEinfa]{0,24}") {
            let (exact, near) = (decimal(text.as_bytes()), float(text.as_bytes()));
            prop_assert!(exact.is_none() || near.is_some());
        }
    }
}
