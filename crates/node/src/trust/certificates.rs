//! What certificates say: of an authority, and of a node.

use std::time::{Duration, SystemTime};

use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa,
    Issuer, KeyPair, KeyUsagePurpose,
};
use syncline_sync::quic::CERTIFICATE_NAME;

use super::secret::hex;

pub(super) const DAY: Duration = Duration::from_secs(24 * 60 * 60);
/// How long an authority is good for.
const AUTHORITY_DAYS: u32 = 3650;
/// How long a node's certificate is good for.
const NODE_DAYS: u32 = 365;
/// Certificates begin in the past, for machines whose clocks are behind.
const SKEW: Duration = Duration::from_secs(60 * 60);

/// The certificate of a new authority, as PEM.
pub(super) fn authority(key: &KeyPair) -> Result<String, rcgen::Error> {
    let mut params = authority_params(key);
    valid_for(&mut params, AUTHORITY_DAYS);
    Ok(params.self_signed(key)?.pem())
}

/// A certificate for a node with this key, under the authority with that one, as PEM.
pub(super) fn node(key: &KeyPair, authority: &KeyPair) -> Result<String, rcgen::Error> {
    // The issuer is known by its key alone, since its parameters are always the same: nothing is parsed.
    let issuer = Issuer::new(authority_params(authority), authority);
    Ok(node_params()?.signed_by(key, &issuer)?.pem())
}

/// The authority's parameters but for its validity. They depend on its key alone, so that an issuer can be named without
/// reading its certificate. Each authority has a name of its own, after its key: one that all shared would
/// make a stranger's certificate look like a forged one.
pub(super) fn authority_params(key: &KeyPair) -> CertificateParams {
    let mut params = CertificateParams::default();
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    let id = hex(&params.key_identifier(key));
    params.distinguished_name = common_name(&format!("syncline authority {id}"));
    params
}

pub(super) fn node_params() -> Result<CertificateParams, rcgen::Error> {
    let mut params = CertificateParams::new([CERTIFICATE_NAME.to_owned()])?;
    params.distinguished_name = common_name("syncline node");
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.extended_key_usages = vec![
        ExtendedKeyUsagePurpose::ServerAuth,
        ExtendedKeyUsagePurpose::ClientAuth,
    ];
    params.use_authority_key_identifier_extension = true;
    valid_for(&mut params, NODE_DAYS);
    Ok(params)
}

fn common_name(name: &str) -> DistinguishedName {
    let mut distinguished = DistinguishedName::new();
    distinguished.push(DnType::CommonName, name);
    distinguished
}

fn valid_for(params: &mut CertificateParams, days: u32) {
    let now = SystemTime::now();
    params.not_before = (now - SKEW).into();
    params.not_after = (now + DAY * days).into();
}
