//! Which addresses the names that users give may lead to.
//!
//! A server that asks what somebody told it to ask can be made to ask what only itself can reach: the metadata service
//! of the cloud that it runs in, which gives credentials away, or programs on its own machine. So a name is resolved
//! here, every address is looked at, and the caller connects to an address that was looked at: a name that leads
//! elsewhere a moment later changes nothing. An address written in another way, IPv4 inside IPv6, counts as what it is.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

/// Longest time for resolving a name.
const RESOLVE_WITHIN: Duration = Duration::from_secs(10);

/// Whether link-local addresses and the metadata services of clouds may be reached. Who starts the server says so, and
/// nobody through its API.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum LinkLocal {
    /// Names that lead there are refused.
    #[default]
    Refused,
    /// They are as good as any others.
    Allowed,
}

/// Addresses that may be reached besides public ones.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Reach {
    /// Private networks.
    pub private: bool,
    /// This machine.
    pub loopback: bool,
    /// Link-local addresses and the metadata services of clouds.
    pub link_local: LinkLocal,
}

/// Why a name leads nowhere.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Unreachable {
    /// It is not resolved.
    #[error("the name {host} cannot be resolved: {reason}")]
    Unresolved {
        /// The name.
        host: String,
        /// In the words of the system.
        reason: String,
    },
    /// It leads only to addresses that may not be reached.
    #[error("{host} may not be reached: {reason}")]
    Forbidden {
        /// The name.
        host: String,
        /// What it leads to.
        reason: String,
    },
}

/// What an address is, if it may not always be reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Special {
    Private,
    Loopback,
    LinkLocal,
    Metadata,
    None,
}

impl fmt::Display for Special {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Special::Private => "an address of a private network",
            Special::Loopback => "an address of the server's own machine",
            Special::LinkLocal => "a link-local address",
            Special::Metadata => "a metadata service",
            Special::None => "no address of one machine",
        })
    }
}

impl Reach {
    /// The addresses of `host`, a name or an address (IPv6 without brackets), that may be reached. At least one.
    ///
    /// # Errors
    /// If there is none.
    pub async fn addresses(self, host: &str, port: u16) -> Result<Vec<SocketAddr>, Unreachable> {
        let forbidden = |reason: String| Unreachable::Forbidden {
            host: host.to_owned(),
            reason: format!("it is {reason}"),
        };
        if self.link_local == LinkLocal::Refused && is_metadata_name(host) {
            return Err(forbidden(Special::Metadata.to_string()));
        }
        let resolved = match host.parse::<IpAddr>() {
            Ok(address) => vec![SocketAddr::new(address, port)],
            Err(_) => resolve(host, port).await?,
        };
        let first = resolved.first().map(SocketAddr::ip);
        let (good, bad): (Vec<SocketAddr>, Vec<SocketAddr>) =
            resolved.into_iter().partition(|address| self.refusal(address.ip()).is_none());
        if !good.is_empty() {
            return Ok(good);
        }
        let bad = bad.first().map(SocketAddr::ip).or(first);
        match bad.and_then(|address| self.refusal(address).map(|special| (address, special))) {
            Some((address, special)) if host.parse() == Ok(address) => Err(forbidden(special.to_string())),
            Some((address, special)) => Err(forbidden(format!("{address}, {special}"))),
            None => {
                let reason = "it has no address".to_owned();
                Err(Unreachable::Unresolved { host: host.to_owned(), reason })
            }
        }
    }

    /// Why an address may not be reached, if it may not.
    fn refusal(self, address: IpAddr) -> Option<Special> {
        special(address).filter(|special| match special {
            Special::Private => !self.private,
            Special::Loopback => !self.loopback,
            Special::LinkLocal | Special::Metadata => self.link_local == LinkLocal::Refused,
            Special::None => true,
        })
    }
}

async fn resolve(host: &str, port: u16) -> Result<Vec<SocketAddr>, Unreachable> {
    let unresolved = |reason: String| Unreachable::Unresolved { host: host.to_owned(), reason };
    match tokio::time::timeout(RESOLVE_WITHIN, tokio::net::lookup_host((host, port))).await {
        Ok(Ok(found)) => Ok(found.collect()),
        Ok(Err(error)) => Err(unresolved(error.to_string())),
        Err(_) => Err(unresolved("there was no answer in time".to_owned())),
    }
}

/// Names under which clouds offer their metadata.
fn is_metadata_name(host: &str) -> bool {
    let name = host.trim_end_matches('.').to_ascii_lowercase();
    name == "metadata"
        || name == "instance-data"
        || name.starts_with("metadata.")
        || name.starts_with("instance-data.")
}

fn special(address: IpAddr) -> Option<Special> {
    match address {
        IpAddr::V4(address) => special_v4(address),
        IpAddr::V6(address) => match embedded(address) {
            Some(inner) => special_v4(inner),
            None => special_v6(address),
        },
    }
}

fn special_v4(address: Ipv4Addr) -> Option<Special> {
    let octets = address.octets();
    match octets {
        // Alibaba's, Azure's and Oracle's; those of the others are link-local.
        [100, 100, 100, 200] | [168, 63, 129, 16] | [192, 0, 0, 192] => Some(Special::Metadata),
        [169, 254, ..] => Some(Special::LinkLocal),
        [0, ..] | [224..=255, ..] => Some(Special::None),
        [127, ..] => Some(Special::Loopback),
        // RFC 1918, and RFC 6598: between a provider and its customers.
        [10, ..] | [172, 16..=31, ..] | [192, 168, ..] | [100, 64..=127, ..] => Some(Special::Private),
        _ => None,
    }
}

