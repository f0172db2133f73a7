//! Numbers in as few bytes as they need: LEB128, at most 10 bytes, shortest form only.

use alloc::vec::Vec;

pub(crate) fn write(out: &mut Vec<u8>, mut n: u64) {
    while n >= 0x80 {
        out.push(n as u8 | 0x80);
        n >>= 7;
    }
    out.push(n as u8);
}

/// Takes a number off the front of `bytes`; says what is wrong if there is none.
pub(crate) fn read(bytes: &mut &[u8]) -> Result<u64, &'static str> {
    let mut n = 0;
    for shift in (0..64).step_by(7) {
        let (byte, rest) = bytes.split_first().ok_or("it ends too early")?;
        *bytes = rest;
        n |= u64::from(byte & 0x7f) << shift;
        if shift == 63 && *byte > 1 {
            break;
        }
        if *byte < 0x80 {
            return if *byte == 0 && shift > 0 {
                Err("a number is over-long")
            } else {
                Ok(n)
            };
        }
    }
    Err("a number is over-long")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_have_one_form() {
        for n in [0, 1, 0x7f, 0x80, 0x3fff, 0x4000, u64::MAX - 1, u64::MAX] {
            let mut bytes = Vec::new();
            write(&mut bytes, n);
            let mut rest = &bytes[..];
            assert_eq!(read(&mut rest), Ok(n));
            assert!(rest.is_empty());
            assert!(read(&mut &bytes[..bytes.len() - 1]).is_err());
        }
        for over_long in [&[0x80, 0][..], &[0xff; 10], &[0x80; 11]] {
            assert_eq!(read(&mut &over_long[..]), Err("a number is over-long"));
        }
    }
}
