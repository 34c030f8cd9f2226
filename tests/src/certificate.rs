//! Certificates that tests create with openssl.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result, bail};

/// Self-signed certificate for 127.0.0.1 and its private key (PEM).
#[derive(Debug, Clone)]
pub struct Certificate {
    /// Path of the certificate; a client that trusts it trusts the server.
    pub certificate: PathBuf,
    /// Path of the private key, readable by its owner only.
    pub key: PathBuf,
}

impl Certificate {
    /// Creates a certificate in this directory under this name.
    pub fn make(directory: &Path, name: &str) -> Result<Self> {
        let made = Self {
            certificate: directory.join(format!("{name}.pem")),
            key: directory.join(format!("{name}-key.pem")),
        };
        let ran = Command::new("openssl")
            .args([
                "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2",
            ])
            .args(["-subj", &format!("/CN={name}")])
            .args(["-addext", "subjectAltName=IP:127.0.0.1"])
            .args(["-addext", "basicConstraints=critical,CA:FALSE"])
            .arg("-keyout")
            .arg(&made.key)
            .arg("-out")
            .arg(&made.certificate)
            .output()
            .context("the tests need openssl")?;
        if !ran.status.success() {
            bail!("openssl: {}", String::from_utf8_lossy(&ran.stderr));
        }
        Ok(made)
    }
}
