use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::path::Path;

use super::*;

fn with_parts() -> impl Iterator<Item = &'static Command> {
    all().flat_map(|command| std::iter::once(command).chain(command.parts()))
}

#[test]
fn each_command_is_there_once_and_found_in_any_case() {
    let names: BTreeSet<_> = all().map(|command| command.name).collect();
    assert_eq!(names.len(), all().count(), "a name is there twice");
    for command in all() {
        assert_eq!(command.name, command.name.to_ascii_lowercase());
        let upper = command.name.to_ascii_uppercase();
        assert_eq!(find(upper.as_bytes()).unwrap().name, command.name);
    }
    assert!(
        find(b"").is_none() && find(&[b'a'; LONGEST + 1]).is_none() && find(b"g\0et").is_none()
    );
}

#[test]
fn each_command_says_what_it_is_and_what_it_comes_to_elsewhere() {
    for command in with_parts() {
        let name = command.name;
        assert!(
            !command.summary.is_empty() && !command.since.is_empty(),
            "{name} has no docs"
        );
        assert!(command.arity != 0, "{name} has no arity");
        assert!(
            concurrently::is_told(command),
            "{name} does not say what it comes to elsewhere"
        );
        let reads_and_writes = command.is(Flags::READONLY) && command.is(Flags::WRITE);
        assert!(!reads_and_writes, "{name} cannot do both");
    }
}

#[test]
fn keys_are_found_where_the_table_says() {
    let keys = |line: &str| {
        let request = Request::of(line.split(' ').map(str::as_bytes));
        find(request.get(0)).unwrap().keys.of(&request)
    };
    assert_eq!(keys("get a"), [1]);
    assert_eq!(keys("del a b c"), [1, 2, 3]);
    assert_eq!(keys("ping"), [0usize; 0]);
    let of = |keys: Keys, line: &str| keys.of(&Request::of(line.split(' ').map(str::as_bytes)));
    let every_other = Keys::Range {
        first: 1,
        last: -1,
        step: 2,
    };
    assert_eq!(of(every_other, "mset a 1 b 2"), [1, 3]);
    let counted = Keys::Counted {
        at: 2,
        before: Some(1),
    };
    assert_eq!(of(counted, "zunionstore d 2 a b weights"), [1, 3, 4]);
    for count in ["-1", "99", "x", "9223372036854775807"] {
        assert!(of(counted, &format!("zunionstore d {count} a b")).len() <= 3);
    }
    assert_eq!(of(Keys::Sort, "sort a by w store x store b"), [1, 7]);
}

/// The table of the documentation, as it has to be.
fn page() -> String {
    let mut page = String::new();
    let mut group = None;
    for family in families() {
        // A group may be of several families.
        if group.replace(family.group) != Some(family.group) {
            let gap = if page.is_empty() { "" } else { "\n" };
            writeln!(page, "{gap}### {}\n", family.group.title()).unwrap();
            writeln!(
                page,
                "| command | what it does | at the same time elsewhere |\n|---|---|---|"
            )
            .unwrap();
        }
        for command in family.commands {
            let parts: Vec<_> = command
                .parts()
                .iter()
                .map(|part| part.name.to_ascii_uppercase())
                .collect();
            let summary = match parts.is_empty() {
                true => command.summary.to_owned(),
                false => format!("{} `{}`", command.summary, parts.join("` `")),
            };
            let name = command.name.to_ascii_uppercase();
            writeln!(page, "| `{name}` | {summary} | {} |", concurrently(command)).unwrap();
        }
    }
    page
}

/// `SYNCLINE_RECORD=write` writes it down.
#[test]
fn the_documentation_has_all_commands() {
    const HEADING: &str = "## The commands\n";
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/compatibility.md");
    let text = std::fs::read_to_string(&path).unwrap();
    let (head, table) = text.split_once("\n### ").unwrap_or((text.trim_end(), ""));
    assert!(head.contains(HEADING), "the page has a part for the table");
    let page = page();
    if std::env::var("SYNCLINE_RECORD").is_ok_and(|value| value == "write") {
        std::fs::write(
            &path,
            format!("{}\n\n{}\n", head.trim_end(), page.trim_end()),
        )
        .unwrap();
        return;
    }
    let shown = format!("### {table}");
    let hint = "run the test with SYNCLINE_RECORD=write";
    assert_eq!(
        shown.trim_end(),
        page.trim_end(),
        "docs/compatibility.md is behind the table; {hint}"
    );
}
