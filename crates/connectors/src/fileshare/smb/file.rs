//! One open file on a share.

use super::failure;
use super::session::{Session, call};
use crate::connector::{DiskStamp, FileIdentity};
use crate::error::{Error, Result};
use crate::fileshare::share::{Sink, Source};
use async_trait::async_trait;
use smb2::client::Connection;
use smb2::msg::close::{CloseRequest, CloseResponse};
use smb2::msg::create::{CreateDisposition, CreateRequest, CreateResponse, ImpersonationLevel, ShareAccess};
use smb2::msg::flush::{FlushRequest, FlushResponse};
use smb2::msg::ioctl::{IoctlRequest, IoctlResponse, SMB2_0_IOCTL_IS_FSCTL};
use smb2::msg::query_info::{InfoType, QueryInfoRequest, QueryInfoResponse};
use smb2::msg::read::{ReadRequest, ReadResponse};
use smb2::msg::set_info::{SetInfoRequest, SetInfoResponse};
use smb2::msg::write::{WriteRequest, WriteResponse};
use smb2::pack::{ReadCursor, Unpack};
use smb2::types::flags::FileAccessMask;
use smb2::types::status::NtStatus;
use smb2::types::{Command, FileId, OplockLevel, TreeId};
use std::ops::Range;

/// Options of CREATE (MS-SMB2 2.2.13).
pub(super) const DIRECTORY_FILE: u32 = 0x0000_0001;
const NON_DIRECTORY_FILE: u32 = 0x0000_0040;
/// A link is opened as itself and not followed.
const OPEN_REPARSE_POINT: u32 = 0x0020_0000;

/// File attributes (MS-FSCC 2.6).
pub(super) const ATTRIBUTE_HIDDEN: u32 = 0x0000_0002;
const ATTRIBUTE_DIRECTORY: u32 = 0x0000_0010;
const ATTRIBUTE_NORMAL: u32 = 0x0000_0080;
const ATTRIBUTE_REPARSE_POINT: u32 = 0x0000_0400;

/// Rights (MS-SMB2 2.2.13.1.1).
pub(super) const READ: u32 = 0x0000_0001 | 0x0000_0080 | 0x0010_0000;
pub(super) const WRITE: u32 = READ | 0x0000_0002 | 0x0000_0004 | 0x0000_0100;
pub(super) const EXAMINE: u32 = 0x0000_0080 | 0x0010_0000;

pub(super) const SHARE_NOTHING: u32 = 0;
pub(super) const SHARE_READ: u32 = ShareAccess::FILE_SHARE_READ;
pub(super) const SHARE_ALL: u32 =
    ShareAccess::FILE_SHARE_READ | ShareAccess::FILE_SHARE_WRITE | ShareAccess::FILE_SHARE_DELETE;

/// Controls (MS-FSCC 2.3).
const FSCTL_SET_SPARSE: u32 = 0x0009_00C4;
const FSCTL_QUERY_ALLOCATED_RANGES: u32 = 0x0009_40CF;
/// Information classes (MS-FSCC 2.4).
const INTERNAL_INFORMATION: u8 = 6;
const END_OF_FILE_INFORMATION: u8 = 20;

/// Bytes of an answer about allocated ranges: 4096 of them.
const RANGES_ANSWER: u32 = 64 << 10;

/// How to open something.
#[derive(Debug, Clone, Copy)]
pub(super) struct Opening {
    pub(super) rights: u32,
    pub(super) share: u32,
    pub(super) disposition: CreateDisposition,
    pub(super) options: u32,
    pub(super) attributes: u32,
}

impl Opening {
    /// Opens an existing file.
    pub(super) fn file(rights: u32, share: u32) -> Opening {
        let disposition = CreateDisposition::FileOpen;
        Opening { rights, share, disposition, options: NON_DIRECTORY_FILE, attributes: 0 }
    }
}

/// An open file or folder. Not closed by itself: see [`SmbFile::shut`].
pub(super) struct SmbFile {
    connection: Connection,
    tree: TreeId,
    id: FileId,
    place: String,
    name: String,
    longest: usize,
    /// Length, times and attributes when it was opened.
    facts: CreateResponse,
}

