//! What the library's errors and the server's status codes mean for a person.

use crate::error::Error;
use smb2::types::Command;
use smb2::types::status::NtStatus;

/// Status codes of MS-ERREF that the library has no names for.
const QUOTA_EXCEEDED: NtStatus = NtStatus(0xC000_0044);
const TOO_MANY_SESSIONS: NtStatus = NtStatus(0xC000_00CE);
const LOGON_TYPE_NOT_GRANTED: NtStatus = NtStatus(0xC000_015B);
const NO_SUCH_USER: NtStatus = NtStatus(0xC000_0064);
const WRONG_PASSWORD: NtStatus = NtStatus(0xC000_006A);

/// An error while the connection is made and the share is reached.
pub(super) fn connecting(place: &str, user: &str, error: smb2::Error) -> Error {
    let place = place.to_owned();
    let reason = reason(&error);
    match &error {
        smb2::Error::Auth { .. } | smb2::Error::GuestSessionRefused { .. } => {
            Error::Credentials { place, user: user.to_owned(), reason }
        }
        smb2::Error::SignatureInvalid { .. } => Error::Unprotected { place, reason },
        smb2::Error::Protocol { status, command } => match (*command, *status) {
            // A session is refused for what the account is or may; a status of the protocol itself is told as such.
            (
                Command::SessionSetup,
                NtStatus::LOGON_FAILURE
                | NtStatus::ACCESS_DENIED
                | NtStatus::ACCOUNT_RESTRICTION
                | NtStatus::INVALID_LOGON_HOURS
                | NtStatus::INVALID_WORKSTATION
                | NtStatus::PASSWORD_EXPIRED
                | NtStatus::ACCOUNT_DISABLED
                | NtStatus::ACCOUNT_EXPIRED
                | NtStatus::PASSWORD_MUST_CHANGE
                | NtStatus::ACCOUNT_LOCKED_OUT
                | LOGON_TYPE_NOT_GRANTED
                | NO_SUCH_USER
                | WRONG_PASSWORD,
            ) => Error::Credentials { place, user: user.to_owned(), reason },
            (Command::TreeConnect, NtStatus::BAD_NETWORK_NAME) => {
                Error::NoShare { place, reason: "the server has no share of this name".to_owned() }
            }
            (Command::TreeConnect, NtStatus::ACCESS_DENIED) => {
                Error::Denied { place, what: "the share".to_owned(), reason }
            }
            (
                _,
                NtStatus::REQUEST_NOT_ACCEPTED
                | NtStatus::INSUFFICIENT_RESOURCES
                | NtStatus::INSUFF_SERVER_RESOURCES
                | TOO_MANY_SESSIONS,
            ) => Error::Unreachable { place, reason },
            _ => Error::Answer { place, doing: "connecting".to_owned(), reason },
        },
        smb2::Error::InvalidData { .. } => Error::Answer { place, doing: "connecting".to_owned(), reason },
        _ => Error::Unreachable { place, reason },
    }
}

/// An error while `doing` something with the file or folder `what`.
pub(super) fn working(place: &str, doing: &str, what: &str, error: smb2::Error) -> Error {
    let (place, name) = (place.to_owned(), what.to_owned());
    let reason = reason(&error);
    let Some(status) = error.status() else {
        return match error {
            smb2::Error::SignatureInvalid { .. } => Error::Unprotected { place, reason },
            smb2::Error::InvalidData { .. } => {
                Error::Answer { place, doing: format!("{doing} {what}"), reason }
            }
            _ => Error::Lost { place, reason },
        };
    };
    match status {
        NtStatus::OBJECT_NAME_NOT_FOUND
        | NtStatus::OBJECT_PATH_NOT_FOUND
        | NtStatus::NO_SUCH_FILE
        | NtStatus::NOT_FOUND => Error::NoDisk { place, name },
        NtStatus::OBJECT_NAME_COLLISION => Error::Taken { place, name },
        NtStatus::SHARING_VIOLATION | NtStatus::FILE_LOCK_CONFLICT => {
            Error::InUse { place, name, reason: "a client of the server has it open".to_owned() }
        }
        NtStatus::DELETE_PENDING => {
            Error::InUse { place, name, reason: "it was deleted while a client has it open".to_owned() }
        }
        NtStatus::ACCESS_DENIED | NtStatus::CANNOT_DELETE => Error::Denied { place, what: name, reason },
        NtStatus::DISK_FULL | QUOTA_EXCEEDED => Error::NoRoom { what: format!("{what} on {place}") },
        NtStatus::STOPPED_ON_SYMLINK => {
            Error::NotPlain { place, name, reason: "a symbolic link is in the way" }
        }
        NtStatus::FILE_IS_A_DIRECTORY => Error::NotPlain { place, name, reason: "it is a folder" },
        NtStatus::NOT_A_DIRECTORY => {
            Error::NotPlain { place, name, reason: "a file is where a folder should be" }
        }
        NtStatus::NETWORK_NAME_DELETED
        | NtStatus::USER_SESSION_DELETED
        | NtStatus::NETWORK_SESSION_EXPIRED
        | NtStatus::FILE_CLOSED => Error::Lost { place, reason },
        _ => Error::Answer { place, doing: format!("{doing} {what}"), reason },
    }
}

/// The error in words, without the parts that mean nothing to a person.
fn reason(error: &smb2::Error) -> String {
    match error {
        smb2::Error::Protocol { status, .. } => format!("the server answered {status}"),
        smb2::Error::GuestSessionRefused { .. } => {
            "the server would take this user for a guest only".to_owned()
        }
        smb2::Error::ConnectFailed { attempts, .. } => {
            let each: Vec<String> = attempts.iter().map(|attempt| attempt.to_string()).collect();
            each.join("; ")
        }
        other => other.to_string(),
    }
}
