//! Aligned text tables and numbers as people read them. Reports are made of these; they look the same with and without
//! a terminal.

use std::fmt;
use std::time::Duration;

/// A table of text: columns are as wide as their widest cell, the first is aligned left, the others as told.
pub(crate) struct Table {
    align: Vec<Align>,
    rows: Vec<Vec<String>>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Align {
    Left,
    Right,
}

impl Table {
    /// A table whose header is `header`; a column is aligned as told beside its name.
    pub(crate) fn new(header: &[(&str, Align)]) -> Self {
        Self {
            align: header.iter().map(|(_, align)| *align).collect(),
            rows: vec![header.iter().map(|(name, _)| (*name).to_owned()).collect()],
        }
    }

    pub(crate) fn row(&mut self, cells: impl IntoIterator<Item = impl Into<String>>) {
        self.rows.push(cells.into_iter().map(Into::into).collect());
    }
}

impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let width = |column: usize| {
            let cells = self.rows.iter().filter_map(|row| row.get(column));
            cells.map(|cell| cell.chars().count()).max().unwrap_or(0)
        };
        let widths: Vec<usize> = (0..self.align.len()).map(width).collect();
        for row in &self.rows {
            let mut line = String::new();
            for ((cell, width), align) in row.iter().zip(&widths).zip(&self.align) {
                let padding = " ".repeat(width.saturating_sub(cell.chars().count()));
                line.push_str("  ");
                match align {
                    Align::Left => line.extend([cell.as_str(), &padding]),
                    Align::Right => line.extend([padding.as_str(), cell]),
                }
            }
            writeln!(f, "{}", line.trim_end())?;
        }
        Ok(())
    }
}

/// 1234567 as `1,234,567`.
pub(crate) fn count(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::with_capacity(digits.len() + digits.len() / 3);
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// Bytes in the unit that leaves at most four digits before the point. Decimal units, as networks and disks are sold.
pub(crate) fn bytes(number: u64) -> String {
    const UNITS: [&str; 4] = ["kB", "MB", "GB", "TB"];
    if number < 10_000 {
        return format!("{} B", count(number));
    }
    let mut value = number as f64;
    let mut unit = "B";
    for next in UNITS {
        value /= 1000.0;
        unit = next;
        if value < 1000.0 {
            break;
        }
    }
    format!("{value:.1} {unit}")
}

/// A duration with the precision that matters to a reader.
pub(crate) fn duration(duration: Duration) -> String {
    let seconds = duration.as_secs_f64();
    if seconds < 0.001 {
        format!("{:.0} µs", seconds * 1e6)
    } else if seconds < 1.0 {
        format!("{:.0} ms", seconds * 1e3)
    } else if seconds < 120.0 {
        format!("{seconds:.1} s")
    } else {
        format!(
            "{:.0} min {:.0} s",
            (seconds / 60.0).floor(),
            seconds % 60.0
        )
    }
}

/// How many times `whole` is `part`, as `1/123` or `45 %`: what a reader wants to know of a saving.
pub(crate) fn share(part: u64, whole: u64) -> String {
    if part == 0 || whole == 0 {
        return "none".to_owned();
    }
    let ratio = whole as f64 / part as f64;
    if ratio >= 10.0 {
        format!("1/{ratio:.0}")
    } else {
        format!("{:.0} %", 100.0 / ratio)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::panic)]

    use super::*;

    #[test]
    fn numbers_read_as_people_write_them() {
        assert_eq!(count(0), "0");
        assert_eq!(count(999), "999");
        assert_eq!(count(1_234_567), "1,234,567");
        assert_eq!(bytes(9_999), "9,999 B");
        assert_eq!(bytes(12_345), "12.3 kB");
        assert_eq!(bytes(1_999_999), "2.0 MB");
        assert_eq!(duration(Duration::from_micros(250)), "250 µs");
        assert_eq!(duration(Duration::from_millis(12)), "12 ms");
        assert_eq!(duration(Duration::from_millis(1234)), "1.2 s");
        assert_eq!(duration(Duration::from_secs(125)), "2 min 5 s");
        assert_eq!(share(1, 250), "1/250");
        assert_eq!(share(50, 100), "50 %");
    }

    #[test]
    fn columns_line_up_whatever_the_script() {
        let mut table = Table::new(&[("name", Align::Left), ("rows", Align::Right)]);
        table.row(["é", "7"]);
        table.row(["longer", "1,000"]);
        assert_eq!(
            table.to_string(),
            "  name     rows\n  é           7\n  longer  1,000\n"
        );
    }
}