impl SmbFile {
    /// Opens `below`, a path below the configured folder. Links are refused.
    pub(super) async fn open(session: &Session, below: &str, opening: Opening) -> Result<SmbFile> {
        let fail = |error| failure::working(&session.place, "opening", below, error);
        let request = CreateRequest {
            requested_oplock_level: OplockLevel::None,
            impersonation_level: ImpersonationLevel::Impersonation,
            desired_access: FileAccessMask::new(opening.rights),
            file_attributes: if opening.attributes == 0 { ATTRIBUTE_NORMAL } else { opening.attributes },
            share_access: ShareAccess(opening.share),
            create_disposition: opening.disposition,
            create_options: opening.options | OPEN_REPARSE_POINT,
            name: session.path(below),
            create_contexts: Vec::new(),
        };
        let (connection, tree) = (session.connection.clone(), session.tree_id());
        let facts: CreateResponse =
            call(&connection, tree, Command::Create, &request, 0).await.map_err(fail)?;
        let file = SmbFile {
            connection,
            tree,
            id: facts.file_id,
            place: session.place.clone(),
            name: below.to_owned(),
            longest: session.longest,
            facts,
        };
        let folder = file.facts.file_attributes & ATTRIBUTE_DIRECTORY != 0;
        let reason = if file.facts.file_attributes & ATTRIBUTE_REPARSE_POINT != 0 {
            "it is a link"
        } else if folder != (opening.options & DIRECTORY_FILE != 0) {
            if folder { "it is a folder" } else { "a file is where a folder should be" }
        } else {
            return Ok(file);
        };
        file.shut().await?;
        Err(Error::NotPlain { place: file.place, name: file.name, reason })
    }

    fn fail<'a>(&'a self, doing: &'a str) -> impl Fn(smb2::Error) -> Error + 'a {
        move |error| failure::working(&self.place, doing, &self.name, error)
    }

    fn unusable(&self, doing: &str, reason: &str) -> Error {
        let (place, doing) = (self.place.clone(), format!("{doing} {}", self.name));
        Error::Answer { place, doing, reason: reason.to_owned() }
    }

    /// Closes it.
    pub(super) async fn shut(&self) -> Result<()> {
        let request = CloseRequest { flags: 0, file_id: self.id };
        let closed: smb2::Result<CloseResponse> =
            call(&self.connection, self.tree, Command::Close, &request, 0).await;
        closed.map(drop).map_err(self.fail("closing"))
    }

    /// Which state of which file this is, or was when it was opened.
    ///
    /// The file's number on its volume is the identity. A server that has none answers 0; then it is the time of
    /// creation, which servers may take over from a file that had the name shortly before.
    pub(super) async fn stamp(&self) -> Result<DiskStamp> {
        let request = QueryInfoRequest {
            info_type: InfoType::File,
            file_info_class: INTERNAL_INFORMATION,
            output_buffer_length: 8,
            additional_information: 0,
            flags: 0,
            file_id: self.id,
            input_buffer: Vec::new(),
        };
        let answer: QueryInfoResponse = call(&self.connection, self.tree, Command::QueryInfo, &request, 0)
            .await
            .map_err(self.fail("examining"))?;
        let number = answer.output_buffer.first_chunk().map(|bytes| u64::from_le_bytes(*bytes));
        let number = number.ok_or_else(|| self.unusable("examining", "the file's number is too short"))?;
        let identity =
            if number != 0 { number.to_string() } else { format!("created-{}", self.facts.creation_time.0) };
        Ok(DiskStamp {
            bytes: self.facts.end_of_file,
            modified: i64::try_from(self.facts.last_write_time.0).unwrap_or(i64::MAX),
            identity: FileIdentity(identity),
        })
    }

    /// Lets ranges that were never written take no room. Servers whose file system cannot are fine.
    pub(super) async fn make_sparse(&self) -> Result<()> {
        match self.control(FSCTL_SET_SPARSE, vec![1], 0).await {
            Err(smb2::Error::Protocol {
                status: NtStatus::NOT_SUPPORTED | NtStatus::INVALID_DEVICE_REQUEST,
                ..
            }) => Ok(()),
            outcome => outcome.map(drop).map_err(self.fail("making sparse")),
        }
    }

    async fn control(&self, code: u32, input: Vec<u8>, most_output: u32) -> smb2::Result<Vec<u8>> {
        let request = IoctlRequest {
            ctl_code: code,
            file_id: self.id,
            max_input_response: 0,
            max_output_response: most_output,
            flags: SMB2_0_IOCTL_IS_FSCTL,
            input_data: input,
        };
        let command = Command::Ioctl;
        let frame = self.connection.execute(command, &request, Some(self.tree)).await?;
        match frame.header.status {
            // More than fits; what fits is there.
            NtStatus::SUCCESS | NtStatus::BUFFER_OVERFLOW => {
                IoctlResponse::unpack(&mut ReadCursor::new(&frame.body)).map(|answer| answer.output_data)
            }
            status => Err(smb2::Error::Protocol { status, command }),
        }
    }

