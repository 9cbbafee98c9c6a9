//! The JSON of OCI image layouts, as far as Lamina uses it: image-spec 1.1, `descriptor.md`, `manifest.md`,
//! `image-index.md`, `image-layout.md`.
//!
//! Manifests are read exactly, as nobody else writes ours. Of an index, entries of others are kept as they are, with fields
//! that are not known here.

use super::error::LayoutError;
use super::{CHANGES_TYPE, DISK_TYPE, PACK_TYPE, RECORD_TYPE, VERSION_TYPE};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use sha2::{Digest as _, Sha256};
use std::collections::BTreeMap;
use std::fmt;
use std::path::Path;
use std::str::FromStr;

/// Media type of an OCI image manifest.
pub(super) const MANIFEST_TYPE: &str = "application/vnd.oci.image.manifest.v1+json";
/// Media type of an OCI image index.
const INDEX_TYPE: &str = "application/vnd.oci.image.index.v1+json";
/// The annotation by which an entry of an index is found.
const REF_NAME: &str = "org.opencontainers.image.ref.name";
/// The annotation that people read.
const TITLE: &str = "org.opencontainers.image.title";
/// What all types of ours begin with.
const OURS: &str = "application/vnd.lamina.";

/// A SHA-256 digest, written `sha256:` and 64 lower-case hexadecimal digits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub(crate) struct Digest([u8; 32]);

impl Digest {
    pub(crate) fn of(parts: &[&[u8]]) -> Digest {
        let mut hasher = Sha256::new();
        parts.iter().for_each(|part| hasher.update(part));
        Digest(hasher.finalize().into())
    }

    /// The digits, which are also the name of the blob's file.
    pub(super) fn hex(&self) -> String {
        self.0.iter().map(|byte| format!("{byte:02x}")).collect()
    }

    /// The digest whose blob has this file name.
    pub(super) fn of_file_name(name: &str) -> Option<Digest> {
        let digits = name.as_bytes();
        let lower = |digit: &u8| digit.is_ascii_digit() || (b'a'..=b'f').contains(digit);
        if digits.len() != 64 || !digits.iter().all(lower) {
            return None;
        }
        let mut bytes = [0; 32];
        for (byte, at) in bytes.iter_mut().zip((0..64).step_by(2)) {
            *byte = u8::from_str_radix(name.get(at..at + 2)?, 16).ok()?;
        }
        Some(Digest(bytes))
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "sha256:{}", self.hex())
    }
}

impl FromStr for Digest {
    type Err = String;
    fn from_str(text: &str) -> Result<Digest, String> {
        let digits = text.strip_prefix("sha256:").and_then(Digest::of_file_name);
        digits.ok_or_else(|| "a digest is not `sha256:` and 64 lower-case hexadecimal digits".to_owned())
    }
}

impl TryFrom<String> for Digest {
    type Error = String;
    fn try_from(text: String) -> Result<Digest, String> {
        text.parse()
    }
}

impl From<Digest> for String {
    fn from(digest: Digest) -> String {
        digest.to_string()
    }
}

/// A blob of the layout: what it is, its digest, and its length in bytes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Descriptor {
    pub(super) media_type: String,
    pub(super) digest: Digest,
    pub(super) size: u64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) artifact_type: Option<String>,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub(super) annotations: BTreeMap<String, String>,
}

impl Descriptor {
    pub(super) fn new(media_type: &str, digest: Digest, size: u64) -> Descriptor {
        let media_type = media_type.to_owned();
        Descriptor { media_type, digest, size, artifact_type: None, annotations: BTreeMap::new() }
    }

    /// The entry of an index for a version's manifest.
    pub(crate) fn entry(digest: Digest, size: u64, ref_name: String, title: String) -> Descriptor {
        let annotations = [(REF_NAME.to_owned(), ref_name), (TITLE.to_owned(), title)].into();
        let artifact_type = Some(VERSION_TYPE.to_owned());
        Descriptor { artifact_type, annotations, ..Descriptor::new(MANIFEST_TYPE, digest, size) }
    }
}

