use std::time::{Duration, SystemTime};

use syncline_sync::quic::{CERTIFICATE_NAME, Identity, IdentityError};

use crate::members::Authority;

const DAY: Duration = Duration::from_secs(86_400);

#[test]
fn a_node_is_its_key() {
    let authority = Authority::new("ours");
    let papers = authority.papers();
    let once = papers.identity(&authority.pem).unwrap();
    let again = papers.identity(&authority.pem).unwrap();
    assert_eq!(once.node_id(), again.node_id());
    assert_ne!(once.node_id(), authority.identity().node_id());
    assert_eq!(once.node_id().to_string().len(), 64);
}

#[test]
fn what_keeps_three_texts_from_being_an_identity_is_told_apart() {
    let authority = Authority::new("ours");
    let papers = authority.papers();
    let load = Identity::from_pem;

    let mismatch = load(&papers.certificate, &authority.papers().key, &authority.pem);
    assert!(matches!(mismatch, Err(IdentityError::KeyMismatch { .. })));

    for (certificate, key, root) in [
        ("", papers.key.as_str(), authority.pem.as_str()),
        (&papers.certificate, "no key", &authority.pem),
        (&papers.certificate, &papers.key, &papers.key),
        (&papers.certificate[..200], &papers.key, &authority.pem),
        (&papers.key, &papers.certificate, &authority.pem),
    ] {
        let error = load(certificate, key, root).unwrap_err();
        assert!(matches!(error, IdentityError::NotPem { .. }), "{error}");
    }

    let stranger = Authority::new("theirs");
    let foreign = load(&papers.certificate, &papers.key, &stranger.pem);
    assert!(matches!(foreign, Err(IdentityError::OtherAuthority { .. })));
    // An authority of the same name is no better than one of another.
    let impostor = Authority::new("ours");
    let forged = load(&papers.certificate, &papers.key, &impostor.pem);
    assert!(matches!(forged, Err(IdentityError::OtherAuthority { .. })));

    let now = SystemTime::now();
    let old = authority.papers_with(CERTIFICATE_NAME, now - 3 * DAY, now - 2 * DAY);
    let expired = old.identity(&authority.pem);
    assert!(matches!(expired, Err(IdentityError::Expired { .. })));
    let young = authority.papers_with(CERTIFICATE_NAME, now + DAY, now + 2 * DAY);
    let early = young.identity(&authority.pem);
    assert!(matches!(early, Err(IdentityError::NotYetValid { .. })));

    let web = authority.papers_with("example.org", now - DAY, now + DAY);
    let misnamed = web.identity(&authority.pem);
    assert!(matches!(misnamed, Err(IdentityError::Unusable { .. })));
}

#[test]
fn missing_and_unreadable_files_are_named() {
    let scratch = tempfile::tempdir().unwrap();
    let authority = Authority::new("ours");
    let papers = authority.papers();
    let [certificate, key, root] =
        ["node.pem", "node.key", "ca.pem"].map(|name| scratch.path().join(name));
    std::fs::write(&certificate, &papers.certificate).unwrap();
    std::fs::write(&key, &papers.key).unwrap();

    let missing = Identity::load(&certificate, &key, &root).unwrap_err();
    assert!(matches!(missing, IdentityError::Missing { .. }));
    assert!(missing.to_string().contains("ca.pem"));

    // A directory can be opened and not be read, whoever runs the test.
    std::fs::create_dir(&root).unwrap();
    let unreadable = Identity::load(&certificate, &key, &root).unwrap_err();
    assert!(matches!(unreadable, IdentityError::Unreadable { .. }));

    std::fs::remove_dir(&root).unwrap();
    std::fs::write(&root, &authority.pem).unwrap();
    Identity::load(&certificate, &key, &root).unwrap();
}
