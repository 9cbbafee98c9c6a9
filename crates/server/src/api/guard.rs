//! What every request goes through: an id, a log line, and no entry for requests that another site makes a browser send.

use super::answer::{REQUEST, answer};
use super::extract::COOKIE;
use crate::app::{Reason, Refusal};
use axum::extract::Request;
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use axum::middleware::Next;
use axum::response::Response;
use std::time::Instant;
use tracing::Instrument;
use uuid::Uuid;

/// Header that carries the request's id, in answers.
const REQUEST_ID: &str = "x-request-id";

/// Gives the request an id, refuses it when another site sent it, logs it.
pub(super) async fn request(request: Request, next: Next) -> Response {
    let id = Uuid::now_v7().hyphenated().to_string();
    let began = Instant::now();
    let span = tracing::info_span!("request", id, method = %request.method(), path = request.uri().path());
    let value = HeaderValue::from_str(&id).unwrap_or(HeaderValue::from_static("-"));
    let mut response = REQUEST
        .scope(
            id,
            async move {
                let response = match cross_site(request.method(), request.headers()) {
                    false => next.run(request).await,
                    true => answer(
                        StatusCode::FORBIDDEN,
                        Refusal::new(
                            Reason::Forbidden,
                            "cross-site-request",
                            "This request was sent by a page of another site.",
                        )
                        .hint(
                            "Programs use an API token; the console is opened at the server's own address.",
                        ),
                    ),
                };
                tracing::info!(
                    status = response.status().as_u16(),
                    milliseconds = began.elapsed().as_millis(),
                    "answered"
                );
                response
            }
            .instrument(span),
        )
        .await;
    response.headers_mut().insert(REQUEST_ID, value);
    response
}

/// Whether a browser sends this for a page of another site, with our cookie.
///
/// Requests that carry no cookie are harmless whoever sent them. Browsers say where a request comes from in
/// `Sec-Fetch-Site` (Fetch Metadata) or, older ones, in `Origin` (RFC 6454); what says neither is no browser.
fn cross_site(method: &Method, headers: &HeaderMap) -> bool {
    if matches!(*method, Method::GET | Method::HEAD | Method::OPTIONS) {
        return false;
    }
    let has_cookie = headers
        .get_all(header::COOKIE)
        .iter()
        .any(|value| value.as_bytes().windows(COOKIE.len()).any(|part| part == COOKIE.as_bytes()));
    // A log-in has no cookie yet, and being logged in as somebody else is an attack as well.
    let origin = headers.get(header::ORIGIN);
    if !has_cookie && origin.is_none() {
        return false;
    }
    if let Some(site) = headers.get("sec-fetch-site") {
        return !matches!(site.as_bytes(), b"same-origin" | b"none");
    }
    let Some(origin) = origin else { return false };
    let host = headers.get(header::HOST).map(HeaderValue::as_bytes).unwrap_or_default();
    let of = |scheme: &[u8]| origin.as_bytes().strip_prefix(scheme);
    of(b"https://").or_else(|| of(b"http://")) != Some(host)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sent(headers: &[(&'static str, &'static str)]) -> bool {
        let map = headers
            .iter()
            .map(|(name, value)| (name.parse().unwrap(), HeaderValue::from_static(value)))
            .collect();
        cross_site(&Method::POST, &map)
    }

    #[test]
    fn a_page_of_another_site_cannot_use_the_cookie() {
        let cookie = ("cookie", "a=b; lamina_session=x");
        assert!(sent(&[cookie, ("host", "lamina.example"), ("origin", "https://evil.example")]));
        assert!(sent(&[cookie, ("host", "lamina.example"), ("origin", "null")]));
        assert!(sent(&[cookie, ("host", "lamina.example"), ("sec-fetch-site", "cross-site")]));
        assert!(sent(&[cookie, ("host", "lamina.example"), ("sec-fetch-site", "same-site")]));
        assert!(!sent(&[cookie, ("host", "lamina.example"), ("origin", "https://lamina.example")]));
        assert!(!sent(&[cookie, ("host", "lamina.example")]));
        assert!(!sent(&[("host", "lamina.example")]));
    }

    #[test]
    fn another_site_cannot_log_somebody_in() {
        assert!(sent(&[("host", "lamina.example"), ("origin", "https://evil.example")]));
    }
}
