//! TLS without a C compiler: certificates and keys from files, and what does the arithmetic.

use std::fs::File;
use std::io::{self, Read as _};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::{ClientConfig, DigitallySignedStruct, RootCertStore, ServerConfig, SignatureScheme};
use thiserror::Error;

/// The longest file with certificates or a key, in bytes.
const MOST_BYTES: u64 = 1 << 20;

/// Why there is no TLS.
#[derive(Debug, Error)]
pub enum TlsError {
    /// The CPU lacks what the arithmetic is written for.
    #[error(
        "this CPU cannot do TLS: it lacks some of AES, PCLMULQDQ, BMI1, ADX and AVX2 (x86-64), or AES, PMULL and SHA2 (arm64)"
    )]
    Cpu,
    /// A file cannot be read.
    #[error("cannot read the TLS file {}", path.display())]
    CannotRead {
        /// The file.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// A file is too long.
    #[error("the TLS file {} exceeds the limit of {MOST_BYTES} bytes", path.display())]
    TooLong {
        /// The file.
        path: PathBuf,
    },
    /// Everybody can read the key.
    #[error("the TLS key {} can be read or written by every user (its mode is {mode:o})", path.display())]
    Exposed {
        /// The file.
        path: PathBuf,
        /// Its permissions.
        mode: u32,
    },
    /// There is no certificate.
    #[error("the TLS file {} has no certificate", path.display())]
    NoCertificate {
        /// The file.
        path: PathBuf,
    },
    /// There is no key.
    #[error("the TLS file {} has no private key", path.display())]
    NoKey {
        /// The file.
        path: PathBuf,
    },
    /// A client cannot be made.
    #[error("cannot begin TLS")]
    NoClient {
        /// Why not.
        source: rustls::Error,
    },
    /// They do not fit, or are of a kind that is not supported.
    #[error("cannot use the TLS certificate {} with the key {}", certificate.display(), key.display())]
    Unusable {
        /// The file with the certificate.
        certificate: PathBuf,
        /// The file with the key.
        key: PathBuf,
        /// Why not.
        source: rustls::Error,
    },
}

impl TlsError {
    /// What to do about it.
    pub const fn hint(&self) -> &'static str {
        match self {
            Self::Cpu => "leave out --tls-cert and https://, and let a proxy that has TLS do that",
            Self::CannotRead { .. } => "check that the file exists and that you may read it",
            Self::Exposed { .. } => "let only its owner or a group read it: `chmod o= FILE`",
            Self::TooLong { .. } => "give the file that has only this, in PEM",
            Self::NoCertificate { .. } => "give a file in PEM: it has a line `-----BEGIN CERTIFICATE-----`",
            Self::NoKey { .. } => {
                "give an unencrypted key in PEM: it has a line that ends with `PRIVATE KEY-----`, without ENCRYPTED"
            }
            Self::NoClient { .. } => "leave out what needs TLS",
            Self::Unusable { .. } => {
                "give the key of that certificate: RSA of 2,048 to 8,192 bits, ECDSA on P-256 or P-384, or Ed25519"
            }
        }
    }
}

/// A certificate and its key: what a server shows of itself. Clones are the same.
#[derive(Clone, Debug)]
pub struct Identity(Arc<ServerConfig>);

impl Identity {
    /// What these two files have, both in PEM.
    pub fn read(certificate: &Path, key: &Path) -> Result<Self, TlsError> {
        let provider = provider(graviola::util::is_cpu_supported())?;
        let chain = certificates(certificate)?;
        let secret = private_key(key)?;
        let made = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .and_then(|builder| builder.with_no_client_auth().with_single_cert(chain, secret));
        let mut server = made.map_err(|source| TlsError::Unusable {
            certificate: certificate.to_owned(),
            key: key.to_owned(),
            source,
        })?;
        server.alpn_protocols = vec![b"http/1.1".to_vec()];
        Ok(Self(Arc::new(server)))
    }

    /// How a connection begins.
    pub(super) fn server(&self) -> Arc<ServerConfig> {
        Arc::clone(&self.0)
    }
}

/// How a client begins that believes whom the certificates of this file have certified.
pub(super) fn client(authorities: &Path) -> Result<ClientConfig, TlsError> {
    let provider = provider(graviola::util::is_cpu_supported())?;
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(certificates(authorities)?);
    let versions = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
    let made = versions.map(|builder| builder.with_root_certificates(roots).with_no_client_auth());
    made.map_err(|source| TlsError::NoClient { source })
}

/// How a client begins that believes everybody.
pub(super) fn trusting_client() -> Result<ClientConfig, TlsError> {
    let provider = provider(graviola::util::is_cpu_supported())?;
    let versions =
        ClientConfig::builder_with_provider(Arc::clone(&provider)).with_safe_default_protocol_versions();
    let made = versions.map(|builder| {
        let anybody = Arc::new(Anybody(provider));
        builder.dangerous().with_custom_certificate_verifier(anybody).with_no_client_auth()
    });
    made.map_err(|source| TlsError::NoClient { source })
}

