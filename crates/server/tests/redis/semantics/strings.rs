//! Strings and numbers.

use std::time::Duration;

use super::Apart;

#[test]
fn set_set() {
    let mut apart = Apart::after(&[]);
    apart.write("SET x a", "SET x b");
    assert_eq!(apart.all("GET x"), "\"b\"");
    let siblings = |apart: &Apart| {
        let namespace = &apart.cluster.namespaces("db0").unwrap()[2];
        let register = namespace.register("x");
        apart.runtime.block_on(register.siblings()).unwrap()
    };
    assert_eq!(siblings(&apart), [b"b", b"a"]);
    // Whoever has seen both settles it.
    apart.on(2, "SET x c");
    apart.heal();
    assert_eq!(apart.all("GET x"), "\"c\"");
    assert_eq!(siblings(&apart), [b"c"]);
}

#[test]
fn set_after_observing_a_write_whose_stamp_is_ahead() {
    let mut apart = Apart::after(&[]);
    apart.pass(1, Duration::from_secs(30));
    apart.on(1, "SET x ahead");
    apart.heal();
    apart.cut();
    apart.on(0, "SET x new");
    apart.heal();
    assert_eq!(apart.all("GET x"), "\"new\"");
}

#[test]
fn set_del() {
    for (first, second) in [("SET x a", "DEL x"), ("DEL x", "SET x a")] {
        let mut apart = Apart::after(&["SET x old"]);
        apart.write(first, second);
        assert_eq!(apart.all("GET x"), "\"a\"");
    }
}

#[test]
fn incrby_incrby() {
    let mut apart = Apart::after(&["SET x 10"]);
    apart.write("INCRBY x 7", "INCRBY x 3");
    assert_eq!(apart.all("GET x"), "\"20\"");
    apart.cut();
    apart.write("DECR x", "DECRBY x 4");
    assert_eq!(apart.all("GET x"), "\"15\"");
}

#[test]
fn set_incr() {
    let mut apart = Apart::after(&["SET x 5", "INCRBY x 2"]);
    apart.write("SET x 100", "INCR x");
    assert_eq!(apart.all("GET x"), "\"101\"");
}

#[test]
fn set_text_incr() {
    let mut apart = Apart::after(&[]);
    apart.write("SET x text", "INCR x");
    assert_eq!(apart.all("GET x"), "\"text\"");
    let refused = "(error) ERR value is not an integer or out of range";
    assert_eq!(apart.all("INCR x"), refused);
}

#[test]
fn del_incr() {
    let mut apart = Apart::after(&["SET x 5"]);
    apart.write("DEL x", "INCR x");
    assert_eq!(apart.all("GET x"), "\"1\"");
}

#[test]
fn del_del_of_a_counter() {
    let mut apart = Apart::after(&["INCRBY x 5"]);
    let one = "(integer) 1";
    assert_eq!(apart.write("DEL x", "DEL x"), [one, one]);
    assert_eq!(apart.all("EXISTS x"), "(integer) 0");
    assert_eq!(apart.all("GET x"), "(nil)");
    assert_eq!(apart.on(2, "INCR x"), one);
    apart.heal();
    assert_eq!(apart.all("GET x"), "\"1\"");
}

#[test]
fn what_is_decided_on_the_local_state() {
    let mut apart = Apart::after(&["SET x a"]);
    apart.write("APPEND x b", "APPEND x c");
    assert_eq!(apart.all("GET x"), "\"ac\"");

    let mut apart = Apart::after(&["SET x abc"]);
    apart.write("SETRANGE x 0 X", "SETRANGE x 2 Z");
    assert_eq!(apart.all("GET x"), "\"abZ\"");

    let mut apart = Apart::after(&["SET x a"]);
    assert_eq!(apart.write("GETSET x b", "GETSET x c"), ["\"a\""; 2]);
    assert_eq!(apart.all("GET x"), "\"c\"");

    // No lock: both have it.
    let mut apart = Apart::after(&[]);
    assert_eq!(apart.write("SET x a NX", "SET x b NX"), ["OK"; 2]);
    assert_eq!(apart.all("GET x"), "\"b\"");
    apart.cut();
    assert_eq!(apart.write("SETNX x c", "SETNX y b")[0], "(integer) 0");
    assert_eq!(apart.all("GET x"), "\"b\"");

    let mut apart = Apart::after(&["SET x a"]);
    assert_eq!(apart.write("GETDEL x", "SET x b XX"), ["\"a\"", "OK"]);
    assert_eq!(apart.all("GET x"), "\"b\"");

    let mut apart = Apart::after(&["SET x a"]);
    apart.write("RENAME x y", "RENAME x z");
    assert_eq!(apart.all("GET x"), "(nil)");
    assert_eq!(apart.all("GET y"), "\"a\"");
    assert_eq!(apart.all("GET z"), "\"a\"");

    let mut apart = Apart::after(&["SET x a", "SET w b"]);
    apart.write("COPY x y", "COPY w y");
    assert_eq!(apart.all("GET y"), "\"b\"");
}

#[test]
fn numbers() {
    let mut apart = Apart::after(&["SET x 9223372036854775000"]);
    apart.write("INCRBY x 800", "INCRBY x 800");
    assert_eq!(apart.all("GET x"), "\"9223372036854775807\"");
    let refused = "(error) ERR increment or decrement would overflow";
    assert_eq!(apart.all("INCR x"), refused);

    let mut apart = Apart::after(&["SET x 0.1"]);
    apart.write("INCRBYFLOAT x 0.2", "INCRBYFLOAT x -0.1");
    assert_eq!(apart.all("GET x"), "\"0.2\"");
}
