//! How a file share is configured.

use super::connector::ShareConnector;
use super::directory::DirectoryAccess;
use super::smb::{Protection, SmbAccess, SmbAddress};
use crate::connector::Connector;
use crate::description::Description;
use crate::error::{Error, Result};
use crate::field::{self, Checked, Choice, Condition, Field, FieldError, FieldType, Secrets, Values};
use crate::kind::Kind;
use crate::name::DiskName;
use crate::reach::{LinkLocal, Reach};
use serde_json::json;
use std::sync::Arc;

/// The kind `fileshare`.
#[derive(Debug, Clone, Copy, Default)]
pub struct Fileshare {
    /// Where the names of SMB servers may lead besides.
    pub link_local: LinkLocal,
}

impl Kind for Fileshare {
    fn describe(&self) -> Description {
        Description {
            kind: "fileshare",
            title: "File share",
            help: "A folder of the server's machine or an SMB share, where packaging disks and images are put and \
                   from where they are picked up.",
            capabilities: super::capabilities(),
            fields: fields(),
            secrets_go_to: vec!["access", "server", "port", "protection"],
        }
    }

    fn validate(&self, values: &Values, secrets: &Secrets) -> Vec<FieldError> {
        check(values, secrets).err().unwrap_or_default()
    }

    fn connect(&self, values: &Values, secrets: &Secrets) -> Result<Arc<dyn Connector>> {
        let checked = check(values, secrets).map_err(Error::Fields)?;
        let connector = match checked.text("access") {
            Some("smb") => ShareConnector::new(Box::new(SmbAccess::new(address(&checked, self.link_local)?))),
            _ => {
                let path = checked.text("path").ok_or_else(|| missing("path"))?;
                ShareConnector::new(Box::new(DirectoryAccess::new(path, true)))
            }
        };
        Ok(Arc::new(connector))
    }
}

/// What the fields say, and what only this kind knows to check.
fn check(values: &Values, secrets: &Secrets) -> std::result::Result<Checked, Vec<FieldError>> {
    let checked = field::check(&fields(), values, secrets)?;
    match checked.text("folder").map(str::parse::<DiskName>) {
        Some(Err(refused)) => Err(vec![FieldError::new("folder", "field-path", refused.reason)]),
        _ => Ok(checked),
    }
}

fn missing(field: &str) -> Error {
    Error::Fields(vec![FieldError::new(field, "field-required", "this is needed")])
}

fn address(checked: &Checked, link_local: LinkLocal) -> Result<SmbAddress> {
    let text = |field: &str| checked.text(field).map(str::to_owned).ok_or_else(|| missing(field));
    let folder = checked.text("folder").map(str::parse::<DiskName>).transpose()?;
    Ok(SmbAddress {
        // Shares are in private networks, or on this machine.
        reach: Reach { private: true, loopback: true, link_local },
        server: text("server")?,
        port: checked.number("port").and_then(|port| port.try_into().ok()).unwrap_or(445),
        share: text("share")?,
        folder,
        domain: checked.text("domain").unwrap_or_default().to_owned(),
        user: text("user")?,
        password: checked.secret("password").cloned().ok_or_else(|| missing("password"))?,
        protection: match checked.text("protection") {
            Some("signed") => Protection::Signed,
            _ => Protection::Encrypted,
        },
    })
}

