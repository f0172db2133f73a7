#![allow(clippy::unwrap_used)]

use proptest::prelude::*;

use super::*;

fn header() -> Header {
    Header {
        turn: 300,
        more: true,
    }
}

fn row(key: &str, description: &str) -> Described {
    (key.into(), description.into())
}

/// One of each part, in each form and at each kind of place.
fn parts() -> Vec<(Place, Part<'static>)> {
    let listed = |first, len| Place::Listed { first, len };
    let run = Run { first: 3, len: 2 };
    let (count, sum, mix) = (200, 0x0102, 0x0304);
    let suspect = |run| Suspect {
        run,
        count,
        sum,
        mix,
    };
    Vec::from([
        (
            listed(0, 1),
            Part::Split(Split {
                level: 3,
                count,
                children: b"dig-1ta2dig-2ta3dig-3",
            }),
        ),
        (
            listed(2, 1),
            Part::Sum(Sum {
                count,
                sum,
                form: SumForm::Bare,
            }),
        ),
        (
            listed(3, 1),
            Part::Sum(Sum {
                count,
                sum,
                form: SumForm::Mixed { mix },
            }),
        ),
        (
            listed(5, 2),
            Part::Sum(Sum {
                count,
                sum,
                form: SumForm::Hinted { hints: b"hints" },
            }),
        ),
        (
            listed(7, 1),
            Part::Echo(Echo {
                count,
                sum,
                form: EchoForm::Bare,
            }),
        ),
        (
            listed(8, 1),
            Part::Echo(Echo {
                count,
                sum,
                form: EchoForm::Mixed { mix },
            }),
        ),
        (
            listed(9, 1),
            Part::Echo(Echo {
                count,
                sum,
                form: EchoForm::Suspect { run, mix },
            }),
        ),
        (
            listed(10, 1),
            Part::Echo(Echo {
                count,
                sum,
                form: EchoForm::Suspects(Vec::from([
                    suspect(run),
                    suspect(Run { first: 6, len: 1 }),
                ])),
            }),
        ),
        (
            Place::Bounds(KeyRange::new("user:a", b"user:b".to_vec())),
            Part::Items(Items {
                sum,
                width: IdWidth::Two,
                ids: b"1122",
            }),
        ),
        (
            Place::Bounds(KeyRange::new("user:z", None)),
            Part::Items(Items {
                sum,
                width: IdWidth::Four,
                ids: b"1111",
            }),
        ),
        (
            Place::Bounds(KeyRange::ALL),
            Part::Items(Items {
                sum,
                width: IdWidth::Eight,
                ids: b"",
            }),
        ),
        (
            listed(11, 1),
            Part::Answer(Answer {
                matched: sum,
                lacking: Vec::from([0, 1, 5]),
                mine: Vec::from([row("ada", "v1"), row("adam", ""), row("bob", "v2")]),
            }),
        ),
        (
            listed(12, 1),
            Part::Inquire(Inquire {
                matched: sum,
                lacking: Vec::from([7]),
            }),
        ),
        (
            listed(13, 1),
            Part::Tell(Tell {
                sum,
                ids: b"8bytes..",
                rows: Vec::from([row("ada", "v1")]),
                lows: Vec::from([0x0506]),
            }),
        ),
        (
            listed(20, 1),
            Part::Explain(Explain {
                theirs: sum,
                mine: Vec::from([row("", "v")]),
            }),
        ),
    ])
}

