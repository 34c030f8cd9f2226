use super::*;

/// Private key made with openssl for these tests.
pub(crate) const PRIVATE: &str = "-----BEGIN PRIVATE KEY-----
MC4CAQAwBQYDK2VwBCIEIDkn/6AMddR7ub1S0R+RuEr3W3KJFMxABqat4DkyD3bA
-----END PRIVATE KEY-----
";
const PUBLIC: &str = "-----BEGIN PUBLIC KEY-----
MCowBQYDK2VwAyEAEf/BVqQx+zUp1u9+pShBeDxGhDXZ9LJfafGWcHB6BT4=
-----END PUBLIC KEY-----
";

#[test]
fn a_key_of_openssl_is_read_and_its_public_half_told() {
    let key = EventKey::parse(PRIVATE).unwrap();
    assert_eq!(key.public_pem(), PUBLIC);
    assert_eq!(key.fingerprint().len(), FINGERPRINT_BYTES);
    assert_eq!(format!("{key:?}"), "EventKey([secret])");
}

#[test]
fn a_key_that_is_made_is_read_again() {
    let [one, other] = [[7; 32], [8; 32]].map(|random| {
        let pem = EventKey::encode(&random).unwrap();
        EventKey::parse(&pem).unwrap()
    });
    assert_ne!(one.fingerprint(), other.fingerprint());
    assert_ne!(one.public_pem(), other.public_pem());
}

#[test]
fn what_is_no_ed25519_key_is_rejected() {
    for bad in ["", "AAAA", PUBLIC, &PRIVATE.replace("MC4C", "MC4D")] {
        assert_eq!(EventKey::parse(bad).unwrap_err(), InvalidEventKey, "{bad}");
    }
}
