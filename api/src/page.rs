//! Pages of lists: keyset paging with an opaque cursor, handed out as `Link: <...>; rel="next"` (RFC 8288).

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use roentgen_domain::ids::TenantId;
use roentgen_store::chain::sha256;

use crate::problem::Problem;

/// Which page of a list.
#[derive(Debug)]
pub(crate) struct Page {
    pub(crate) limit: u32,
    pub(crate) after: Option<Vec<u8>>,
}

/// How much a page's rows may weigh, in bytes. Rows beyond are on the next page.
const MAX_PAGE_BYTES: usize = 8 * 1024 * 1024;

/// How many rows, of these weights, are on a page: at most `limit`, no more than weigh 8 MiB, and one in any case.
pub(crate) fn rows_that_fit(weights: impl Iterator<Item = usize>, limit: usize) -> usize {
    let mut sum: usize = 0;
    let fitting = weights.take(limit).take_while(|weight| {
        let is_first = sum == 0;
        sum = sum.saturating_add((*weight).max(1));
        is_first || sum <= MAX_PAGE_BYTES
    });
    fitting.count()
}

const CHECK_LEN: usize = 8;

/// Where a page ended: the last row's sort key, with a check that ties it to the tenant and the list, so that a cursor
/// from elsewhere is refused and not followed to a random place.
#[derive(Debug)]
pub(crate) struct Cursor(Vec<u8>);

impl Cursor {
    /// From the text that a client sent.
    pub(crate) fn parse(text: &str, tenant: TenantId, list: &str) -> Result<Self, Problem> {
        let refused = || Problem::parameter("cursor", "was not handed out by this list");
        let bytes = URL_SAFE_NO_PAD.decode(text).map_err(|_| refused())?;
        let (check, key) = bytes.split_first_chunk::<CHECK_LEN>().ok_or_else(refused)?;
        if *check == check_of(key, tenant, list) {
            Ok(Self(key.to_vec()))
        } else {
            Err(refused())
        }
    }

    /// The text for a client.
    pub(crate) fn print(key: &[u8], tenant: TenantId, list: &str) -> String {
        URL_SAFE_NO_PAD.encode([check_of(key, tenant, list).as_slice(), key].concat())
    }

    pub(crate) fn into_key(self) -> Vec<u8> {
        self.0
    }
}

fn check_of(key: &[u8], tenant: TenantId, list: &str) -> [u8; CHECK_LEN] {
    let scope = [list.as_bytes(), tenant.as_uuid().as_bytes(), key].concat();
    let digest = sha256(&scope);
    digest.first_chunk().copied().unwrap_or_default()
}

/// The `Link` to the next page: the same query with another cursor.
pub(crate) fn next_link(path: &str, query: Option<&str>, cursor: &str) -> String {
    let kept: Vec<&str> = query
        .unwrap_or_default()
        .split('&')
        .filter(|it| !it.is_empty() && !it.starts_with("cursor="))
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

    #[test]
    fn a_cursor_is_good_for_its_own_list_and_tenant_only() {
        let tenant = Uuid::from_u128(1).into();
        let text = Cursor::print(b"key", tenant, "/imaging/orders");
        assert_eq!(
            Cursor::parse(&text, tenant, "/imaging/orders").unwrap().0,
            b"key"
        );
        let other = Uuid::from_u128(2).into();
        assert!(Cursor::parse(&text, other, "/imaging/orders").is_err());
        assert!(Cursor::parse(&text, tenant, "/imaging/procedures").is_err());
        for forged in ["", "AAAA", "not base64!", &URL_SAFE_NO_PAD.encode([0; 32])] {
            assert!(
                Cursor::parse(forged, tenant, "/imaging/orders").is_err(),
                "{forged}"
            );
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
