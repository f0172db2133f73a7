#![allow(clippy::unwrap_used, clippy::panic)]

use std::fs;
use std::path::Path;
use std::time::SystemTime;

use rcgen::Issuer;
use syncline_sync::quic::{CERTIFICATE_NAME, IdentityError};

use super::super::certificates::{DAY, authority_params, node_params};
use super::super::secret::hex;
use super::*;

fn cluster() -> (tempfile::TempDir, Cluster) {
    let scratch = tempfile::tempdir().unwrap();
    let cluster = Cluster::create(scratch.path().join("cluster")).unwrap();
    (scratch, cluster)
}

fn home(cluster: &Cluster) -> &Path {
    cluster.directory.as_deref().unwrap()
}

#[test]
fn a_throwaway_cluster_admits_without_files() {
    let cluster = Cluster::throwaway().unwrap();
    let [ada, bob] = [(); 2].map(|()| cluster.admit().unwrap());
    assert_eq!(ada.cluster_id(), bob.cluster_id());
    assert_ne!(ada.identity.node_id(), bob.identity.node_id());
    assert!(matches!(cluster.issue("ada"), Err(TrustError::Throwaway)));
}

#[test]
fn identities_of_a_reopened_cluster_belong_together() {
    let (_scratch, cluster) = cluster();
    let ada = Membership::load(cluster.issue("ada").unwrap()).unwrap();
    let reopened = Cluster::open(home(&cluster)).unwrap();
    let bob = Membership::load(reopened.issue("bob").unwrap()).unwrap();
    assert_eq!(ada.secret(), bob.secret());
    assert_eq!(cluster.id(), bob.cluster_id());
    assert_ne!(ada.identity.node_id(), bob.identity.node_id());
    // Bob's certificate, made after reopening, is good under the authority that Ada holds.
    let [ada, bob] = ["ada", "bob"].map(|name| home(&cluster).join(name));
    Identity::load(bob.join(CERTIFICATE), bob.join(KEY), ada.join(AUTHORITY)).unwrap();
}

#[test]
fn nothing_is_overwritten() {
    let (_scratch, cluster) = cluster();
    cluster.issue("ada").unwrap();
    let before = read(&home(&cluster).join("ada").join(KEY)).unwrap();
    let authority = read(&home(&cluster).join(AUTHORITY)).unwrap();
    assert!(matches!(
        cluster.issue("ada"),
        Err(TrustError::Exists { .. })
    ));
    assert!(matches!(
        Cluster::create(home(&cluster)),
        Err(TrustError::Exists { .. })
    ));
    assert_eq!(before, read(&home(&cluster).join("ada").join(KEY)).unwrap());
    assert_eq!(authority, read(&home(&cluster).join(AUTHORITY)).unwrap());
}

#[cfg(unix)]
#[test]
fn secrets_are_the_owners_alone() {
    use std::os::unix::fs::PermissionsExt as _;
    let (_scratch, cluster) = cluster();
    let ada = cluster.issue("ada").unwrap();
    let mode = |path: PathBuf| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(home(&cluster).join(AUTHORITY_KEY)), 0o600);
    assert_eq!(mode(home(&cluster).join(SECRET)), 0o600);
    assert_eq!(mode(ada.join(KEY)), 0o600);
    assert_eq!(mode(ada.join(SECRET)), 0o600);
    assert_eq!(mode(ada), 0o700);
}

#[test]
fn names_that_leave_the_directory_are_refused() {
    let (_scratch, cluster) = cluster();
    for name in ["", ".", "..", "../x", "a/b", "a b", "ä", &"x".repeat(65)] {
        assert!(
            matches!(cluster.issue(name), Err(TrustError::Name { .. })),
            "{name}"
        );
    }
    cluster.issue("Ada-2_b.c").unwrap();
}

#[test]
fn certificates_name_neither_cluster_nor_node() {
    let (_scratch, cluster) = cluster();
    let ada = cluster.issue("ada-lovelace").unwrap();
    let certificate = fs::read(ada.join(CERTIFICATE)).unwrap();
    let text = String::from_utf8(certificate).unwrap();
    let body: String = text.lines().filter(|l| !l.starts_with('-')).collect();
    // Base64 of each alignment of the name would be needed to search the text; the decoded bytes are simpler.
    let der = decode_base64(&body);
    let holds = |needle: &[u8]| der.windows(needle.len()).any(|window| window == needle);
    assert!(holds(CERTIFICATE_NAME.as_bytes()));
    assert!(!holds(b"lovelace"));
    assert!(!holds(cluster.id().as_bytes()));
    assert!(!holds(cluster.id().to_string().as_bytes()));
}

