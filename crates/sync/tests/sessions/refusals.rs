//! Greetings that do not go through, each with a reason that says what to do.

use syncline_sync::{
    Config, Opening, Refusal, RefusalCode, Session, SessionError, Strategy, frame,
};

use crate::pump::{CLOCK_MS, config, put, request, rows, store};

/// Has one side of the given configuration greet another, and returns what the responder says to it.
fn refused(initiator: Config, responder: Config) -> Refusal {
    let (a, b) = (store(1), store(2));
    put(&a, [syncline_crdt::RowKey::cell(b"a")], b"1");
    let mut session = Session::initiate(&a, initiator, request(Strategy::Auto, 1)).unwrap();
    let greeting = session.poll_frame().unwrap().unwrap();
    let opening = Opening::read(&greeting).unwrap();
    let error = Session::respond(&b, responder, opening).unwrap_err();
    let refusal = error.farewell().unwrap();
    assert!(matches!(error, SessionError::Refusing(_)));

    // The initiator learns of it, and neither has changed.
    let error = session
        .handle_frame(&frame::refusal(refusal.clone()))
        .unwrap_err();
    assert!(matches!(&error, SessionError::Refused(told) if *told == refusal));
    assert!(error.farewell().is_none());
    assert!(matches!(session.poll_frame(), Err(SessionError::Over)));
    assert!(!session.is_finished());
    assert!(rows(&b).is_empty());
    refusal
}

#[test]
fn another_cluster() {
    let refusal = refused(config(1), Config::new([9; 16], [2; 32], "app", CLOCK_MS));
    assert_eq!(refusal.code, RefusalCode::Cluster);
    assert!(refusal.text.contains("export and import"), "{refusal}");
}

#[test]
fn another_namespace() {
    let refusal = refused(config(1), Config::new([1; 16], [2; 32], "other", CLOCK_MS));
    assert_eq!(refusal.code, RefusalCode::Namespace);
    assert!(
        refusal.text.contains("\"app\"") && refusal.text.contains("\"other\""),
        "{refusal}"
    );
}

#[test]
fn itself() {
    assert_eq!(refused(config(1), config(1)).code, RefusalCode::Itself);
}

/// Each side knows from its transport who the other is, and holds the greeting against that.
#[test]
fn another_node_than_the_transport_says() {
    let knowing = |node, peer| {
        let mut config = config(node);
        config.peer = Some([peer; 32]);
        config
    };
    let refusal = refused(config(1), knowing(2, 3));
    assert_eq!(refusal.code, RefusalCode::Identity);
    assert!(
        refusal.text.contains("0101") && refusal.text.contains("0303"),
        "{refusal}"
    );

    for (expected, refused) in [(2, false), (3, true)] {
        let (a, b) = (store(1), store(2));
        let request = request(Strategy::Auto, 1);
        let mut session = Session::initiate(&a, knowing(1, expected), request).unwrap();
        let opening = Opening::read(&session.poll_frame().unwrap().unwrap()).unwrap();
        let mut responder = Session::respond(&b, knowing(2, 1), opening).unwrap();
        let answer = responder.poll_frame().unwrap().unwrap();
        match session.handle_frame(&answer) {
            Ok(()) => assert!(!refused),
            Err(SessionError::Refusing(refusal)) => {
                assert!(refused);
                assert_eq!(refusal.code, RefusalCode::Identity);
            }
            Err(other) => panic!("{other}"),
        }
    }
}

#[test]
fn clocks_apart() {
    let at = |clock_ms| Config::new([1; 16], [2; 32], "app", clock_ms);
    for other in [CLOCK_MS - 60_001, CLOCK_MS + 60_001, 0, u64::MAX] {
        let refusal = refused(config(1), at(other));
        assert_eq!(refusal.code, RefusalCode::Clock);
        for time in [CLOCK_MS, other] {
            assert!(refusal.text.contains(&time.to_string()), "{refusal}");
        }
    }
    // Up to the bound, and at any distance where there is none.
    let mut lenient = at(0);
    lenient.max_clock_skew_ms = 0;
    for config_there in [at(CLOCK_MS + 60_000), lenient] {
        let (a, b) = (store(1), store(2));
        let mut session = Session::initiate(&a, config(1), request(Strategy::Auto, 1)).unwrap();
        let opening = Opening::read(&session.poll_frame().unwrap().unwrap()).unwrap();
        Session::respond(&b, config_there, opening).unwrap();
    }
}