fn write(parts: &[(Place, Part<'_>)]) -> Vec<u8> {
    let mut bytes = Vec::new();
    write_header(&mut bytes, header());
    let mut next = 0;
    for (place, part) in parts {
        write_part(&mut bytes, &mut next, place, part);
    }
    bytes
}

fn read(bytes: &[u8], keys: usize) -> Result<(Header, Vec<(Place, Part<'_>)>), Malformed> {
    let mut reader = Reader::new(bytes, keys);
    assert_eq!(reader.version()?, VERSION);
    let header = reader.header()?;
    let mut parts = Vec::new();
    while let Some(part) = reader.part()? {
        parts.push(part);
    }
    Ok((header, parts))
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// These bytes are spoken between versions: what changes them is another version of the protocol.
#[test]
fn the_grammar_is_frozen() {
    let mut next = 0;
    let lines: Vec<String> = parts()
        .iter()
        .map(|(place, part)| {
            let mut bytes = Vec::new();
            write_part(&mut bytes, &mut next, place, part);
            hex(&bytes)
        })
        .collect();
    let zeros = |n| "00".repeat(n);
    let sum = format!("c8010201{}", zeros(14));
    let mix = format!("0403{}", zeros(6));
    let matched = &sum[4..];
    let expected = [
        format!("0003c80101{}", hex(b"dig-1ta2dig-2ta3dig-3")),
        format!("0901{sum}"),
        format!("21{sum}{mix}"),
        format!("510100{sum}05{}", hex(b"hints")),
        format!("02{sum}"),
        format!("22{sum}{mix}"),
        format!("42{sum}0301{mix}"),
        format!("62{sum}020301{sum}{mix}0100{sum}{mix}"),
        format!("1b06{}060162{matched}02{}", hex(b"user:a"), hex(b"1122")),
        format!("3b06{}00{matched}01{}", hex(b"user:z"), hex(b"1111")),
        format!("5b0000{matched}00"),
        format!(
            "04{matched}03000003030003{}02{}0301{}000003{}02{}",
            hex(b"ada"),
            hex(b"v1"),
            hex(b"m"),
            hex(b"bob"),
            hex(b"v2")
        ),
        format!("05{matched}0107"),
        format!(
            "06{matched}01{}010003{}02{}0605{}",
            hex(b"8bytes.."),
            hex(b"ada"),
            hex(b"v1"),
            zeros(14)
        ),
        format!("0f06{matched}01000001{}", hex(b"v")),
    ];
    for (line, expected) in lines.iter().zip(&expected) {
        assert_eq!(line, expected);
    }
    assert_eq!(hex(&write(&[])), "01ac0201");
}

#[test]
fn reading_undoes_writing() {
    assert_eq!(read(&write(&parts()), 1000), Ok((header(), parts())));
}

#[test]
fn every_truncation_is_noticed() {
    for part in parts() {
        let whole = write(core::slice::from_ref(&part));
        for len in 5..whole.len() {
            assert!(read(&whole[..len], 1000).is_err(), "{part:?} cut to {len}");
        }
    }
}

/// Front-coding must not unfold a small message into a large one.
#[test]
fn keys_unfold_within_bounds() {
    let long = "k".repeat(1000);
    let rows: Vec<Described> = (0..50u8)
        .map(|n| row(&format!("{long}{}", n as char), ""))
        .collect();
    let part = Part::Explain(Explain {
        theirs: 0,
        mine: rows,
    });
    let bytes = write(&[(Place::Listed { first: 0, len: 1 }, part)]);
    assert!(bytes.len() < 1500);
    assert!(read(&bytes, 50_050).is_ok());
    assert_eq!(
        read(&bytes, 50_049).unwrap_err(),
        "keys unfold beyond the bound"
    );
}

#[test]
fn nonsense_is_refused() {
    let refused = |bytes: &[u8]| {
        let message = [&write(&[])[..], bytes].concat();
        let result = read(&message, 1000);
        assert!(result.is_err(), "{bytes:?}: {result:?}");
    };
    // Over-long numbers, and numbers of more than 64 bits.
    refused(&[1 << 3 | 1, 0x80, 0]);
    refused(&[
        1 << 3 | 1,
        0xff,
        0xff,
        0xff,
        0xff,
        0xff,
        0xff,
        0xff,
        0xff,
        0xff,
        2,
    ]);
    // Level 0, and above the highest.
    refused(&[&[0, 0, 1, 0][..], &[0; 13]].concat());
    refused(&[&[0, 13, 1, 0][..], &[0; 13]].concat());
    // An upper bound that is not above the lower one, and one that shares more than there is.
    refused(&[&[3 << 3 | 1, 1, b'b', 1, 1, b'a', 0][..], &[0; 16]].concat());
    refused(&[&[3 << 3 | 1, 1, b'b', 3, 0, 0][..], &[0; 16]].concat());
    // Keys out of order.
    let rows = [2, 0, 1, b'b', 0, 0, 1, b'a', 0];
    refused(&[&[7][..], &[0; 16], &rows].concat());
    // Lengths beyond the message, and beyond all memory.
    refused(&[&[3][..], &[0; 16], &[200, 1]].concat());
    refused(
        &[
            &[3][..],
            &[0; 16],
            &[0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1],
        ]
        .concat(),
    );
    refused(&[
        0, 1, 1, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1,
    ]);
}

proptest! {
    #[test]
    fn any_bytes_can_be_read(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        let _ = read(&[&write(&[])[..], &bytes].concat(), 1000);
    }

    #[test]
    fn children_unzip_as_they_were_zipped(first in 0..1u64 << 40, rest in prop::collection::vec((0..1u32 << 24, 0..1u64 << 40), 1..20)) {
        let mut bytes = first.to_le_bytes()[..5].to_vec();
        for (tag, digest) in &rest {
            bytes.extend_from_slice(&tag.to_le_bytes()[..3]);
            bytes.extend_from_slice(&digest.to_le_bytes()[..5]);
        }
        let split = Split { level: 1, count: 0, children: &bytes };
        prop_assert_eq!(split.len(), rest.len() + 1);
        let (tags, mut digests): (Vec<u32>, Vec<u64>) = rest.into_iter().unzip();
        digests.insert(0, first);
        prop_assert_eq!(split.unzip(), (digests, tags));
    }
}