/// Takes any certificate, of whomever; who shows it has to have its key.
#[derive(Debug)]
struct Anybody(Arc<CryptoProvider>);

impl ServerCertVerifier for Anybody {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls12_signature(message, certificate, signed, &self.0.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls13_signature(message, certificate, signed, &self.0.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}

/// What does the arithmetic. It would panic on a CPU that it does not support.
fn provider(is_cpu_supported: bool) -> Result<Arc<CryptoProvider>, TlsError> {
    is_cpu_supported.then(|| Arc::new(rustls_graviola::default_provider())).ok_or(TlsError::Cpu)
}

/// All certificates of a file.
fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let text = read(path, |_| Ok(()))?;
    let all: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&text).collect();
    all.ok().filter(|all| !all.is_empty()).ok_or_else(|| TlsError::NoCertificate { path: path.to_owned() })
}

fn private_key(path: &Path) -> Result<PrivateKeyDer<'static>, TlsError> {
    let text = read(path, |file| {
        let mode = file.mode() & 0o777;
        let is_exposed = mode & 0o007 != 0;
        if is_exposed { Err(TlsError::Exposed { path: path.to_owned(), mode }) } else { Ok(()) }
    })?;
    PrivateKeyDer::from_pem_slice(&text).map_err(|_| TlsError::NoKey { path: path.to_owned() })
}

/// Reads a file that `accepts` allows.
fn read(
    path: &Path,
    accepts: impl FnOnce(&std::fs::Metadata) -> Result<(), TlsError>,
) -> Result<Vec<u8>, TlsError> {
    let cannot = |source| TlsError::CannotRead { path: path.to_owned(), source };
    let file = File::open(path).map_err(cannot)?;
    accepts(&file.metadata().map_err(cannot)?)?;
    let mut text = Vec::new();
    file.take(MOST_BYTES + 1).read_to_end(&mut text).map_err(cannot)?;
    if text.len() as u64 > MOST_BYTES {
        return Err(TlsError::TooLong { path: path.to_owned() });
    }
    Ok(text)
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::PermissionsExt as _;

    use leaktrace_tests::certificates::{Certificates, Kind};

    use super::*;

    #[test]
    fn a_certificate_goes_with_its_key() {
        let ours = Certificates::make(Kind::Ecdsa);
        for kind in [Kind::Rsa, Kind::Ed25519] {
            let other = Certificates::make(kind);
            assert!(Identity::read(&other.certificate(), &other.key()).is_ok(), "{kind:?}");
            let error = Identity::read(&ours.certificate(), &other.key()).unwrap_err();
            assert!(matches!(error, TlsError::Unusable { .. }), "{error:?}");
        }
        let error = Identity::read(&ours.key(), &ours.key()).unwrap_err();
        assert!(matches!(error, TlsError::NoCertificate { .. }), "{error:?}");
        let (folder, missing) = (tempfile::tempdir().unwrap(), ours.key().with_extension("none"));
        let error = Identity::read(&missing, &ours.key()).unwrap_err();
        assert!(matches!(error, TlsError::CannotRead { .. }), "{error:?}");
        let broken = folder.path().join("broken");
        for (text, mode) in [("", 0o600), ("-----BEGIN PRIVATE KEY-----\nAAAA", 0o600)] {
            fs::write(&broken, text).unwrap();
            fs::set_permissions(&broken, fs::Permissions::from_mode(mode)).unwrap();
            let error = Identity::read(&ours.certificate(), &broken).unwrap_err();
            assert!(matches!(error, TlsError::NoKey { .. }), "{error:?}");
        }
        fs::write(&broken, vec![b'\n'; 1_025 << 10]).unwrap();
        let error = Identity::read(&broken, &ours.key()).unwrap_err();
        assert!(matches!(error, TlsError::TooLong { .. }), "{error:?}");
    }

    #[test]
    fn a_key_that_everybody_may_read_is_none() {
        let ours = Certificates::make(Kind::Ecdsa);
        for (mode, is_usable) in [(0o644, false), (0o602, false), (0o640, true), (0o400, true)] {
            fs::set_permissions(ours.key(), fs::Permissions::from_mode(mode)).unwrap();
            let read = Identity::read(&ours.certificate(), &ours.key());
            assert_eq!(read.is_ok(), is_usable, "{mode:o}: {read:?}");
        }
    }

    #[test]
    fn a_cpu_that_cannot_is_told_so() {
        assert!(matches!(provider(false), Err(TlsError::Cpu)));
        assert!(provider(true).is_ok());
    }
}
