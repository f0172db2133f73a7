#![allow(clippy::unwrap_used)]

use super::super::{Cluster, Membership};
use super::*;

fn cluster() -> (tempfile::TempDir, Cluster) {
    let scratch = tempfile::tempdir().unwrap();
    let cluster = Cluster::create(scratch.path().join("cluster")).unwrap();
    (scratch, cluster)
}

#[test]
fn members_are_found_by_name_and_by_the_beginning_of_their_id() {
    let (_scratch, cluster) = cluster();
    let office = cluster.office().unwrap();
    let ada = Membership::load(cluster.issue("ada").unwrap())
        .unwrap()
        .identity
        .node_id();
    cluster.issue("bob").unwrap();
    assert_eq!(office.find("ada").unwrap(), ada);
    assert_eq!(office.find(&ada.to_string()[..8]).unwrap(), ada);
    let unlisted = NodeId::from_bytes([9; 32]);
    assert_eq!(office.find(&unlisted.to_string()).unwrap(), unlisted);
    for wanted in ["carol", "", &ada.to_string()[..7]] {
        let error = office.find(wanted).unwrap_err();
        assert!(
            error.to_string().contains("syncline cluster members"),
            "{error}"
        );
    }
    assert!(office.revoke(&ada, false).unwrap());
    assert!(!office.revoke(&ada, false).unwrap(), "it is no news");
    assert!(office.revoke(&ada, true).unwrap(), "that it is gone, is");
    assert_eq!(office.revoked().unwrap(), [ada]);
}

#[test]
fn an_exchange_waits_for_those_who_have_not_renewed() {
    let (scratch, cluster) = cluster();
    let office = cluster.office().unwrap();
    let ada = cluster.issue("ada").unwrap();
    let bob = cluster.issue("bob").unwrap();
    let old = signing(&cluster).unwrap();
    assert!(office.finish_exchange(false).is_err(), "none is under way");
    office.begin_exchange().unwrap();
    let error = office.begin_exchange().unwrap_err();
    assert!(error.to_string().contains("--finish"), "{error}");

    // Both are trusted, the new one signs.
    let under_way = Cluster::open(scratch.path().join("cluster")).unwrap();
    assert_eq!(under_way.roots().unwrap().len(), 2);
    let new = signing(&under_way).unwrap();
    assert_ne!(new, old);
    let carol = Membership::load(under_way.issue("carol").unwrap()).unwrap();
    assert_eq!(carol.identity.issuer(), Some(new));
    assert_eq!(carol.identity.authorities().len(), 2);
    // Who was away and trusts the old one alone can check what the new one has signed.
    let away = fs::read_to_string(ada.join(AUTHORITY)).unwrap();
    let [certificate, key] = ["node.pem", "node.key"]
        .map(|name| fs::read_to_string(scratch.path().join("cluster/carol").join(name)).unwrap());
    syncline_sync::quic::Identity::from_pem(&certificate, &key, &away).unwrap();

    let error = office.finish_exchange(false).unwrap_err();
    assert!(
        error.to_string().contains("ada") && error.to_string().contains("bob"),
        "{error}"
    );
    assert!(!error.to_string().contains("carol"), "{error}");
    let id = |directory| Membership::load(directory).unwrap().identity.node_id();
    office.revoke(&id(ada), false).unwrap();
    let error = office.finish_exchange(false).unwrap_err();
    assert!(!error.to_string().contains("ada"), "{error}");
    office.revoke(&id(bob), false).unwrap();
    office.finish_exchange(false).unwrap();
    let done = Cluster::open(scratch.path().join("cluster")).unwrap();
    assert_eq!(done.roots().unwrap().len(), 1);
    assert_eq!(signing(&done).unwrap(), new);
    // What the old one has revoked stays revoked for who knows the new one alone.
    let told = Notices::load(office.home()).unwrap();
    let mut fresh = Notices::default();
    fresh.learn(&told, &done.roots().unwrap(), done.id(), SystemTime::now());
    assert_eq!(fresh.revoked().len(), 2);
}

/// Killed at any step, the exchange is begun again and comes to the same end.
#[test]
fn an_exchange_that_was_killed_goes_on() {
    let (scratch, cluster) = cluster();
    let home = scratch.path().join("cluster");
    let path = |name: &str| home.join(name);
    let office = cluster.office().unwrap();
    let gone = NodeId::from_bytes([9; 32]);
    office.revoke(&gone, false).unwrap();
    let before = fs::read(path(AUTHORITY_KEY)).unwrap();

    // Before the key was made, with its certificate there already.
    fs::write(path(NEXT), "half").unwrap();
    office.begin_exchange().unwrap();
    let signs = signing(&*office.authority).unwrap();
    assert_eq!(fs::read(path(OLD_KEY)).unwrap(), before);

    // Before the new key took the place of the old one: the old one signs still.
    fs::rename(path(AUTHORITY_KEY), path(NEXT_KEY)).unwrap();
    fs::copy(path(OLD_KEY), path(AUTHORITY_KEY)).unwrap();
    let halfway = Cluster::open(&home).unwrap();
    assert_ne!(signing(&halfway).unwrap(), signs);
    assert!(halfway.admit().is_ok(), "members are made all the time");
    office.begin_exchange().unwrap();
    assert_eq!(signing(&*office.authority).unwrap(), signs);
    assert!(!path(NEXT_KEY).exists());
    assert_eq!(Cluster::open(&home).unwrap().roots().unwrap().len(), 2);

    // By both authorities: that the node is revoked.
    let told = Notices::load(&home).unwrap();
    for root in office.authority.roots().unwrap() {
        let mut notices = Notices::default();
        notices.learn(&told, &[root], office.cluster(), SystemTime::now());
        assert_eq!(notices.revoked().into_iter().collect::<Vec<_>>(), [gone]);
    }
    office.finish_exchange(false).unwrap();
    // Killed before the old key was removed, it is finished once more.
    fs::write(path(OLD_KEY), before).unwrap();
    office.finish_exchange(false).unwrap();
    assert!(!path(OLD_KEY).exists());
}
