//! One signed-in connection with one share open on it.

use super::failure;
use super::{Protection, SmbAddress, negotiation};
use crate::error::{Error, Result};
use crate::reach::Unreachable;
use secrecy::ExposeSecret;
use smb2::client::Connection;
use smb2::msg::logoff::LogoffRequest;
use smb2::pack::{Pack, ReadCursor, Unpack};
use smb2::transport::ConnectOptions;
use smb2::types::status::NtStatus;
use smb2::types::{Command, CreditCharge, Dialect, TreeId};
use smb2::{NegotiatedParams, Tree};
use std::time::Duration;

/// For reaching the server, resolving its name included.
const CONNECT_WITHIN: Duration = Duration::from_secs(15);
/// Addresses of one server that are tried.
const MOST_ADDRESSES: usize = 3;
/// For saying goodbye. Nothing depends on it.
const LEAVE_WITHIN: Duration = Duration::from_secs(5);
/// Bytes that one credit pays for (MS-SMB2 3.1.5.2).
const BYTES_PER_CREDIT: usize = 64 << 10;
/// Longest read or write that is asked for at once, bytes.
const MOST_PER_REQUEST: u32 = 1 << 20;

/// A signed-in connection to a share.
pub(super) struct Session {
    pub(super) connection: Connection,
    pub(super) tree: Tree,
    /// The share, as messages name it.
    pub(super) place: String,
    /// The configured folder with a `\` behind it, or nothing.
    prefix: String,
    /// Longest read and write, bytes.
    pub(super) longest: usize,
}

/// Connects to the first address of the server that answers and may be reached.
async fn reach(address: &SmbAddress, place: &str, options: ConnectOptions) -> Result<Connection> {
    let found = address.reach.addresses(&address.server, address.port).await.map_err(|error| {
        let (place, reason) = (place.to_owned(), error.to_string());
        match error {
            Unreachable::Forbidden { .. } => Error::Forbidden { place, reason },
            Unreachable::Unresolved { .. } => Error::Unreachable { place, reason },
        }
    })?;
    let mut outcome =
        Err(Error::Unreachable { place: place.to_owned(), reason: "it has no address".to_owned() });
    for socket in found.iter().take(MOST_ADDRESSES) {
        match negotiation::connect(&socket.to_string(), &address.server, options.clone()).await {
            Ok(connection) => return Ok(connection),
            Err(error) => outcome = Err(failure::connecting(place, &address.user, error)),
        }
    }
    outcome
}

impl Session {
    /// Connects, signs in and opens the share, with the protection that is demanded.
    pub(super) async fn open(address: &SmbAddress, place: &str) -> Result<Session> {
        let fail = |error| failure::connecting(place, &address.user, error);
        let options = ConnectOptions::with_timeout(CONNECT_WITHIN);
        let mut connection = reach(address, place, options).await?;
        let params = connection.params().ok_or_else(|| Error::Answer {
            place: place.to_owned(),
            doing: "connecting".to_owned(),
            reason: "nothing was negotiated".to_owned(),
        })?;
        let unprotected =
            |reason: &str| Error::Unprotected { place: place.to_owned(), reason: reason.to_owned() };
        if address.protection == Protection::Encrypted {
            // Before the password is used. Only 3.1.1 protects the choice of the version itself.
            if params.dialect != Dialect::Smb3_1_1 || params.cipher.is_none() {
                return Err(unprotected(&format!("the server offers {} without encryption", params.dialect)));
            }
        }
        let password = address.password.expose_secret();
        let session = smb2::Session::setup(&mut connection, &address.user, password, &address.domain);
        let session = session.await.map_err(fail)?;
        if !session.should_sign && !session.should_encrypt {
            return Err(unprotected("the server signs nothing for this user"));
        }
        if address.protection == Protection::Encrypted {
            encrypt(&mut connection, &session, &params);
        }
        let tree = Tree::connect(&mut connection, &address.share).await.map_err(fail)?;
        if tree.is_dfs {
            return Err(Error::NoShare {
                place: place.to_owned(),
                reason: "it is a DFS namespace; name the file server and the share behind it".to_owned(),
            });
        }
        if tree.encrypt_data {
            encrypt(&mut connection, &session, &params);
        }
        if (tree.encrypt_data || address.protection == Protection::Encrypted) && !connection.should_encrypt()
        {
            return Err(unprotected("encryption was demanded and could not be switched on"));
        }
        let longest = params.max_read_size.min(params.max_write_size).min(MOST_PER_REQUEST) as usize;
        let folder =
            address.folder.as_ref().map(|folder| format!("{}\\", folder.as_str().replace('/', "\\")));
        Ok(Session { connection, tree, place: place.to_owned(), prefix: folder.unwrap_or_default(), longest })
    }

    /// The path on the share of a path below the configured folder, as the protocol writes it.
    pub(super) fn path(&self, below: &str) -> String {
        if below.is_empty() {
            return self.prefix.trim_end_matches('\\').to_owned();
        }
        format!("{}{}", self.prefix, below.replace('/', "\\"))
    }

    /// The same, as the library's own calls take it.
    pub(super) fn smb2_path(&self, below: &str) -> String {
        self.path(below).replace('\\', "/")
    }

    pub(super) fn tree_id(&self) -> TreeId {
        self.tree.tree_id
    }

    /// Tree and session are closed, and with them every file; then the next operation does not meet our own handles.
    pub(super) async fn leave(&self) {
        let goodbye = async {
            let mut connection = self.connection.clone();
            let _ = self.tree.disconnect(&mut connection).await;
            let _ = connection.execute(Command::Logoff, &LogoffRequest, None).await;
        };
        let _ = tokio::time::timeout(LEAVE_WITHIN, goodbye).await;
    }
}

/// Switches encryption on, which either side may do once a session has its keys.
fn encrypt(connection: &mut Connection, session: &smb2::Session, params: &NegotiatedParams) {
    let keys = (session.encryption_key.clone(), session.decryption_key.clone(), params.cipher);
    if let (Some(out), Some(back), Some(cipher)) = keys
        && !connection.should_encrypt()
    {
        connection.activate_encryption(out, back, cipher);
    }
}

/// Sends one request that carries or asks for `bytes` and gives the answer, if its status is success.
pub(super) async fn call<A: Unpack>(
    connection: &Connection,
    tree: TreeId,
    command: Command,
    request: &dyn Pack,
    bytes: usize,
) -> smb2::Result<A> {
    let charge = bytes.div_ceil(BYTES_PER_CREDIT).max(1);
    let charge = CreditCharge(u16::try_from(charge).unwrap_or(u16::MAX));
    let frame = connection.execute_with_credits(command, request, Some(tree), charge).await?;
    if frame.header.status != NtStatus::SUCCESS {
        return Err(smb2::Error::Protocol { status: frame.header.status, command });
    }
    A::unpack(&mut ReadCursor::new(&frame.body))
}
