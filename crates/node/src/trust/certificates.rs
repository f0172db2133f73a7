//! What certificates say: of an authority, and of a node.

use std::time::{Duration, SystemTime};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use rcgen::{
    BasicConstraints, CertificateParams, CustomExtension, DistinguishedName, DnType,
    ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair, KeyUsagePurpose, PublicKeyData,
};
use syncline_sync::quic::{CERTIFICATE_NAME, GRANT_EXTENSION, Grant};

use super::secret::hex;

#[cfg(test)]
pub(super) const DAY: Duration = Duration::from_secs(24 * 60 * 60);
/// How long an authority is good for.
const AUTHORITY_VALIDITY: Duration = Duration::from_secs(3650 * 24 * 60 * 60);
/// How long a node's certificate is good for.
pub(super) const NODE_VALIDITY: Duration = Duration::from_secs(365 * 24 * 60 * 60);
/// Certificates begin in the past, for machines whose clocks are behind.
const SKEW: Duration = Duration::from_secs(60 * 60);

/// The certificate of a new authority, as PEM.
pub(super) fn authority(key: &KeyPair) -> Result<String, rcgen::Error> {
    let mut params = authority_params(key);
    valid_for(&mut params, AUTHORITY_VALIDITY);
    Ok(params.self_signed(key)?.pem())
}

/// The certificate of an authority as another one vouches for it, as PEM: for who trusts that other one alone.
pub(super) fn vouched(key: &KeyPair, by: &KeyPair) -> Result<String, rcgen::Error> {
    let mut params = authority_params(key);
    valid_for(&mut params, NODE_VALIDITY);
    params.use_authority_key_identifier_extension = true;
    signed(&params, key, by)
}

/// A certificate of these terms for whoever has this key, under the authority with that one, as PEM.
pub(super) fn signed(
    params: &CertificateParams,
    key: &impl PublicKeyData,
    authority: &KeyPair,
) -> Result<String, rcgen::Error> {
    // The issuer is known by its key alone, since its parameters are always the same: nothing is parsed.
    let issuer = Issuer::new(authority_params(authority), authority);
    Ok(params.signed_by(key, &issuer)?.pem())
}

/// Has a certificate name the namespaces that its holder may carry.
pub(super) fn grant(params: &mut CertificateParams, grant: &Grant) {
    let extension = grant
        .to_extension()
        .map(|content| CustomExtension::from_oid_content(GRANT_EXTENSION, content));
    params.custom_extensions = extension.into_iter().collect();
}

/// A certificate as PEM.
pub(super) fn pem(der: &[u8]) -> String {
    let text = STANDARD.encode(der);
    let mut pem = "-----BEGIN CERTIFICATE-----\n".to_owned();
    let mut rest = text.as_str();
    while !rest.is_empty() {
        let (line, more) = rest.split_at(rest.len().min(64));
        pem.push_str(line);
        pem.push('\n');
        rest = more;
    }
    pem + "-----END CERTIFICATE-----\n"
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
    valid_for(&mut params, NODE_VALIDITY);
    Ok(params)
}

fn common_name(name: &str) -> DistinguishedName {
    let mut distinguished = DistinguishedName::new();
    distinguished.push(DnType::CommonName, name);
    distinguished
}

pub(super) fn valid_for(params: &mut CertificateParams, time: Duration) {
    let now = SystemTime::now();
    params.not_before = (now - SKEW).into();
    params.not_after = (now + time).into();
}
