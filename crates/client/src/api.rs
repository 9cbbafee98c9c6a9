//! A client for one place and one who asks.

use crate::problem::{Problem, UnusablePlace};
use crate::{Client, types};
use bytes::Bytes;
use futures_util::StreamExt;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use reqwest::header::{AUTHORIZATION, CONTENT_TYPE, COOKIE, HeaderMap, HeaderValue, SET_COOKIE};
use reqwest::{Certificate, Url};
use std::net::IpAddr;
use std::ops::Deref;
use std::time::Duration;
use uuid::Uuid;

/// Where the API lies below a server's address.
const ROOT: &str = "/api/v1";
/// Header for the audit history's comment.
const COMMENT: &str = "x-lamina-comment";
/// Longest time until a connection stands.
const CONNECT: Duration = Duration::from_secs(10);
/// Longest time for an answer. The server gives itself a minute.
const ANSWER: Duration = Duration::from_secs(75);
/// Most bytes of a picture.
const MOST_PICTURE: usize = 2 << 20;

/// Where a server is.
#[derive(Debug, Clone)]
pub struct Place {
    /// Its address, such as `https://lamina.example.com`.
    pub url: String,
    /// The only authorities, in PEM, that may have signed its certificate; those of this machine when absent.
    pub authority: Option<String>,
}

/// How one shows who asks.
#[derive(Clone)]
pub enum Proof {
    /// Not at all.
    Nobody,
    /// With an API token.
    Token(String),
    /// With the cookie of a session.
    Session(String),
}

impl std::fmt::Debug for Proof {
    /// Never shows the secret.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Proof::Nobody => "Nobody",
            Proof::Token(_) => "Token",
            Proof::Session(_) => "Session",
        })
    }
}

/// A session that was begun.
#[derive(Debug)]
pub struct Login {
    /// Who one is.
    pub me: types::Me,
    /// What shows it from now on.
    pub proof: Proof,
}

/// The API of one server, for one who asks. Every operation is a method of [`Client`].
#[derive(Debug)]
pub struct Api {
    client: Client,
    base: String,
}

impl Deref for Api {
    type Target = Client;
    fn deref(&self) -> &Client {
        &self.client
    }
}

impl Api {
    /// A client. `comment` goes into the audit history with every change.
    pub fn new(place: &Place, proof: &Proof, comment: Option<&str>) -> Result<Api, UnusablePlace> {
        // Fails when there is a provider already, which serves as well.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let base = base(&place.url)?;
        let mut builder = reqwest::Client::builder()
            .connect_timeout(CONNECT)
            .timeout(ANSWER)
            // Who answers with another place is no Lamina server, and does not get the token.
            .redirect(reqwest::redirect::Policy::none())
            .default_headers(headers(proof, comment)?);
        if let Some(pem) = &place.authority {
            let authority = Certificate::from_pem_bundle(pem.as_bytes())
                .map_err(|error| UnusablePlace::Authority(error.to_string()))?;
            if authority.is_empty() {
                return Err(UnusablePlace::Authority("it holds none".to_owned()));
            }
            builder = builder.tls_certs_only(authority);
        }
        let client = builder.build().map_err(|error| UnusablePlace::Machine(error.to_string()))?;
        Ok(Api { client: Client::new_with_client(&base, client), base })
    }

    /// Logs in: who one is, and what shows it afterwards.
    pub async fn log_in_as(&self, name: &str, password: &str) -> Result<Login, Problem> {
        let body = types::Credentials { name: name.to_owned(), password: password.to_owned() };
        let answer = self.log_in().body(body).send().await?;
        let cookie = answer.headers().get(SET_COOKIE).and_then(|value| value.to_str().ok());
        let pair = cookie.and_then(|cookie| cookie.split(';').next()).filter(|pair| pair.contains('='));
        let pair = pair.ok_or_else(|| Problem::NotUnderstood("a log-in without a session".to_owned()))?;
        Ok(Login { proof: Proof::Session(pair.to_owned()), me: answer.into_inner() })
    }

    /// Uploads an icon: PNG or JPEG, as `media_type` says.
    pub async fn upload_icon(
        &self,
        name: &str,
        media_type: &'static str,
        file: Vec<u8>,
    ) -> Result<types::IconView, Problem> {
        let answer = self
            .client
            .client
            .post(format!("{}/icons", self.base))
            .query(&[("name", name)])
            .header("Idempotency-Key", once())
            .header(CONTENT_TYPE, media_type)
            .body(file)
            .send()
            .await?;
        let status = answer.status();
        let body = answer.bytes().await?;
        if !status.is_success() {
            return Err(Problem::of_answer(status, &body));
        }
        serde_json::from_slice(&body).map_err(|error| Problem::NotUnderstood(error.to_string()))
    }

