//! Where a request comes from and whether its way is secret: as the connection tells, or a proxy that is trusted.

use axum::extract::ConnectInfo;
use axum::http::HeaderMap;
use axum::http::request::Parts;
use std::net::{IpAddr, SocketAddr};

/// What the caller's connection speaks. Without one, as behind a test's own listener, it is plain HTTP.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Scheme {
    Http,
    Https,
}

impl Scheme {
    /// As it is at the beginning of a URL.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Scheme::Http => "http",
            Scheme::Https => "https",
        }
    }
}

/// What is in front of the handlers.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Front {
    pub(crate) scheme: Scheme,
    /// A proxy on this machine says who asks, and whether they speak TLS with it.
    pub(crate) behind_proxy: bool,
}

/// The network address of the caller.
pub(super) fn address(parts: &Parts) -> String {
    let told = trusts_headers(parts).then(|| forwarded_for(&parts.headers)).flatten();
    told.or_else(|| peer(parts)).map_or_else(|| "-".to_owned(), |address| address.to_string())
}

/// Whether the caller speaks TLS, with the server or with the proxy before it.
pub(super) fn is_secret(parts: &Parts) -> bool {
    let told = || parts.headers.get("x-forwarded-proto").is_some_and(|scheme| scheme == "https");
    let front = parts.extensions.get::<Front>();
    front.is_some_and(|front| front.scheme == Scheme::Https) || (trusts_headers(parts) && told())
}

/// Who is connected.
fn peer(parts: &Parts) -> Option<IpAddr> {
    let ConnectInfo(address) = parts.extensions.get::<ConnectInfo<SocketAddr>>()?;
    Some(address.ip().to_canonical())
}

/// Everybody can send these headers; only those of a proxy on this machine are believed, where there is said to be one.
fn trusts_headers(parts: &Parts) -> bool {
    let behind_proxy = parts.extensions.get::<Front>().is_some_and(|front| front.behind_proxy);
    behind_proxy && peer(parts).is_some_and(|peer| peer.is_loopback())
}

/// The last address of `X-Forwarded-For`: the one that the proxy has added. Those before it were sent to the proxy, and
/// may say anything.
fn forwarded_for(headers: &HeaderMap) -> Option<IpAddr> {
    let last = headers.get_all("x-forwarded-for").iter().next_back()?.to_str().ok()?;
    let last = last.rsplit(',').next()?.trim();
    let with_port = || last.parse::<SocketAddr>().map(|address| address.ip()).ok();
    let address = last.trim_matches(['[', ']']).parse().ok().or_else(with_port)?;
    Some(IpAddr::to_canonical(&address))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(values: &[&str]) -> Option<String> {
        let mut headers = HeaderMap::new();
        for value in values {
            headers.append("x-forwarded-for", value.parse().unwrap());
        }
        forwarded_for(&headers).map(|address| address.to_string())
    }

    #[test]
    fn only_what_the_proxy_added_itself_is_believed() {
        assert_eq!(told(&["192.0.2.1"]).as_deref(), Some("192.0.2.1"));
        assert_eq!(told(&["198.51.100.7, 192.0.2.1"]).as_deref(), Some("192.0.2.1"));
        assert_eq!(told(&["198.51.100.7", "192.0.2.1:4711"]).as_deref(), Some("192.0.2.1"));
        assert_eq!(told(&["[2001:db8::1]:443"]).as_deref(), Some("2001:db8::1"));
        assert_eq!(told(&["::ffff:192.0.2.1"]).as_deref(), Some("192.0.2.1"));
        assert_eq!(told(&["192.0.2.1, nonsense"]), None);
        assert_eq!(told(&[]), None);
    }
}
