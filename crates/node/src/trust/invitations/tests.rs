#![allow(clippy::unwrap_used, clippy::panic)]

use std::path::Path;
use std::sync::{Arc, Barrier};
use std::thread;

use super::*;

const KEY: NodeId = NodeId::from_bytes([1; 32]);

fn node(number: u8) -> NodeId {
    NodeId::from_bytes([number; 32])
}

fn at(second: u64) -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_secs(second)
}

fn open(expires: u64) -> Open {
    Open {
        expires,
        namespaces: Some(vec!["app".to_owned(), "logs".to_owned()]),
        name: Some("oslo".to_owned()),
    }
}

fn invitations() -> (tempfile::TempDir, Invitations) {
    let scratch = tempfile::tempdir().unwrap();
    let invitations = Invitations::new(scratch.path().join("invitations"));
    (scratch, invitations)
}

#[test]
fn an_invitation_is_for_one_node_until_it_expires() {
    let (_scratch, invitations) = invitations();
    let redeem = |by, second| invitations.redeem(&KEY, &node(by), at(second)).unwrap();
    assert!(!invitations.knows(&KEY, at(0)));
    assert!(matches!(redeem(2, 0), Redeemed::Unknown));

    invitations.add(&KEY, &open(100)).unwrap();
    assert!(invitations.knows(&KEY, at(99)) && !invitations.knows(&KEY, at(100)));
    assert!(matches!(redeem(2, 100), Redeemed::Expired(100)));
    let Redeemed::Yes(said) = redeem(2, 99) else {
        panic!("it was refused");
    };
    assert_eq!(said.namespaces.unwrap(), ["app", "logs"]);
    assert_eq!(said.name.unwrap(), "oslo");
    // The answer may have been lost; who is told that it was used can still ask.
    assert!(matches!(redeem(2, 99), Redeemed::Yes(_)));
    assert!(matches!(redeem(3, 99), Redeemed::UsedBy(by) if by == node(2)));
    assert!(invitations.knows(&KEY, at(99)));
    assert!(matches!(redeem(2, 100), Redeemed::Expired(100)));
}

/// No namespaces is not the same as all.
#[test]
fn an_empty_list_of_namespaces_stays_one() {
    let (_scratch, invitations) = invitations();
    for namespaces in [None, Some(Vec::new())] {
        let invited = Open {
            namespaces: namespaces.clone(),
            ..open(100)
        };
        invitations.add(&KEY, &invited).unwrap();
        let said = invitations.read(&KEY).unwrap().unwrap();
        assert_eq!(said.namespaces, namespaces);
    }
}

#[test]
fn of_many_at_once_one_becomes_the_member() {
    let (_scratch, invitations) = invitations();
    for round in 0..20 {
        let key = NodeId::from_bytes([100 + round; 32]);
        invitations.add(&key, &open(100)).unwrap();
        let start = Arc::new(Barrier::new(8));
        let tries = (0..8).map(|by| {
            let (invitations, start) = (invitations.clone(), start.clone());
            thread::spawn(move || {
                start.wait();
                match invitations.redeem(&key, &node(by), at(0)).unwrap() {
                    Redeemed::Yes(_) => Ok(node(by)),
                    Redeemed::UsedBy(other) => Err(other),
                    other => panic!("{other:?}"),
                }
            })
        });
        let tries: Vec<_> = tries.collect();
        let outcomes: Vec<_> = tries.into_iter().map(|it| it.join().unwrap()).collect();
        let member = outcomes.iter().find_map(|it| it.ok()).unwrap();
        assert_eq!(outcomes.iter().filter(|it| it.is_ok()).count(), 1);
        assert!(
            outcomes
                .iter()
                .all(|it| *it == Ok(member) || *it == Err(member))
        );
    }
}

/// Whatever a process that was killed has left, one node is let in and no other.
#[test]
fn a_kill_at_any_point_lets_nobody_else_in() {
    let note = Fields::default().with("node", node(2)).to_text();
    // Before the note was whole; before it was linked; before its first name was removed.
    let kills: [&dyn Fn(&Path); 3] = [
        &|home| fs::write(home.join(".0.new"), &note[..9]).unwrap(),
        &|home| fs::write(home.join(".0.new"), &note).unwrap(),
        &|home| {
            fs::write(home.join(".0.new"), &note).unwrap();
            fs::hard_link(home.join(".0.new"), home.join(format!("{KEY}.used"))).unwrap();
        },
    ];
    for (point, kill) in kills.iter().enumerate() {
        let (_scratch, invitations) = invitations();
        invitations.add(&KEY, &open(100)).unwrap();
        kill(&invitations.directory);
        let other = invitations.redeem(&KEY, &node(3), at(0)).unwrap();
        let own = invitations.redeem(&KEY, &node(2), at(0)).unwrap();
        match point {
            2 => assert!(matches!(
                (other, own),
                (Redeemed::UsedBy(_), Redeemed::Yes(_))
            )),
            _ => assert!(matches!(
                (other, own),
                (Redeemed::Yes(_), Redeemed::UsedBy(_))
            )),
        }
    }
}

#[test]
fn what_expired_long_ago_is_removed() {
    let (_scratch, invitations) = invitations();
    invitations.add(&KEY, &open(100)).unwrap();
    invitations.redeem(&KEY, &node(2), at(0)).unwrap();
    let count = || fs::read_dir(&invitations.directory).unwrap().count();
    assert_eq!(count(), 2);
    invitations.clean(at(100)).unwrap();
    assert_eq!(count(), 2);
    invitations.clean(at(101) + KEPT).unwrap();
    assert_eq!(count(), 0);
}

#[test]
fn what_cannot_be_meant_is_refused() {
    let hour = Duration::from_secs(3600);
    let good = || Invitation::new(["a.example:7400", "[::1]:1", "10.0.0.7:65535"], hour);
    good().check().unwrap();
    good().namespaces(["app"]).check().unwrap();
    for address in [
        "",
        "host",
        "host:",
        ":7400",
        "host:0",
        "host:65536",
        "a b:1",
        "a\nb:1",
    ] {
        let error = Invitation::new([address], hour).check().unwrap_err();
        assert!(error.to_string().contains("no address"), "{error}");
    }
    assert!(Invitation::new(Vec::<String>::new(), hour).check().is_err());
    assert!(Invitation::new(vec!["a:1"; 17], hour).check().is_err());
    assert!(Invitation::new(["a:1"], Duration::ZERO).check().is_err());
    assert!(good().namespaces(["Not A Name"]).check().is_err());
    let many = (0..257).map(|number| format!("n{number}"));
    assert!(good().namespaces(many).check().is_err());
}