    /// The picture of an icon: PNG or SVG.
    pub async fn icon_picture(&self, id: &str) -> Result<Vec<u8>, Problem> {
        let mut stream = self.get_icon_image().id(id).send().await?.into_inner_stream();
        let mut picture = Vec::new();
        while let Some(part) = stream.next().await {
            let part: Bytes = part?;
            if picture.len() + part.len() > MOST_PICTURE {
                return Err(Problem::NotUnderstood(format!("a picture of more than {MOST_PICTURE} bytes")));
            }
            picture.extend_from_slice(&part);
        }
        Ok(picture)
    }
}

/// A key by which a creating call is done once, however often it is sent.
pub fn once() -> String {
    Uuid::now_v7().to_string()
}

/// Where the API of a server lies.
fn base(url: &str) -> Result<String, UnusablePlace> {
    let unusable = |reason: &str| UnusablePlace::Address { url: url.to_owned(), reason: reason.to_owned() };
    let parsed = Url::parse(url).map_err(|error| unusable(&error.to_string()))?;
    if !matches!(parsed.scheme(), "http" | "https") || !parsed.has_host() {
        return Err(unusable("it begins with https:// or http:// and the name of a machine"));
    }
    let host = parsed.host_str().unwrap_or_default().trim_matches(['[', ']']);
    let here = host == "localhost" || host.parse::<IpAddr>().is_ok_and(|address| address.is_loopback());
    if parsed.scheme() == "http" && !here {
        return Err(unusable("plain http is for the machine itself only; write https"));
    }
    if !parsed.username().is_empty() || parsed.password().is_some() {
        return Err(unusable("a name or password has no place in it"));
    }
    if parsed.query().is_some() || parsed.fragment().is_some() {
        return Err(unusable("it has a ? or #"));
    }
    let plain = parsed.as_str().trim_end_matches('/');
    Ok(format!("{}{ROOT}", plain.strip_suffix(ROOT).unwrap_or(plain)))
}

fn headers(proof: &Proof, comment: Option<&str>) -> Result<HeaderMap, UnusablePlace> {
    let mut headers = HeaderMap::new();
    let secret = |text: &str, what| {
        let mut value = HeaderValue::from_str(text).map_err(|_| UnusablePlace::Header(what))?;
        value.set_sensitive(true);
        Ok(value)
    };
    match proof {
        Proof::Nobody => {}
        Proof::Token(token) => {
            headers.insert(AUTHORIZATION, secret(&format!("Bearer {token}"), "token")?);
        }
        Proof::Session(cookie) => {
            headers.insert(COOKIE, secret(cookie, "session")?);
        }
    }
    if let Some(comment) = comment {
        let encoded = utf8_percent_encode(comment, NON_ALPHANUMERIC).to_string();
        let value = HeaderValue::from_str(&encoded).map_err(|_| UnusablePlace::Header("comment"))?;
        headers.insert(COMMENT, value);
    }
    Ok(headers)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_may_end_as_people_write_it() {
        for url in [
            "https://host:8080",
            "https://host:8080/",
            "https://host:8080/api/v1",
            "https://host:8080/api/v1/",
        ] {
            assert_eq!(base(url).unwrap(), "https://host:8080/api/v1", "{url}");
        }
        assert_eq!(base("https://host/lamina").unwrap(), "https://host/lamina/api/v1");
    }

    #[test]
    fn what_is_no_address_of_a_server_is_refused() {
        for url in [
            "host:8080",
            "ftp://host",
            "http://",
            "https://me:secret@host",
            "https://host/?a=b",
            "https://host#a",
        ] {
            assert!(base(url).is_err(), "{url}");
        }
    }

    #[test]
    fn nothing_goes_to_another_machine_in_plain_text() {
        for url in ["http://localhost:8080", "http://127.0.0.1", "http://[::1]:8080"] {
            assert!(base(url).is_ok(), "{url}");
        }
        for url in ["http://host:8080", "http://192.0.2.1", "http://localhost.example.com"] {
            assert!(base(url).is_err(), "{url}");
        }
    }

    #[test]
    fn a_comment_in_any_language_fits_into_a_header_and_secrets_do_not_show() {
        let headers = headers(&Proof::Token("lamina_x".to_owned()), Some("Größe\nzwei")).unwrap();
        assert_eq!(headers[COMMENT], "Gr%C3%B6%C3%9Fe%0Azwei");
        assert!(!format!("{headers:?}").contains("lamina_x"));
        assert!(!format!("{:?}", Proof::Token("lamina_x".to_owned())).contains("lamina_x"));
        assert!(super::headers(&Proof::Token("a\nb".to_owned()), None).is_err());
    }

    #[test]
    fn an_authority_that_is_none_is_refused() {
        for pem in ["", "no certificate"] {
            let place = Place { url: "https://host".to_owned(), authority: Some(pem.to_owned()) };
            assert!(Api::new(&place, &Proof::Nobody, None).is_err(), "{pem:?}");
        }
    }
}