/// The initiator looks at the answer as closely as the responder at the greeting.
#[test]
fn an_answer_from_elsewhere() {
    for (elsewhere, code) in [
        (
            Config::new([9; 16], [2; 32], "app", CLOCK_MS),
            RefusalCode::Cluster,
        ),
        (
            Config::new([1; 16], [2; 32], "app", CLOCK_MS + 3_600_000),
            RefusalCode::Clock,
        ),
        (config(1), RefusalCode::Itself),
    ] {
        let (a, b) = (store(1), store(2));
        let begin = |config| {
            let mut session = Session::initiate(&a, config, request(Strategy::Auto, 1)).unwrap();
            let greeting = session.poll_frame().unwrap().unwrap();
            (session, greeting)
        };
        let (mut session, _) = begin(config(1));
        // What `elsewhere` answers to somebody it does accept.
        let mut accepted = elsewhere.clone();
        accepted.node = [3; 32];
        let opening = Opening::read(&begin(accepted).1).unwrap();
        let mut responder = Session::respond(&b, elsewhere, opening).unwrap();
        let answer = responder.poll_frame().unwrap().unwrap();
        let error = session.handle_frame(&answer).unwrap_err();
        assert!(
            matches!(&error, SessionError::Refusing(refusal) if refusal.code == code),
            "{error}"
        );
        assert_eq!(error.farewell().unwrap().code, code);
    }
}

/// A greeting of a version to come, of which nothing but the versions can be read.
#[test]
fn another_version() {
    // Flight 1, a greeting, versions 2 to 300, and what only they know.
    let greeting = [&[1, 0, 2, 0xac, 2][..], &[0xee; 40]].concat();
    let error = Opening::read(&greeting).unwrap_err();
    let SessionError::Refusing(refusal) = &error else {
        panic!("{error}");
    };
    assert_eq!(refusal.code, RefusalCode::Version);
    assert!(
        refusal.text.contains("versions 2 to 300") && refusal.text.contains("upgrade"),
        "{refusal}"
    );

    let a = store(1);
    let mut session = Session::initiate(&a, config(1), request(Strategy::Auto, 1)).unwrap();
    session.poll_frame().unwrap().unwrap();
    let error = session.handle_frame(&greeting).unwrap_err();
    assert!(
        matches!(&error, SessionError::Refusing(refusal) if refusal.code == RefusalCode::Version)
    );
}

#[test]
fn hosts_refuse_what_they_do_not_carry_or_cannot_take_on() {
    let a = store(1);
    let mut session = Session::initiate(&a, config(1), request(Strategy::Walk, 1)).unwrap();
    let opening = Opening::read(&session.poll_frame().unwrap().unwrap()).unwrap();
    assert_eq!(
        (opening.namespace(), opening.strategy()),
        ("app", Strategy::Walk)
    );
    assert_eq!(opening.unknown_namespace().code, RefusalCode::Namespace);
    assert_eq!(opening.busy().code, RefusalCode::Busy);
}

/// A peer's text stands in our errors and logs: it must not be able to begin lines there, or to act on a terminal.
#[test]
fn a_peers_text_is_escaped_and_bounded() {
    let told = |told: &str| {
        let a = store(1);
        let mut session = Session::initiate(&a, config(1), request(Strategy::Auto, 1)).unwrap();
        session.poll_frame().unwrap().unwrap();
        let mut told = Refusal::new(RefusalCode::Busy, told);
        // No honest peer sends more than the bound.
        told.text = told.text.repeat(1 + Refusal::MAX_TEXT / told.text.len());
        let error = session.handle_frame(&frame::refusal(told)).unwrap_err();
        let SessionError::Refused(refusal) = error else {
            panic!("{error}");
        };
        assert!(refusal.text.len() <= Refusal::MAX_TEXT);
        refusal.text
    };
    let text = told("a\nb\u{1b}[2J\u{7}\u{9b}\u{202e}\u{2028}\u{0}\"ä\\\"");
    assert!(
        text.starts_with(r#"a\nb\u{1b}[2J\u{7}\u{9b}\u{202e}\u{2028}\0"ä\"a\n"#),
        "{text}"
    );
    assert!(!told("\u{1b}").contains('\u{1b}'));
}

#[test]
fn long_texts_are_cut_between_characters() {
    let refusal = Refusal::new(RefusalCode::Busy, "ä".repeat(1000));
    assert_eq!(refusal.text.len(), Refusal::MAX_TEXT);
    let refusal = Refusal::new(RefusalCode::Busy, format!("a{}", "ä".repeat(1000)));
    assert_eq!(refusal.text.len(), Refusal::MAX_TEXT - 1);
}