/// What a type of ours says about who can read the thing.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Kinship {
    /// A layer version in the format of this program.
    Ours,
    /// A layer version in a later format.
    Newer,
    /// Something of Lamina's that is not known here.
    Unknown,
    /// Somebody else's.
    Foreign,
}

/// Whose thing has this artifact type.
pub(super) fn kinship(artifact_type: &str) -> Kinship {
    let stem = VERSION_TYPE.trim_end_matches(|character: char| character.is_ascii_digit());
    match artifact_type.strip_prefix(stem).map(|number| (number, number.parse::<u32>())) {
        _ if artifact_type == VERSION_TYPE => Kinship::Ours,
        Some((number, Ok(format))) if format > 1 && !number.starts_with(['0', '+']) => Kinship::Newer,
        _ if artifact_type.starts_with(OURS) => Kinship::Unknown,
        _ => Kinship::Foreign,
    }
}

/// The OCI manifest of a layer version.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct VersionManifest {
    schema_version: u64,
    media_type: String,
    artifact_type: String,
    /// The version's record.
    pub(super) config: Descriptor,
    /// The body, then the packs.
    layers: Vec<Descriptor>,
}

/// As much of any manifest as tells whose it is.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct AnyManifest {
    #[serde(default)]
    artifact_type: Option<String>,
}

impl VersionManifest {
    pub(super) fn new(config: Descriptor, body: Descriptor, packs: Vec<Descriptor>) -> VersionManifest {
        let layers = std::iter::once(body).chain(packs).collect();
        VersionManifest {
            schema_version: 2,
            media_type: MANIFEST_TYPE.to_owned(),
            artifact_type: VERSION_TYPE.to_owned(),
            config,
            layers,
        }
    }

    pub(crate) fn encode(&self) -> Vec<u8> {
        serde_json::to_vec(self).expect("plain data always encodes")
    }

    /// Whose manifest these bytes are, without reading the rest.
    pub(super) fn kinship(bytes: &[u8]) -> Kinship {
        let any = serde_json::from_slice::<AnyManifest>(bytes);
        any.ok().and_then(|any| any.artifact_type).map_or(Kinship::Foreign, |kind| kinship(&kind))
    }

    /// Reads a manifest of ours and verifies that it has the parts that it must have, and no others.
    pub(crate) fn decode(bytes: &[u8]) -> Result<VersionManifest, String> {
        let manifest: VersionManifest = serde_json::from_slice(bytes).map_err(|error| error.to_string())?;
        if manifest.schema_version != 2
            || manifest.media_type != MANIFEST_TYPE
            || manifest.artifact_type != VERSION_TYPE
        {
            return Err("it is no OCI manifest of a layer version".to_owned());
        }
        let unknown =
            |descriptor: &Descriptor| Err(format!("it has a part of type {:?}", descriptor.media_type));
        if manifest.config.media_type != RECORD_TYPE {
            return unknown(&manifest.config);
        }
        let Some((body, packs)) = manifest.layers.split_first() else {
            return Err("it has no layers".to_owned());
        };
        if body.media_type != DISK_TYPE && body.media_type != CHANGES_TYPE {
            return unknown(body);
        }
        match packs.iter().find(|pack| pack.media_type != PACK_TYPE) {
            Some(pack) => unknown(pack),
            None => Ok(manifest),
        }
    }

    /// The body of the version.
    pub(super) fn body(&self) -> &Descriptor {
        &self.layers[0]
    }

    /// The packs, in their order.
    pub(super) fn packs(&self) -> &[Descriptor] {
        &self.layers[1..]
    }
}

/// An index: what a layout holds. Entries of others are kept as they are.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Index {
    fields: Map<String, Value>,
    manifests: Vec<Value>,
}

impl Index {
    pub(super) fn empty() -> Index {
        let fields =
            [("schemaVersion".to_owned(), Value::from(2)), ("mediaType".to_owned(), Value::from(INDEX_TYPE))];
        Index { fields: fields.into_iter().collect(), manifests: Vec::new() }
    }

