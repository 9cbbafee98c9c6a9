//! Tells the server while negotiating that this client encrypts and wants signatures.
//!
//! The library offers ciphers and leaves out the capability that goes with them (MS-SMB2 2.2.3,
//! `SMB2_GLOBAL_CAP_ENCRYPTION`), and Samba then answers without a cipher. The one request is changed on its way out.
//! In SMB 3.1.1 the session's keys are derived from the bytes of request and answer, so both are remembered and the
//! library is given the hash of what was really sent.

use async_trait::async_trait;
use smb2::client::Connection;
use smb2::crypto::kdf::PreauthHasher;
use smb2::transport::{ConnectOptions, ReceiveProgress, TcpTransport, TransportReceive, TransportSend};
use smb2::types::flags::{Capabilities, SecurityMode};
use std::sync::{Arc, Mutex, PoisonError};

/// Bytes of the header before each message (MS-SMB2 2.2.1).
const HEADER: usize = 64;
/// Where the header has the command, two bytes; NEGOTIATE is 0.
const COMMAND: usize = 12;
/// Where the request has its security mode, two bytes, and its capabilities, four (MS-SMB2 2.2.3).
const SECURITY_MODE: usize = HEADER + 4;
const CAPABILITIES: usize = HEADER + 8;

/// Connects and negotiates.
pub(super) async fn connect(socket: &str, server: &str, options: ConnectOptions) -> smb2::Result<Connection> {
    let transport = Arc::new(TcpTransport::connect_with(socket, options).await?);
    let seen = Arc::new(Mutex::new(Seen::default()));
    let out = Sending { transport: Arc::clone(&transport), seen: Arc::clone(&seen) };
    let back = Receiving { transport, seen: Arc::clone(&seen) };
    let mut connection = Connection::from_transport(Box::new(out), Box::new(back), server);
    // Disks are large and often compressed already; and compression next to encryption tells about contents.
    connection.set_compression_requested(false);
    connection.negotiate().await?;
    let mut seen = seen.lock().unwrap_or_else(PoisonError::into_inner);
    let (request, answer) = (seen.request.take().unwrap_or_default(), seen.answer.take().unwrap_or_default());
    connection.with_preauth_hasher_mut(|hasher| {
        *hasher = PreauthHasher::new();
        hasher.update(&request);
        hasher.update(&answer);
    });
    Ok(connection)
}

/// The bytes of the negotiation, as they were on the wire.
#[derive(Default)]
struct Seen {
    request: Option<Vec<u8>>,
    answer: Option<Vec<u8>>,
    complete: bool,
}

struct Sending {
    transport: Arc<TcpTransport>,
    seen: Arc<Mutex<Seen>>,
}

struct Receiving {
    transport: Arc<TcpTransport>,
    seen: Arc<Mutex<Seen>>,
}

#[async_trait]
impl TransportSend for Sending {
    async fn send(&self, data: &[u8]) -> smb2::Result<()> {
        let changed = {
            let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
            if seen.complete || seen.request.is_some() {
                None
            } else {
                let changed = announce(data);
                seen.request.clone_from(&changed);
                changed
            }
        };
        self.transport.send(changed.as_deref().unwrap_or(data)).await
    }
}

#[async_trait]
impl TransportReceive for Receiving {
    async fn receive(&self) -> smb2::Result<Vec<u8>> {
        let frame = self.transport.receive().await?;
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        if !seen.complete {
            seen.complete = true;
            seen.answer = Some(frame.clone());
        }
        Ok(frame)
    }

    fn receive_progress(&self) -> Option<Arc<ReceiveProgress>> {
        self.transport.receive_progress()
    }
}

/// A NEGOTIATE request that says what this client does; `None` for any other message.
fn announce(request: &[u8]) -> Option<Vec<u8>> {
    if request.get(COMMAND..COMMAND + 2) != Some(&[0, 0]) || request.len() < CAPABILITIES + 4 {
        return None;
    }
    let mut request = request.to_vec();
    request[SECURITY_MODE] |= SecurityMode::SIGNING_REQUIRED as u8;
    request[CAPABILITIES] |= Capabilities::ENCRYPTION as u8;
    Some(request)
}

#[cfg(test)]
mod tests {
    use super::*;
    use smb2::msg::header::Header;
    use smb2::msg::negotiate::NegotiateRequest;
    use smb2::pack::{Guid, Pack, ReadCursor, Unpack, WriteCursor};
    use smb2::types::{Command, Dialect};

    fn message(header: &Header, body: &dyn Pack) -> Vec<u8> {
        let mut cursor = WriteCursor::new();
        header.pack(&mut cursor);
        body.pack(&mut cursor);
        cursor.into_inner()
    }

    #[test]
    fn the_request_gets_the_capability_and_keeps_everything_else() {
        let request = NegotiateRequest {
            security_mode: SecurityMode::new(SecurityMode::SIGNING_ENABLED),
            capabilities: Capabilities::new(Capabilities::LARGE_MTU),
            client_guid: Guid { data1: 1, data2: 2, data3: 3, data4: [4; 8] },
            dialects: vec![Dialect::Smb2_0_2, Dialect::Smb3_0],
            negotiate_contexts: Vec::new(),
        };
        let sent = announce(&message(&Header::new_request(Command::Negotiate), &request)).unwrap();
        let read = NegotiateRequest::unpack(&mut ReadCursor::new(&sent[HEADER..])).unwrap();
        assert!(read.capabilities.contains(Capabilities::ENCRYPTION | Capabilities::LARGE_MTU));
        assert!(read.security_mode.signing_required());
        assert_eq!((read.dialects, read.client_guid), (request.dialects.clone(), request.client_guid));
        assert_eq!(announce(&message(&Header::new_request(Command::Echo), &request)), None);
        assert_eq!(announce(&[0; 70]), None);
    }
}
