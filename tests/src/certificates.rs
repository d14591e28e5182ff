//! Certificates for tests of TLS, made by `openssl` in a folder of their own.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::Result;

use crate::go::prerequisites::ensure_openssl;
use crate::go::run::run;

/// The algorithm of a key.
#[derive(Clone, Copy, Debug)]
pub enum Kind {
    /// ECDSA on P-256.
    Ecdsa,
    /// RSA of 2,048 bits.
    Rsa,
    /// Ed25519.
    Ed25519,
}

/// An authority, and a certificate that it has given to `localhost` and 127.0.0.1.
#[derive(Debug)]
pub struct Certificates(tempfile::TempDir);

impl Certificates {
    /// Makes both anew.
    ///
    /// # Panics
    /// When that is not possible.
    pub fn make(kind: Kind) -> Self {
        Self::try_make(kind).expect("openssl makes certificates")
    }

    fn try_make(kind: Kind) -> Result<Self> {
        ensure_openssl(&mut |_| {})?;
        let folder = tempfile::tempdir()?;
        let at = folder.path();
        let authority = ["basicConstraints=critical,CA:TRUE"];
        certify(at, Kind::Ecdsa, "authority", &authority, &[])?;
        let server = ["basicConstraints=critical,CA:FALSE", "subjectAltName=DNS:localhost,IP:127.0.0.1"];
        certify(at, kind, "server", &server, &["-CA", "authority.pem", "-CAkey", "authority.key"])?;
        Ok(Self(folder))
    }

    /// The certificate of the authority.
    pub fn authority(&self) -> PathBuf {
        self.0.path().join("authority.pem")
    }

    /// The certificate of the server.
    pub fn certificate(&self) -> PathBuf {
        self.0.path().join("server.pem")
    }

    /// The key of the server.
    pub fn key(&self) -> PathBuf {
        self.0.path().join("server.key")
    }
}

fn certify(at: &Path, kind: Kind, name: &str, extensions: &[&str], by: &[&str]) -> Result<()> {
    let key: &[&str] = match kind {
        Kind::Ecdsa => &["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256"],
        Kind::Rsa => &["-newkey", "rsa:2048"],
        Kind::Ed25519 => &["-newkey", "ed25519"],
    };
    // The distribution's settings would add extensions of their own.
    let settings = at.join("settings");
    std::fs::write(&settings, "[req]\ndistinguished_name = name\n[name]\n")?;
    let mut command = Command::new("openssl");
    command.current_dir(at).args(["req", "-x509", "-nodes", "-days", "2", "-config"]).arg(settings).args(key);
    command.args(["-subj", &format!("/CN=leaktrace {name}")]).args(by);
    command.args(["-keyout", &format!("{name}.key"), "-out", &format!("{name}.pem")]);
    command.args(extensions.iter().flat_map(|extension| ["-addext", extension]));
    run(&mut command).map(drop)
}