    pub(crate) fn decode(bytes: &[u8]) -> Result<Index, String> {
        let mut fields: Map<String, Value> =
            serde_json::from_slice(bytes).map_err(|error| error.to_string())?;
        if fields.get("schemaVersion") != Some(&Value::from(2)) {
            return Err("its `schemaVersion` is not 2".to_owned());
        }
        if fields.get("mediaType").is_some_and(|media_type| media_type != INDEX_TYPE) {
            return Err(format!("its `mediaType` is not `{INDEX_TYPE}`"));
        }
        match fields.remove("manifests") {
            Some(Value::Array(manifests)) => Ok(Index { fields, manifests }),
            _ => Err("it has no list `manifests`".to_owned()),
        }
    }

    pub(crate) fn encode(&self) -> Vec<u8> {
        let mut fields = self.fields.clone();
        fields.insert("manifests".to_owned(), Value::from(self.manifests.clone()));
        serde_json::to_vec_pretty(&fields).expect("plain data always encodes")
    }

    /// The entries that are, or may be, manifests of layer versions: those that say so, and those that say nothing. Then
    /// why others that say so are not read, and how many are somebody else's.
    pub(crate) fn candidates(&self, path: &Path) -> (Vec<Candidate>, Vec<LayoutError>, u64) {
        let (mut candidates, mut refused, mut foreign) = (Vec::new(), Vec::new(), 0);
        for entry in &self.manifests {
            match Candidate::of(entry, path) {
                Ok(Some(candidate)) => candidates.push(candidate),
                Ok(None) => foreign += 1,
                Err(error) => refused.push(error),
            }
        }
        (candidates, refused, foreign)
    }

    /// Adds an entry in place of those that have its name.
    pub(crate) fn put(&mut self, entry: &Descriptor) {
        let name = entry.annotations.get(REF_NAME);
        self.manifests.retain(|other| {
            let other = other.get("annotations").and_then(|annotations| annotations.get(REF_NAME));
            other.and_then(Value::as_str) != name.map(String::as_str)
        });
        self.manifests.push(serde_json::to_value(entry).expect("plain data always encodes"));
    }
}

/// An entry of an index that may be a layer version.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Candidate {
    pub(super) descriptor: Descriptor,
    /// It says itself that it is one. One that does not, and whose manifest is not there, is somebody else's.
    pub(super) declared: bool,
}

impl Candidate {
    /// `Ok(None)` if the entry is somebody else's. `path` is the layout's, for messages.
    fn of(entry: &Value, path: &Path) -> Result<Option<Candidate>, LayoutError> {
        let text = |name: &str| entry.get(name).and_then(Value::as_str);
        let damaged = |why: String| Err(LayoutError::damaged(path, why));
        let declared = match text("artifactType").map(kinship) {
            Some(Kinship::Ours) => true,
            Some(Kinship::Newer) => {
                return Err(LayoutError::Newer { path: path.to_owned(), what: "a layer version" });
            }
            Some(Kinship::Unknown) => {
                return damaged("its index has something of Lamina's that this program does not know".into());
            }
            Some(Kinship::Foreign) => return Ok(None),
            None => false,
        };
        if !declared && text("mediaType") != Some(MANIFEST_TYPE) {
            return Ok(None);
        }
        match serde_json::from_value::<Descriptor>(entry.clone()) {
            Ok(descriptor) if descriptor.media_type == MANIFEST_TYPE => {
                Ok(Some(Candidate { descriptor, declared }))
            }
            Ok(_) if declared => damaged("its index has a layer version that is no OCI manifest".into()),
            Err(error) if declared => damaged(format!("its index has a malformed entry: {error}")),
            // another algorithm's digest, for example
            Ok(_) | Err(_) => Ok(None),
        }
    }
}

/// The file `oci-layout`.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Marker {
    pub(super) image_layout_version: String,
}

/// The only version of image layouts that there is.
pub(super) const LAYOUT_VERSION: &str = "1.0.0";