fn decode_base64(text: &str) -> Vec<u8> {
    const ALPHABET: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut bits = 0u32;
    let mut held = 0;
    let mut out = Vec::new();
    for c in text.bytes().filter(|c| *c != b'=') {
        let digit = ALPHABET.iter().position(|a| *a == c).unwrap();
        bits = bits << 6 | digit as u32;
        held += 6;
        if held >= 8 {
            held -= 8;
            out.push((bits >> held) as u8);
        }
    }
    out
}

#[test]
fn what_is_wrong_with_the_files_is_said_with_its_remedy() {
    let (scratch, cluster) = cluster();
    let load = |directory: &Path| Membership::load(directory).unwrap_err();
    let fresh = |name: &str| cluster.issue(name).unwrap();

    let nowhere = load(&scratch.path().join("nowhere"));
    assert!(matches!(
        nowhere,
        TrustError::Identity(IdentityError::Missing { .. })
    ));
    assert!(nowhere.to_string().contains("syncline cluster init"));

    let ada = fresh("ada");
    fs::remove_file(ada.join(SECRET)).unwrap();
    assert!(matches!(load(&ada), TrustError::Missing { .. }));
    for (i, text) in ["", "abc", &"g".repeat(64), &"0".repeat(66)]
        .into_iter()
        .enumerate()
    {
        let node = fresh(&format!("secret{i}"));
        fs::write(node.join(SECRET), text).unwrap();
        assert!(matches!(load(&node), TrustError::Damaged { .. }), "{text}");
    }

    let bob = fresh("bob");
    fs::copy(fresh("carol").join(KEY), bob.join(KEY)).unwrap();
    assert!(matches!(
        load(&bob),
        TrustError::Identity(IdentityError::KeyMismatch { .. })
    ));

    let dave = fresh("dave");
    let whole = read(&dave.join(CERTIFICATE)).unwrap();
    fs::write(dave.join(CERTIFICATE), &whole[..whole.len() / 2]).unwrap();
    let cut = load(&dave);
    assert!(matches!(
        cut,
        TrustError::Identity(IdentityError::NotPem { .. })
    ));
    assert!(cut.to_string().contains("copy it again"));

    let other = Cluster::create(scratch.path().join("other")).unwrap();
    let eve = other.issue("eve").unwrap();
    fs::copy(home(&cluster).join(AUTHORITY), eve.join(AUTHORITY)).unwrap();
    assert!(matches!(
        load(&eve),
        TrustError::Identity(IdentityError::OtherAuthority { .. })
    ));

    // An authority's certificate from elsewhere would make identities that nobody accepts.
    fs::copy(home(&other).join(AUTHORITY), home(&cluster).join(AUTHORITY)).unwrap();
    let mixed = Cluster::open(home(&cluster)).unwrap();
    assert!(matches!(
        mixed.issue("frank"),
        Err(TrustError::Identity(IdentityError::OtherAuthority { .. }))
    ));
    assert!(!home(&cluster).join("frank").exists());
    fs::write(home(&cluster).join(AUTHORITY_KEY), "nothing").unwrap();
    assert!(matches!(
        Cluster::open(home(&cluster)),
        Err(TrustError::Damaged { .. })
    ));
}

#[test]
fn expired_and_future_certificates_are_told_apart() {
    let (_scratch, cluster) = cluster();
    let issuer = Issuer::new(authority_params(&cluster.key), &cluster.key);
    let load = |from: SystemTime, to: SystemTime| {
        let key = KeyPair::generate().unwrap();
        let mut params = node_params().unwrap();
        params.not_before = from.into();
        params.not_after = to.into();
        let certificate = params.signed_by(&key, &issuer).unwrap().pem();
        Identity::from_pem(&certificate, &key.serialize_pem(), &cluster.authority)
    };
    let now = SystemTime::now();
    load(now - DAY, now + DAY).unwrap();
    let expired = load(now - DAY * 9, now - DAY * 5).unwrap_err();
    assert!(matches!(expired, IdentityError::Expired { .. }));
    assert!(
        expired.to_string().contains("expired 5 days ago"),
        "{expired}"
    );
    let future = load(now + DAY * 4, now + DAY * 9).unwrap_err();
    assert!(matches!(future, IdentityError::NotYetValid { .. }));
    assert!(future.to_string().contains("valid in"), "{future}");
}

#[test]
fn debug_output_holds_no_secret() {
    let (_scratch, cluster) = cluster();
    let ada = Membership::load(cluster.issue("ada").unwrap()).unwrap();
    let secret = hex(ada.secret());
    for text in [format!("{cluster:?}"), format!("{ada:?}")] {
        assert!(!text.contains(&secret));
        assert!(!text.contains("PRIVATE"));
    }
}
