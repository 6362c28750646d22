//! The text of a token: made once, shown once, kept as a digest only.
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use rand::Rng;
use sha2::{Digest, Sha256};
use std::fmt;

/// What every token begins with, so that scanners of leaked secrets can tell it.
const PREFIX: &str = "tally_";
/// Randomness of a token.
const SECRET_BYTES: usize = 32;

/// A token's text. It opens what its record says, so it is shown to its maker and to nobody else.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    /// A fresh one, from the operating system's randomness.
    pub(super) fn random() -> Self {
        let mut bytes = [0; SECRET_BYTES];
        rand::rng().fill_bytes(&mut bytes);
        Self(format!("{PREFIX}{}", URL_SAFE_NO_PAD.encode(bytes)))
    }

    /// One that was made elsewhere; `None` for a text that is no token.
    pub fn given(text: &str) -> Option<Self> {
        is_well_formed(text).then(|| Self(text.to_owned()))
    }

    /// The text, to show to its maker.
    pub fn reveal(&self) -> &str {
        &self.0
    }

    /// What is stored in its place.
    pub(super) fn digest(&self) -> Vec<u8> {
        digest(&self.0)
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(..)")
    }
}

/// SHA-256 of a token's text. A token is as random as its digest is long, so it needs neither salt nor stretching.
pub(super) fn digest(token: &str) -> Vec<u8> {
    Sha256::digest(token.as_bytes()).to_vec()
}

/// Whether `token` can be one of ours at all: saves the look-up of what cannot.
pub(super) fn is_well_formed(token: &str) -> bool {
    let decoded = token.strip_prefix(PREFIX).map(|text| URL_SAFE_NO_PAD.decode(text));
    matches!(decoded, Some(Ok(bytes)) if bytes.len() == SECRET_BYTES)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_is_random_well_formed_and_never_printed() {
        let (one, other) = (Secret::random(), Secret::random());
        assert_ne!(one, other);
        assert!(is_well_formed(one.reveal()));
        assert_eq!(one.reveal().len(), PREFIX.len() + 43);
        assert_eq!(format!("{one:?}"), "Secret(..)");
    }

    #[test]
    fn what_is_not_a_token_is_not_looked_up() {
        for text in ["", "tally_", "tally_abc", "bearer", &Secret::random().reveal()[1..]] {
            assert!(!is_well_formed(text), "{text:?}");
        }
    }
}