fn special_v6(address: Ipv6Addr) -> Option<Special> {
    let segments = address.segments();
    match segments[0] {
        _ if address.is_unspecified() || address.is_multicast() => Some(Special::None),
        _ if address.is_loopback() => Some(Special::Loopback),
        // Amazon's.
        0xfd00 if segments == [0xfd00, 0x0ec2, 0, 0, 0, 0, 0, 0x0254] => Some(Special::Metadata),
        0xfe80..=0xfebf => Some(Special::LinkLocal),
        // RFC 4193, and what came before it (RFC 3879).
        0xfc00..=0xfdff | 0xfec0..=0xfeff => Some(Special::Private),
        _ => None,
    }
}

/// The IPv4 address inside an IPv6 address: mapped and compatible ones (RFC 4291), and those that a translator
/// (RFC 6052, RFC 8215) or a tunnel (RFC 3056) takes out.
fn embedded(address: Ipv6Addr) -> Option<Ipv4Addr> {
    let segments = address.segments();
    let inner = |high: u16, low: u16| {
        let ([a, b], [c, d]) = (high.to_be_bytes(), low.to_be_bytes());
        Ipv4Addr::new(a, b, c, d)
    };
    match segments {
        [0, 0, 0, 0, 0, 0xffff, high, low] | [0, 0, 0, 0, 0xffff, 0, high, low] => Some(inner(high, low)),
        // `::` and `::1` are IPv6's own.
        [0, 0, 0, 0, 0, 0, high, low] if high != 0 || low > 1 => Some(inner(high, low)),
        [0x64, 0xff9b, 0, 0, 0, 0, high, low] | [0x64, 0xff9b, 1, _, _, _, high, low] => {
            Some(inner(high, low))
        }
        [0x2002, high, low, ..] => Some(inner(high, low)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOTHING: Reach = Reach { private: false, loopback: false, link_local: LinkLocal::Refused };
    const EVERYTHING: Reach = Reach { private: true, loopback: true, link_local: LinkLocal::Refused };

    async fn refused(reach: Reach, host: &str) -> bool {
        matches!(reach.addresses(host, 80).await, Err(Unreachable::Forbidden { .. }))
    }

    #[tokio::test]
    async fn link_local_addresses_and_metadata_services_are_not_reached() {
        for host in [
            "169.254.169.254",
            "169.254.0.1",
            "100.100.100.200",
            "168.63.129.16",
            "0.0.0.0",
            "0.1.2.3",
            "224.0.0.1",
            "255.255.255.255",
            "::",
            "ff02::1",
            "fe80::1",
            "febf::1",
            "fd00:ec2::254",
            "::ffff:169.254.169.254",
            "::ffff:0:169.254.169.254",
            "::169.254.169.254",
            "64:ff9b::a9fe:a9fe",
            "64:ff9b:1::a9fe:a9fe",
            "2002:a9fe:a9fe::1",
            "::ffff:100.100.100.200",
            "::ffff:0.0.0.0",
            "metadata",
            "METADATA.google.internal.",
            "instance-data",
            "instance-data.ec2.internal",
        ] {
            assert!(refused(EVERYTHING, host).await, "{host}");
        }
    }

    #[tokio::test]
    async fn who_starts_the_server_may_allow_link_local_addresses_and_no_others_with_them() {
        let link_local = Reach { link_local: LinkLocal::Allowed, ..NOTHING };
        for host in ["169.254.0.1", "169.254.169.254", "fe80::1", "::ffff:169.254.169.254", "168.63.129.16"] {
            assert!(!refused(link_local, host).await, "{host}");
        }
        for host in ["10.0.0.1", "127.0.0.1", "0.0.0.0", "::", "ff02::1"] {
            assert!(refused(link_local, host).await, "{host}");
        }
    }

    #[tokio::test]
    async fn private_networks_and_this_machine_are_reached_only_where_that_is_allowed() {
        let private = Reach { private: true, ..NOTHING };
        let loopback = Reach { loopback: true, ..NOTHING };
        for host in [
            "10.0.0.1",
            "172.16.0.1",
            "172.31.9.9",
            "192.168.1.1",
            "100.64.0.1",
            "fc00::1",
            "fd12::1",
            "::ffff:10.0.0.1",
            "64:ff9b::a00:1",
        ] {
            assert!(refused(NOTHING, host).await && refused(loopback, host).await, "{host}");
            assert!(!refused(private, host).await, "{host}");
        }
        for host in ["127.0.0.1", "127.9.9.9", "::1", "::ffff:127.0.0.1", "localhost", "::127.0.0.1"] {
            assert!(refused(NOTHING, host).await && refused(private, host).await, "{host}");
            assert!(!refused(loopback, host).await, "{host}");
        }
    }

    #[tokio::test]
    async fn public_addresses_are_reached() {
        for host in [
            "192.0.2.1",
            "172.15.0.1",
            "172.32.0.1",
            "11.0.0.1",
            "100.128.0.1",
            "2001:db8::1",
            "::ffff:192.0.2.1",
        ] {
            let found = NOTHING.addresses(host, 443).await.unwrap();
            assert_eq!((found.len(), found[0].port()), (1, 443), "{host}");
        }
    }

    #[tokio::test]
    async fn what_cannot_be_resolved_says_so_and_no_other_spelling_of_an_address_gets_through() {
        let unresolved = NOTHING.addresses("no-such-name.invalid", 80).await.unwrap_err();
        assert!(matches!(&unresolved, Unreachable::Unresolved { .. }), "{unresolved}");
        // Numbers that the system's resolver takes for addresses.
        for host in ["2852039166", "0xa9fea9fe", "0251.0376.0251.0376", "169.16689662"] {
            assert!(EVERYTHING.addresses(host, 80).await.is_err(), "{host}");
        }
    }
}
