//! TLS of our own: the certificate, and a new one in its place while the service runs.
//!
//! Invariant: a pair of files that will not do never takes the place of one that did; connections keep the certificate that they
//! began with. HTTP/1.1 is all that is spoken, and all that is offered (ALPN).
use rustls::ServerConfig;
use rustls::crypto::ring;
use rustls::pki_types::pem::{self, PemObject};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use sha2::{Digest, Sha256};
use std::fmt;
use std::io;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::time::sleep;
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;

/// The one protocol that is spoken.
const PROTOCOL: &[u8] = b"http/1.1";
/// How often the files are looked at.
const LOOK_EVERY: Duration = Duration::from_secs(2);

/// Where the certificate is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Files {
    /// The certificate, followed by those that lead to a trusted one; PEM.
    pub certificate: PathBuf,
    /// Its private key; PEM.
    pub key: PathBuf,
}

/// Why a certificate cannot be used. No message says anything of the key.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A file cannot be read.
    #[error("{what} {} cannot be read: {source}", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// What it is to hold.
        what: &'static str,
        /// Why not.
        source: io::Error,
    },
    /// A file does not hold what it should.
    #[error("{what} {} {wrong}; it must be PEM, between lines of BEGIN and END", path.display())]
    Unfit {
        /// The file.
        path: PathBuf,
        /// What it is to hold.
        what: &'static str,
        /// What is wrong with it.
        wrong: &'static str,
    },
    /// The two do not belong together, or are of a kind that is not known.
    #[error("the certificate {} and the key {} cannot be used together: {source}", certificate.display(), key.display())]
    Pair {
        /// The certificate's file.
        certificate: PathBuf,
        /// The key's file.
        key: PathBuf,
        /// Why not.
        source: rustls::Error,
    },
}

/// The certificate in use. Clones share it.
#[derive(Clone)]
pub struct Tls {
    files: Files,
    current: Arc<Mutex<Current>>,
}

struct Current {
    config: Arc<ServerConfig>,
    /// Of the files when they were looked at last, whether they would do or not.
    seen: [u8; 32],
}

impl fmt::Debug for Tls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tls").field("files", &self.files).finish_non_exhaustive()
    }
}

impl Tls {
    /// Reads the files.
    pub async fn load(files: Files) -> Result<Self, Error> {
        let pair = Pair::read(&files).await?;
        let current = Current { config: pair.config(&files)?, seen: pair.digest() };
        Ok(Self { files, current: Arc::new(Mutex::new(current)) })
    }

    /// What makes the next connection a secure one.
    pub(super) fn acceptor(&self) -> TlsAcceptor {
        TlsAcceptor::from(Arc::clone(&self.current.lock().unwrap_or_else(PoisonError::into_inner).config))
    }

    /// Reads the files again, because somebody said so; the log tells what came of it.
    pub async fn reload(&self) {
        match Pair::read(&self.files).await {
            Ok(pair) => self.take(&pair),
            Err(error) => tracing::error!(%error, "the certificate stays the one that it was"),
        }
    }

    /// Takes up what is new in the files, until `stop` is called.
    pub async fn keep_fresh(&self, stop: &CancellationToken) {
        let mut unreadable = false;
        while stop.run_until_cancelled(sleep(LOOK_EVERY)).await.is_some() {
            match Pair::read(&self.files).await {
                Ok(pair) => {
                    unreadable = false;
                    let is_new = pair.digest() != self.current.lock().unwrap_or_else(PoisonError::into_inner).seen;
                    if is_new {
                        self.take(&pair);
                    }
                }
                Err(error) if !unreadable => {
                    unreadable = true;
                    tracing::error!(%error, "the certificate stays the one that it was");
                }
                Err(_) => {}
            }
        }
    }

    /// Puts the pair in the place of the one in use, if it will do.
    fn take(&self, pair: &Pair) {
        let mut current = self.current.lock().unwrap_or_else(PoisonError::into_inner);
        current.seen = pair.digest();
        match pair.config(&self.files) {
            Ok(config) => {
                current.config = config;
                tracing::info!(path = %self.files.certificate.display(), "new connections get the certificate as it is now");
            }
            Err(error) => tracing::error!(%error, "the certificate stays the one that it was"),
        }
    }
}

/// What the two files hold.
struct Pair {
    certificate: Vec<u8>,
    key: Vec<u8>,
}

impl Pair {
    async fn read(files: &Files) -> Result<Self, Error> {
        let read = async |path: &PathBuf, what| {
            tokio::fs::read(path).await.map_err(|source| Error::Unreadable { path: path.clone(), what, source })
        };
        Ok(Self {
            certificate: read(&files.certificate, "the certificate").await?,
            key: read(&files.key, "the certificate's key").await?,
        })
    }

    fn digest(&self) -> [u8; 32] {
        let mut digest = Sha256::new();
        // The length keeps the two apart.
        digest.update(self.certificate.len().to_be_bytes());
        digest.update(&self.certificate);
        digest.update(&self.key);
        digest.finalize().into()
    }

    fn config(&self, files: &Files) -> Result<Arc<ServerConfig>, Error> {
        let unfit = |path: &PathBuf, what, wrong| Error::Unfit { path: path.clone(), what, wrong };
        let of_certificate = |wrong| unfit(&files.certificate, "the certificate", wrong);
        let chain = CertificateDer::pem_slice_iter(&self.certificate).collect::<Result<Vec<_>, _>>();
        let chain = chain.map_err(|_| of_certificate("cannot be understood"))?;
        if chain.is_empty() {
            return Err(of_certificate("holds no certificate"));
        }
        let key = PrivateKeyDer::from_pem_slice(&self.key).map_err(|error| {
            let wrong = if matches!(error, pem::Error::NoItemsFound) { "holds no private key" } else { "cannot be understood" };
            unfit(&files.key, "the certificate's key", wrong)
        })?;
        let paired = |source| Error::Pair { certificate: files.certificate.clone(), key: files.key.clone(), source };
        let mut config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()
            .map_err(paired)?
            .with_no_client_auth()
            .with_single_cert(chain, key)
            .map_err(paired)?;
        config.alpn_protocols = vec![PROTOCOL.to_vec()];
        Ok(Arc::new(config))
    }
}

#[cfg(test)]
mod tests;
