#![allow(clippy::unwrap_used)]

use super::super::Cluster;
use super::*;

const NOW: SystemTime = SystemTime::UNIX_EPOCH;

fn revoke(node: u8, until: u64) -> Statement {
    Statement::Revoke {
        node: [node; 32],
        gone: false,
        until,
    }
}

fn signed(by: &Cluster, cluster: &Cluster, statement: Statement) -> Notices {
    let mut notices = Notices::default();
    notices.insert(Notice::sign(by, cluster.id(), statement).unwrap());
    notices
}

fn roots(of: &[&Cluster]) -> Vec<Root> {
    of.iter().flat_map(|it| it.roots().unwrap()).collect()
}

fn node(number: u8) -> NodeId {
    NodeId::from_bytes([number; 32])
}

#[test]
fn notices_make_the_same_set_in_whatever_order_they_come() {
    let ours = Cluster::throwaway().unwrap();
    let told: Vec<_> = (1..=4)
        .map(|n| signed(&ours, &ours, revoke(n, 9)))
        .collect();
    let roots = roots(&[&ours]);
    let learnt = |order: &[usize]| {
        let mut notices = Notices::default();
        for at in order {
            assert!(notices.learn(&told[*at], &roots, ours.id(), NOW));
            assert!(
                !notices.learn(&told[*at], &roots, ours.id(), NOW),
                "it is no news"
            );
        }
        notices
    };
    let one = learnt(&[0, 1, 2, 3]);
    assert_eq!(one.to_bytes(), learnt(&[3, 1, 0, 2]).to_bytes());
    assert_eq!(one.revoked(), (1..=4).map(node).collect());
    assert_eq!(Notices::from_bytes(&one.to_bytes()).unwrap(), one);
}

#[test]
fn what_no_trusted_authority_has_signed_is_passed_over() {
    let [ours, theirs] = [(); 2].map(|()| Cluster::throwaway().unwrap());
    let trusted = roots(&[&ours]);
    let mut notices = Notices::default();
    // Of another authority; for another cluster; with another statement behind the signature.
    let strange = signed(&theirs, &ours, revoke(1, 9));
    let elsewhere = signed(&ours, &theirs, revoke(1, 9));
    let honest = signed(&ours, &ours, revoke(1, 9));
    let forged = honest.iter().map(|notice| Notice {
        statement: revoke(2, 9),
        ..notice
    });
    let mut altered = Notices::default();
    for notice in forged {
        altered.insert(notice);
    }
    // One that is over, too, is no news.
    let over = signed(&ours, &ours, revoke(1, 0));
    for told in [strange, elsewhere, altered, over] {
        assert!(!notices.learn(&told, &trusted, ours.id(), NOW));
    }
    assert!(notices.is_empty());
}

#[test]
fn an_authority_endorses_another_which_retires_it() {
    let [old, new, strange] = [(); 3].map(|()| Cluster::throwaway().unwrap());
    let root = new.roots().unwrap().remove(0);
    let endorsed = signed(
        &old,
        &old,
        Statement::Succeed {
            root: root.certificate().to_vec(),
        },
    );
    let mut told = endorsed.clone();
    // Who trusts the old one alone takes the word of the new one with its endorsement, whichever comes first in the set.
    for notice in signed(&new, &old, revoke(1, 9)).iter() {
        told.insert(notice);
    }
    let trusted = roots(&[&old]);
    let mut notices = Notices::default();
    assert!(notices.learn(&told, &trusted, old.id(), NOW));
    assert_eq!(notices.revoked(), BTreeSet::from([node(1)]));
    let both = notices.roots(&trusted);
    assert_eq!(both.len(), 2);
    let issuer = trusted[0].id();
    assert!(notices.has_successor(issuer, &both) && !notices.has_successor(root.id(), &both));

    let retired = |authority: &Root| Statement::Retire {
        authority: *authority.id().as_bytes(),
    };
    // Neither a stranger nor the old one itself ends the trust in it.
    let by_stranger = signed(&strange, &old, retired(&trusted[0]));
    assert!(!notices.learn(&by_stranger, &both, old.id(), NOW));
    let mut alone = notices.clone();
    alone.learn(
        &signed(&old, &old, retired(&trusted[0])),
        &both,
        old.id(),
        NOW,
    );
    assert_eq!(alone.roots(&both).len(), 2);
    let by_new = signed(&new, &old, retired(&trusted[0]));
    assert!(notices.learn(&by_new, &both, old.id(), NOW));
    assert_eq!(notices.roots(&both), std::slice::from_ref(&root));
    assert_eq!(notices.roots(std::slice::from_ref(&root)), [root]);
}

#[test]
fn a_revocation_is_kept_until_no_certificate_can_be_good() {
    let ours = Cluster::throwaway().unwrap();
    let mut notices = signed(&ours, &ours, revoke(1, 100));
    let at = |second| NOW + Duration::from_secs(second);
    assert!(!notices.expire(at(99)));
    assert!(notices.expire(at(100)) && notices.is_empty());
    assert!(until(NOW) > NODE_VALIDITY.as_secs());
}

#[test]
fn bytes_that_are_no_notices_are_refused() {
    let ours = Cluster::throwaway().unwrap();
    let bytes = signed(&ours, &ours, revoke(1, 9)).to_bytes();
    assert!(Notices::from_bytes(&[]).unwrap().is_empty());
    for cut in 1..bytes.len() {
        assert!(Notices::from_bytes(&bytes[..cut]).is_none(), "{cut}");
    }
    assert!(Notices::from_bytes(&[&bytes[..], &[0]].concat()).is_none());
    assert!(Notices::from_bytes(&vec![0xff; LONGEST + 1]).is_none());
    assert!(Notices::from_bytes(&[0xff; 40]).is_none());
}

/// What is signed is fixed: other versions have to come to the same bytes.
#[test]
fn golden() {
    let cluster = Cluster::throwaway().unwrap().id();
    let bytes = signed_bytes(cluster, &revoke(7, 300));
    let head = [CONTEXT, cluster.as_bytes()].concat();
    assert_eq!(bytes[..head.len()], head);
    assert_eq!(
        bytes[head.len()..],
        [&[0][..], &[7; 32], &[0, 0xac, 2]].concat()
    );
    assert_eq!(encode(&Statement::Succeed { root: vec![5] }), [1, 1, 5]);
    let retired = encode(&Statement::Retire { authority: [6; 32] });
    assert_eq!(retired, [&[2][..], &[6; 32]].concat());
}
