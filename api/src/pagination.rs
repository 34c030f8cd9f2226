//! Keyset pagination of lists, with an opaque cursor that is returned as `Link: <...>; rel="next"` (RFC 8288).

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hmac::{Hmac, Mac as _};
use roentgen_domain::ids::TenantId;
use roentgen_store::keys::MasterKey;
use sha2::Sha256;

use crate::problem::Problem;

/// Requested page of a list.
#[derive(Debug)]
pub(crate) struct Page {
    pub(crate) limit: u32,
    pub(crate) after: Option<Vec<u8>>,
}

/// Length of the truncated code in a cursor, in bytes.
const CODE_LEN: usize = 16;

/// Maximum size of a page's rows, in bytes. Further rows are on the next page.
const MAX_PAGE_BYTES: usize = 8 * 1024 * 1024;

/// Returns how many rows of these sizes fit on a page: at most `limit` rows and 8 MiB, but at least one row.
pub(crate) fn rows_that_fit(weights: impl Iterator<Item = usize>, limit: usize) -> usize {
    let mut sum: usize = 0;
    let fitting = weights.take(limit).take_while(|weight| {
        let is_first = sum == 0;
        sum = sum.saturating_add((*weight).max(1));
        is_first || sum <= MAX_PAGE_BYTES
    });
    fitting.count()
}

/// Issues and verifies cursors. A cursor contains the sort key of the page's last row, and a code (HMAC-SHA-256) over
/// that key, the tenant and the list: a forged cursor, or one of another tenant or list, is rejected. The key of the
/// code is derived from the master key, so nodes that share a database accept each other's cursors, also after a
/// restart.
#[derive(Clone)]
pub(crate) struct Cursors(Hmac<Sha256>);

impl std::fmt::Debug for Cursors {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Cursors([secret])")
    }
}

impl Cursors {
    pub(crate) fn new(master: &MasterKey) -> Self {
        Self(master.cursor_mac().clone())
    }

    /// Verifies a cursor that a client sent, and returns its sort key.
    pub(crate) fn parse(
        &self,
        text: &str,
        tenant: TenantId,
        list: &str,
    ) -> Result<Vec<u8>, Problem> {
        let refused = || Problem::parameter("cursor", "not a cursor of this list");
        let bytes = URL_SAFE_NO_PAD.decode(text).map_err(|_| refused())?;
        let (code, key) = bytes.split_first_chunk::<CODE_LEN>().ok_or_else(refused)?;
        let expected = self.checksum(key, tenant, list);
        let verified = expected.verify_truncated_left(code);
        verified.map_err(|_| refused())?;
        Ok(key.to_vec())
    }

    /// Returns the cursor for a sort key.
    pub(crate) fn encode(&self, key: &[u8], tenant: TenantId, list: &str) -> String {
        let code = self.checksum(key, tenant, list).finalize().into_bytes();
        let code = code.get(..CODE_LEN).unwrap_or_default();
        URL_SAFE_NO_PAD.encode([code, key].concat())
    }

    fn checksum(&self, key: &[u8], tenant: TenantId, list: &str) -> Hmac<Sha256> {
        let mut code = self.0.clone();
        code.update(tenant.as_uuid().as_bytes());
        code.update(&(list.len() as u64).to_be_bytes());
        code.update(list.as_bytes());
        code.update(key);
        code
    }
}

/// Returns the `Link` to the next page: the same query with another cursor.
pub(crate) fn next_link(path: &str, query: Option<&str>, cursor: &str) -> String {
    let kept: Vec<&str> = query
        .unwrap_or_default()
        .split('&')
        .filter(|text| !text.is_empty() && !text.starts_with("cursor="))
        .collect();
    let mut query = kept.join("&");
    if !query.is_empty() {
        query.push('&');
    }
    format!("<{path}?{query}cursor={cursor}>; rel=\"next\"")
}

#[cfg(test)]
mod tests {
    use super::*;
    use uuid::Uuid;

    const ORDERS: &str = "/imaging/orders";

    fn cursors(master: &str) -> Cursors {
        Cursors::new(&MasterKey::parse(master).unwrap())
    }

    fn own() -> Cursors {
        cursors("AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=")
    }

    #[test]
    fn a_cursor_is_good_for_its_own_list_and_tenant_only() {
        let tenant = Uuid::from_u128(1).into();
        let text = own().encode(b"key", tenant, ORDERS);
        assert_eq!(own().parse(&text, tenant, ORDERS).unwrap(), b"key");
        let other = Uuid::from_u128(2).into();
        assert!(own().parse(&text, other, ORDERS).is_err());
        assert!(own().parse(&text, tenant, "/imaging/procedures").is_err());
        for forged in ["", "AAAA", "not base64!", &URL_SAFE_NO_PAD.encode([0; 32])] {
            assert!(own().parse(forged, tenant, ORDERS).is_err(), "{forged}");
        }
    }

    #[test]
    fn a_cursor_cannot_be_made_without_the_key() {
        let tenant: TenantId = Uuid::from_u128(1).into();
        let another = cursors(&MasterKey::generate()).encode(b"key", tenant, ORDERS);
        assert!(own().parse(&another, tenant, ORDERS).is_err());
        // Digest that everybody can compute from the parts of a cursor.
        let unkeyed = [ORDERS.as_bytes(), tenant.as_uuid().as_bytes(), b"key"].concat();
        let unkeyed = roentgen_store::chain::sha256(&unkeyed);
        for length in [8, CODE_LEN] {
            let forged = [&unkeyed[..length], b"key"].concat();
            let forged = URL_SAFE_NO_PAD.encode(forged);
            assert!(own().parse(&forged, tenant, ORDERS).is_err(), "{length}");
        }
        let text = own().encode(b"key", tenant, ORDERS);
        let bytes = URL_SAFE_NO_PAD.decode(&text).unwrap();
        for place in 0..bytes.len() {
            let mut altered = bytes.clone();
            altered[place] ^= 1;
            let altered = URL_SAFE_NO_PAD.encode(altered);
            assert!(own().parse(&altered, tenant, ORDERS).is_err(), "{place}");
        }
    }

    #[test]
    fn a_page_has_so_many_rows_as_fit_and_never_none() {
        let fit = |weights: &[usize], limit| rows_that_fit(weights.iter().copied(), limit);
        assert_eq!(fit(&[1; 10], 3), 3);
        assert_eq!(fit(&[0; 10], 20), 10);
        assert_eq!(fit(&[], 3), 0);
        assert_eq!(fit(&[MAX_PAGE_BYTES / 2; 10], 9), 2);
        assert_eq!(fit(&[MAX_PAGE_BYTES * 2, 1], 9), 1);
        assert_eq!(fit(&[1, MAX_PAGE_BYTES, 1], 9), 1);
    }

    #[test]
    fn the_next_link_keeps_the_query() {
        assert_eq!(
            next_link("/x", Some("limit=2&cursor=old&status=scheduled"), "new"),
            "</x?limit=2&status=scheduled&cursor=new>; rel=\"next\""
        );
        assert_eq!(
            next_link("/x", None, "new"),
            "</x?cursor=new>; rel=\"next\""
        );
    }
}
