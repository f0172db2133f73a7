//! Certificate authorities and the identities that they issue.

use std::time::{Duration, SystemTime};

use rcgen::{
    BasicConstraints, CertificateParams, CustomExtension, DnType, ExtendedKeyUsagePurpose, IsCa,
    Issuer, KeyPair, KeyUsagePurpose, SigningKey as _,
};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use syncline_sync::quic::{CERTIFICATE_NAME, GRANT_EXTENSION, Grant, Identity};

const DAY: Duration = Duration::from_secs(86_400);

pub struct Authority {
    params: CertificateParams,
    key: KeyPair,
    pub pem: String,
}

/// The PEM texts of one node.
pub struct Papers {
    pub certificate: String,
    pub key: String,
}

impl Authority {
    pub fn new(name: &str) -> Self {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::default();
        params.distinguished_name.push(DnType::CommonName, name);
        params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign];
        let pem = params.self_signed(&key).unwrap().pem();
        Self { params, key, pem }
    }

    pub fn papers(&self) -> Papers {
        let now = SystemTime::now();
        self.papers_with(CERTIFICATE_NAME, now - DAY, now + DAY)
    }

    pub fn papers_with(&self, name: &str, from: SystemTime, to: SystemTime) -> Papers {
        let key = KeyPair::generate().unwrap();
        self.papers_over(&key, name, from, to, &Grant::ALL)
    }

    /// Papers that name namespaces, under the key that a node which was told none goes by.
    pub fn papers_for(&self, namespaces: &[&str]) -> Papers {
        let (key, now) = (KeyPair::generate().unwrap(), SystemTime::now());
        let grant = Grant::of(namespaces.iter().copied(), &[0; 32]);
        self.papers_over(&key, CERTIFICATE_NAME, now - DAY, now + DAY, &grant)
    }

    /// Other papers over the key of these.
    pub fn papers_again(&self, papers: &Papers, to: SystemTime) -> Papers {
        let key = KeyPair::from_pem(&papers.key).unwrap();
        let from = SystemTime::now() - DAY;
        self.papers_over(&key, CERTIFICATE_NAME, from, to, &Grant::ALL)
    }

    fn papers_over(
        &self,
        key: &KeyPair,
        name: &str,
        from: SystemTime,
        to: SystemTime,
        grant: &Grant,
    ) -> Papers {
        let mut params = CertificateParams::new([name.to_owned()]).unwrap();
        params.not_before = from.into();
        params.not_after = to.into();
        params.extended_key_usages = vec![
            ExtendedKeyUsagePurpose::ServerAuth,
            ExtendedKeyUsagePurpose::ClientAuth,
        ];
        if let Some(content) = grant.to_extension() {
            let extension = CustomExtension::from_oid_content(GRANT_EXTENSION, content);
            params.custom_extensions = vec![extension];
        }
        let issuer = Issuer::from_params(&self.params, &self.key);
        Papers {
            certificate: params.signed_by(key, &issuer).unwrap().pem(),
            key: key.serialize_pem(),
        }
    }

    pub fn identity(&self) -> Identity {
        self.papers().identity(&self.pem).unwrap()
    }

    /// Signs a statement, as an authority may beside certificates.
    pub fn sign(&self, message: &[u8]) -> Vec<u8> {
        self.key.sign(message).unwrap()
    }

    pub fn certificate(&self) -> CertificateDer<'static> {
        CertificateDer::from_pem_slice(self.pem.as_bytes()).unwrap()
    }
}

impl Papers {
    pub fn identity(
        &self,
        authority: &str,
    ) -> Result<Identity, syncline_sync::quic::IdentityError> {
        Identity::from_pem(&self.certificate, &self.key, authority)
    }

    /// The node's identity, as peers see it.
    pub fn node(&self) -> [u8; 32] {
        let certificate = &self.der().0[0];
        let key = rustls::server::ParsedCertificate::try_from(certificate)
            .unwrap()
            .subject_public_key_info();
        *blake3::hash(&key).as_bytes()
    }

    pub fn der(&self) -> (Vec<CertificateDer<'static>>, PrivateKeyDer<'static>) {
        let chain = CertificateDer::pem_slice_iter(self.certificate.as_bytes())
            .collect::<Result<_, _>>()
            .unwrap();
        let key = PrivateKeyDer::from_pem_slice(self.key.as_bytes()).unwrap();
        (chain, key)
    }
}