fn fields() -> Vec<Field> {
    let directory = Some(Condition { field: "access", is: "directory" });
    let smb = Some(Condition { field: "access", is: "smb" });
    let field = |name, title, help, kind, required, default, only_when: &Option<Condition>| Field {
        name,
        title,
        help,
        kind,
        required,
        default,
        only_when: only_when.clone(),
    };
    let text = |most_chars, pattern| FieldType::Text { most_chars, pattern };
    let choice = |choices: [(&'static str, &'static str); 2]| FieldType::Choice {
        choices: choices.map(|(value, title)| Choice { value, title }).to_vec(),
    };
    let accesses = choice([("directory", "A folder of the server's machine"), ("smb", "An SMB share")]);
    let protections = choice([("encrypted", "Encrypted (SMB 3.1.1)"), ("signed", "Signed")]);
    vec![
        field(
            "access",
            "Kind of share",
            "How the share is reached.",
            accesses,
            true,
            Some(json!("directory")),
            &None,
        ),
        field(
            "path",
            "Folder",
            "An absolute path on the machine that the server runs on, for instance where a share is mounted.",
            FieldType::Path,
            true,
            None,
            &directory,
        ),
        field(
            "server",
            "Server",
            "Name or address of the file server, without `\\\\`.",
            text(253, Some("[A-Za-z0-9]([A-Za-z0-9._-]*[A-Za-z0-9])?|[0-9A-Fa-f:]*:[0-9A-Fa-f:.]*")),
            true,
            None,
            &smb,
        ),
        field(
            "port",
            "Port",
            "The port on which it serves SMB.",
            FieldType::Number { least: 1, most: 65535 },
            false,
            Some(json!(445)),
            &smb,
        ),
        field(
            "share",
            "Share",
            "The name of the share, such as `images`. Not a path.",
            text(80, Some(r#"[^\\/:*?"<>|\[\]+=;,]+"#)),
            true,
            None,
            &smb,
        ),
        field(
            "folder",
            "Folder in the share",
            "Everything is kept in this folder, which has to exist; the whole share if empty.",
            text(1024, None),
            false,
            None,
            &smb,
        ),
        field(
            "user",
            "User",
            "An account that may list, create, rename, change and delete files there; its name alone, without a domain.",
            text(104, Some(r#"[^\\/@:*?"<>|\[\]+=;,]+"#)),
            true,
            None,
            &smb,
        ),
        field(
            "domain",
            "Domain",
            "The account's domain; empty for an account of the file server itself.",
            text(255, Some(r#"[^\\/:*?"<>|@]+"#)),
            false,
            None,
            &smb,
        ),
        field(
            "password",
            "Password",
            "The password of the account.",
            FieldType::Secret { most_chars: 256 },
            true,
            None,
            &smb,
        ),
        field(
            "protection",
            "Protection",
            "Signed is for servers that cannot encrypt: nobody can change what is transferred, but others may read it.",
            protections,
            false,
            Some(json!("encrypted")),
            &smb,
        ),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::Value;

    fn errors(value: Value, secrets: &Secrets) -> Vec<String> {
        let values: Values = serde_json::from_value(value).unwrap();
        let errors = Fileshare::default().validate(&values, secrets);
        assert_eq!(Fileshare::default().connect(&values, secrets).is_err(), !errors.is_empty());
        errors.into_iter().map(|error| format!("{} {}", error.field, error.code)).collect()
    }

    #[test]
    fn a_folder_needs_a_path_and_a_share_needs_server_share_user_and_password() {
        let none = Secrets::new();
        assert_eq!(errors(json!({"path": "/srv/disks"}), &none), [""; 0]);
        assert_eq!(errors(json!({}), &none), ["path field-required"]);
        let needed = ["server", "share", "user", "password"].map(|field| format!("{field} field-required"));
        assert_eq!(errors(json!({"access": "smb"}), &none), needed);
        let secrets = Secrets::new().with("password", "pw");
        let share = json!({"access": "smb", "server": "nas.example.com", "share": "disks", "user": "lamina"});
        assert_eq!(errors(share, &secrets), [""; 0]);
    }

    #[test]
    fn the_password_goes_to_the_server_and_port_however_they_are_written() {
        let description = Fileshare::default().describe();
        let same = |change: fn(&mut Value)| {
            let saved = json!({"access": "smb", "server": "nas", "share": "disks", "user": "lamina"});
            let mut changed = saved.clone();
            change(&mut changed);
            let values = |value| serde_json::from_value::<Values>(value).unwrap();
            description.same_destination(&values(saved), &values(changed))
        };
        assert!(same(|values| values["share"] = json!("other")));
        assert!(same(|values| values["port"] = json!(445)));
        assert!(!same(|values| values["port"] = json!(446)));
        assert!(!same(|values| values["server"] = json!("evil")));
        assert!(!same(|values| values["protection"] = json!("signed")));
    }

    #[test]
    fn an_address_that_means_something_else_is_refused() {
        let secrets = Secrets::new().with("password", "pw");
        let with = |field: &str, value: &str| {
            let mut share = json!({"access": "smb", "server": "nas", "share": "disks", "user": "lamina", "domain": "corp"});
            share[field] = value.into();
            errors(share, &secrets)
        };
        for server in ["\\\\nas", "nas/disks", "nas:445", "user@nas", "nas disks", "-nas"] {
            assert_eq!(with("server", server), ["server field-pattern"], "{server}");
        }
        for server in ["192.0.2.7", "2001:db8::7", "nas-1.example.com"] {
            assert_eq!(with("server", server), [""; 0], "{server}");
        }
        assert_eq!(with("share", "disks\\..\\c$"), ["share field-pattern"]);
        assert_eq!(with("user", "corp\\lamina"), ["user field-pattern"]);
        assert_eq!(with("folder", "../other"), ["folder field-path"]);
        assert_eq!(with("folder", "images/lamina"), [""; 0]);
    }
}
