//! Connection limits per client address.

use std::fmt;
use std::net::IpAddr;

use clap::Args;
use ipnet::IpNet;

/// Connection flags.
#[derive(Args, Debug, Clone)]
pub struct ConnectionOptions {
    /// Maximum concurrent connections per address.
    #[arg(
        long,
        env = "ROENTGEN_CONNECTIONS_PER_ADDRESS",
        default_value = "512",
        global = true
    )]
    pub connections_per_address: String,
    /// Network (CIDR) or address of proxies exempt from the per-address limit; repeatable.
    #[arg(
        long = "trusted-proxy",
        env = "ROENTGEN_TRUSTED_PROXY",
        value_delimiter = ',',
        global = true
    )]
    pub trusted_proxies: Vec<String>,
}

/// Effective connection limits.
#[derive(Debug, Clone)]
pub(crate) struct PerAddress {
    /// Maximum concurrent connections per address.
    pub(crate) limit: usize,
    /// Networks without a per-address limit.
    pub(crate) trusted: Vec<IpNet>,
}

impl ConnectionOptions {
    /// Validates all flags and reports each error.
    pub(super) fn resolve(
        &self,
        note: &mut impl FnMut(&str, &dyn fmt::Display),
    ) -> Option<PerAddress> {
        let limit = self.connections_per_address.parse::<usize>().ok();
        let limit = limit.filter(|limit| *limit > 0);
        if limit.is_none() {
            note("connections-per-address", &"must be a number from 1 on");
        }
        let networks = self.trusted_proxies.iter().map(|text| network(text));
        let trusted: Option<Vec<IpNet>> = networks.collect();
        if trusted.is_none() {
            let what = "must be an address or a network such as 10.0.0.0/8";
            note("trusted-proxy", &what);
        }
        Some(PerAddress {
            limit: limit?,
            trusted: trusted?,
        })
    }
}

fn network(text: &str) -> Option<IpNet> {
    let address = || text.parse::<IpAddr>().ok().map(IpNet::from);
    text.parse().ok().or_else(address)
}

/// Prints the lines of `roentgen config`.
impl fmt::Display for PerAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "connections-per-address {}", self.limit)?;
        let trusted: Vec<String> = self.trusted.iter().map(IpNet::to_string).collect();
        let trusted = if trusted.is_empty() {
            "(none)".to_owned()
        } else {
            trusted.join(",")
        };
        writeln!(f, "trusted-proxy {trusted}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn networks_and_addresses_are_read_and_all_that_is_wrong_is_named() {
        let resolve = |limit: &str, trusted: &[&str]| {
            let options = ConnectionOptions {
                connections_per_address: limit.to_owned(),
                trusted_proxies: trusted.iter().map(ToString::to_string).collect(),
            };
            let mut wrong = Vec::new();
            let resolved = options.resolve(&mut |name, _| wrong.push(name.to_owned()));
            (resolved, wrong)
        };
        let (resolved, wrong) = resolve("7", &["10.0.0.0/8", "::1", "2001:db8::/32"]);
        assert_eq!(wrong, [""; 0]);
        assert_eq!(
            resolved.unwrap().to_string(),
            "connections-per-address 7\ntrusted-proxy 10.0.0.0/8,::1/128,2001:db8::/32\n"
        );
        for limit in ["0", "-1", "many"] {
            let (resolved, wrong) = resolve(limit, &["10.0.0.0/33"]);
            assert!(resolved.is_none(), "{limit}");
            assert_eq!(wrong, ["connections-per-address", "trusted-proxy"]);
        }
    }
}