    async fn read_some(&self, at: u64, len: usize) -> Result<Vec<u8>> {
        let request = ReadRequest {
            padding: 0x50,
            flags: 0,
            length: len as u32,
            offset: at,
            file_id: self.id,
            minimum_count: 0,
            channel: 0,
            remaining_bytes: 0,
            read_channel_info: Vec::new(),
        };
        let answer: ReadResponse = call(&self.connection, self.tree, Command::Read, &request, len)
            .await
            .map_err(self.fail("reading"))?;
        if answer.data.is_empty() || answer.data.len() > len {
            return Err(self.unusable("reading", "another number of bytes came back than was asked for"));
        }
        Ok(answer.data)
    }
}

#[async_trait]
impl Source for SmbFile {
    async fn next_data(&self, from: u64) -> Result<Option<Range<u64>>> {
        let len = self.facts.end_of_file;
        if from >= len {
            return Ok(None);
        }
        let mut input = from.to_le_bytes().to_vec();
        input.extend((len - from).to_le_bytes());
        let ranges = match self.control(FSCTL_QUERY_ALLOCATED_RANGES, input, RANGES_ANSWER).await {
            // Not known: everything may be data.
            Err(smb2::Error::Protocol {
                status:
                    NtStatus::NOT_SUPPORTED | NtStatus::INVALID_DEVICE_REQUEST | NtStatus::INVALID_PARAMETER,
                ..
            }) => return Ok(Some(from..len)),
            ranges => ranges.map_err(self.fail("finding data in"))?,
        };
        let mut found: Option<Range<u64>> = None;
        for entry in ranges.chunks_exact(16) {
            let number = |at: usize| {
                entry[at..].first_chunk().map_or(0, |bytes| i64::from_le_bytes(*bytes)).try_into().ok()
            };
            let range: Option<(u64, u64)> = number(0).zip(number(8));
            let (start, end) = range
                .and_then(|(start, len): (u64, u64)| Some((start, start.checked_add(len)?)))
                .ok_or_else(|| self.unusable("finding data in", "a range lies outside every file"))?;
            let (start, end) = (start.max(from), end.min(len));
            if start >= end {
                continue;
            }
            match &mut found {
                None => found = Some(start..end),
                // Neighbours are one range, which saves questions.
                Some(range) if range.end == start => range.end = end,
                Some(_) => break,
            }
        }
        Ok(found)
    }

    async fn read(&self, at: u64, len: usize) -> Result<Vec<u8>> {
        let mut bytes = Vec::with_capacity(len);
        while bytes.len() < len {
            let most = (len - bytes.len()).min(self.longest);
            bytes.extend(self.read_some(at + bytes.len() as u64, most).await?);
        }
        Ok(bytes)
    }

    async fn close(&self) -> Result<()> {
        self.shut().await
    }
}

#[async_trait]
impl Sink for SmbFile {
    async fn set_len(&self, len: u64) -> Result<()> {
        let request = SetInfoRequest {
            info_type: InfoType::File,
            file_info_class: END_OF_FILE_INFORMATION,
            additional_information: 0,
            file_id: self.id,
            buffer: len.to_le_bytes().to_vec(),
        };
        let done: smb2::Result<SetInfoResponse> =
            call(&self.connection, self.tree, Command::SetInfo, &request, 0).await;
        done.map(drop).map_err(self.fail("lengthening"))
    }

    async fn write(&self, at: u64, bytes: Vec<u8>) -> Result<()> {
        let mut at = at;
        let mut rest = bytes;
        while !rest.is_empty() {
            let after = rest.split_off(rest.len().min(self.longest));
            let mut piece = std::mem::replace(&mut rest, after);
            let len = piece.len();
            let request = WriteRequest {
                data_offset: 0x70,
                offset: at,
                file_id: self.id,
                channel: 0,
                remaining_bytes: 0,
                write_channel_info_offset: 0,
                write_channel_info_length: 0,
                flags: 0,
                data: std::mem::take(&mut piece),
            };
            let answer: WriteResponse = call(&self.connection, self.tree, Command::Write, &request, len)
                .await
                .map_err(self.fail("writing"))?;
            if answer.count as usize != len {
                return Err(self.unusable("writing", "fewer bytes were written than were sent"));
            }
            at += len as u64;
        }
        Ok(())
    }

    async fn flush(&self) -> Result<()> {
        let request = FlushRequest { file_id: self.id };
        let done: smb2::Result<FlushResponse> =
            call(&self.connection, self.tree, Command::Flush, &request, 0).await;
        done.map(drop).map_err(self.fail("flushing"))
    }

    async fn close(&self) -> Result<()> {
        self.shut().await
    }
}
