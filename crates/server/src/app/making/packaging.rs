//! App and platform layers, and new versions of any layer: their packaging disks.

use super::super::layers::check_icon;
use super::super::picks::{Candidate, Found, Pick};
use super::super::sagas::{CREATE_VERSION, CreateVersion, VersionInStore};
use super::super::tasks::Wanted;
use super::super::{App, Begun, Call, Change, Refusal};
use super::stored::Stored;
use super::{
    LayerRow, Making, VersionRow, connector_of, disk_name, insert_layer, insert_version, version_object,
};
use crate::db::Statement;
use crate::domain::layer::{
    LayerKind, PlatformTypes, Purpose as LayerPurpose, check_max_bytes, default_max_bytes,
};
use crate::domain::name::Name;
use crate::domain::template::DiskFormat;
use crate::domain::text::check_description;
use crate::domain::{Action, ConfigurationId, IconId, Invalid, LayerId, TaskId, VersionId, icon, reference};
use connectors::{DiskName, Purpose, Shipment};
use layering::report::CompositeSpec;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// Most prerequisites of a version.
const MOST_PREREQUISITES: usize = 100;

/// What is on the packaging disk of a version, and where the disk goes.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewPackaging {
    /// The OS version; the latest deployable one when absent. A new version of an OS layer starts from its base instead.
    pub os_version_id: Option<VersionId>,
    /// App versions that the app needs; only for app layers.
    #[serde(default)]
    pub prerequisites: Vec<Pick>,
    /// A packaging platform version, when the layer is made elsewhere than on the OS layer's hypervisor.
    pub platform: Option<Pick>,
    /// Where the disk goes; the file share when absent.
    pub configuration_id: Option<ConfigurationId>,
    /// The disk's file name there, unique.
    pub disk: String,
    /// The disk's format.
    pub format: DiskFormat,
}

/// An app layer to be made.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewAppLayer {
    /// Its name.
    #[schema(min_length = 1, max_length = 100)]
    pub name: String,
    /// What it holds.
    #[serde(default)]
    pub description: String,
    /// Its icon; that of app layers when absent.
    pub icon_id: Option<IconId>,
    /// The OS layer that it belongs to.
    pub os_layer_id: LayerId,
    /// Name of its first version.
    #[schema(min_length = 1, max_length = 100)]
    pub version: String,
    /// What is in the first version.
    #[serde(default)]
    pub version_description: String,
    /// Most bytes that the version may add; 10 GiB when absent.
    #[schema(minimum = 1_048_576)]
    pub max_bytes: Option<i64>,
    /// Its packaging disk.
    pub packaging: NewPackaging,
}

/// A platform layer to be made.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewPlatformLayer {
    /// Its name.
    #[schema(min_length = 1, max_length = 100)]
    pub name: String,
    /// What it holds.
    #[serde(default)]
    pub description: String,
    /// Its icon; that of platform layers when absent.
    pub icon_id: Option<IconId>,
    /// The OS layer that it belongs to.
    pub os_layer_id: LayerId,
    /// What it is for.
    pub platform: PlatformTypes,
    /// Name of its first version.
    #[schema(min_length = 1, max_length = 100)]
    pub version: String,
    /// What is in the first version.
    #[serde(default)]
    pub version_description: String,
    /// Most bytes that the version may add; 10 GiB when absent.
    #[schema(minimum = 1_048_576)]
    pub max_bytes: Option<i64>,
    /// Its packaging disk.
    pub packaging: NewPackaging,
}

/// A new version of a layer, to be made from an older one.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewVersion {
    /// Its name.
    #[schema(min_length = 1, max_length = 100)]
    pub version: String,
    /// What is new in it.
    #[serde(default)]
    pub description: String,
    /// The version that it starts from; the latest deployable one when absent.
    pub base_version_id: Option<VersionId>,
    /// Most bytes that the version may add; the kind's default when absent.
    #[schema(minimum = 1_048_576)]
    pub max_bytes: Option<i64>,
    /// Its packaging disk.
    pub packaging: NewPackaging,
}

/// A layer to be made, of either kind.
struct NewLayer<'a> {
    action: Action,
    kind: LayerKind,
    name: &'a str,
    description: &'a str,
    icon_id: Option<IconId>,
    os_layer_id: LayerId,
    platform: Option<PlatformTypes>,
    version: &'a str,
    version_description: &'a str,
    max_bytes: Option<i64>,
    packaging: &'a NewPackaging,
}

/// What was checked of a packaging disk.
struct Packaging {
    os: VersionId,
    os_layer: LayerId,
    prerequisites: Vec<VersionId>,
    platform: Option<VersionId>,
    configuration: ConfigurationId,
    shipment: Shipment,
}

/// What a version is packaged for.
struct Subject {
    kind: LayerKind,
    layer: LayerId,
    os_layer: LayerId,
    store_name: String,
    layer_name: String,
    base: Option<VersionId>,
}

impl App {
    /// Makes an app layer: its first version's packaging disk.
    pub async fn create_app_layer(&self, call: &Call, new: &NewAppLayer) -> Result<Making, Refusal> {
        let layer = NewLayer {
            action: Action::CreateAppLayer,
            kind: LayerKind::App,
            name: &new.name,
            description: &new.description,
            icon_id: new.icon_id,
            os_layer_id: new.os_layer_id,
            platform: None,
            version: &new.version,
            version_description: &new.version_description,
            max_bytes: new.max_bytes,
            packaging: &new.packaging,
        };
        self.create_layer(call, &layer, new).await
    }

    /// Makes a platform layer: its first version's packaging disk.
    pub async fn create_platform_layer(
        &self,
        call: &Call,
        new: &NewPlatformLayer,
    ) -> Result<Making, Refusal> {
        let layer = NewLayer {
            action: Action::CreatePlatformLayer,
            kind: LayerKind::Platform,
            name: &new.name,
            description: &new.description,
            icon_id: new.icon_id,
            os_layer_id: new.os_layer_id,
            platform: Some(new.platform),
            version: &new.version,
            version_description: &new.version_description,
            max_bytes: new.max_bytes,
            packaging: &new.packaging,
        };
        self.create_layer(call, &layer, new).await
    }

    async fn create_layer(
        &self,
        call: &Call,
        new: &NewLayer<'_>,
        request: &impl Serialize,
    ) -> Result<Making, Refusal> {
        call.may(new.action)?;
        let mut invalid = Invalid::new();
        let name = invalid.take(Name::check("name", new.name));
        let description = invalid.take(check_description("description", new.description));
        let version = invalid.take(Name::check("version", new.version));
        let version_description =
            invalid.take(check_description("version_description", new.version_description));
        let max_bytes = new.max_bytes.unwrap_or_else(|| default_max_bytes(new.kind));
        invalid.take(check_max_bytes("max_bytes", max_bytes));
        if let Some(types) = new.platform {
            invalid.take(check_types("platform", types));
        }
        let icon = new.icon_id.unwrap_or(icon::of_layer(new.kind));
        invalid.take(check_icon(&mut &self.db, "icon_id", icon).await?);
        let disk = invalid.take(disk_name("packaging.disk", &new.packaging.disk));
        let (Some(name), Some(description), Some(version), Some(version_description), Some(disk)) =
            (name, description, version, version_description, disk)
        else {
            return Err(invalid.into());
        };
        invalid.finish()?;
        let configuration = self.place_or_share(new.packaging.configuration_id).await?;

        let mut change = match self.begin_creating(call, new.action, request).await? {
            Begun::Before(making) => return Ok(making),
            Begun::Now(change) => change,
        };
        let os = match new.packaging.os_version_id {
            Some(id) => Pick::version(id),
            None => Pick { version_id: None, layer_id: Some(new.os_layer_id) },
        };
        let packaging = self
            .check_packaging(&mut change, new.kind, new.os_layer_id, os, new.packaging, configuration, disk)
            .await?;
        let layer = LayerRow {
            kind: new.kind,
            name: &name,
            description: &description,
            os_layer: Some(new.os_layer_id),
            icon,
            platform: new.platform,
            hypervisor: None,
        };
        let (layer, store_name) = insert_layer(&mut change, &layer).await?;
        let subject = Subject {
            kind: new.kind,
            layer,
            os_layer: packaging.os_layer,
            store_name,
            layer_name: name.as_str().to_owned(),
            base: None,
        };
        let row = VersionRow { layer, name: &version, description: &version_description, max_bytes };
        self.begin_packaging(change, new.action, &subject, &row, &packaging, request).await
    }

    /// Makes a new version of a layer from an older one: its packaging disk.
    pub async fn create_version(
        &self,
        call: &Call,
        layer: LayerId,
        new: &NewVersion,
    ) -> Result<Making, Refusal> {
        call.may(Action::CreateVersion)?;
        let mut invalid = Invalid::new();
        let version = invalid.take(Name::check("version", &new.version));
        let description = invalid.take(check_description("description", &new.description));
        let disk = invalid.take(disk_name("packaging.disk", &new.packaging.disk));
        if let Some(max_bytes) = new.max_bytes {
            invalid.take(check_max_bytes("max_bytes", max_bytes));
        }
        let (Some(version), Some(description), Some(disk)) = (version, description, disk) else {
            return Err(invalid.into());
        };
        invalid.finish()?;
        let configuration = self.place_or_share(new.packaging.configuration_id).await?;

        let mut change = match self.begin_creating(call, Action::CreateVersion, &(layer, new)).await? {
            Begun::Before(making) => return Ok(making),
            Begun::Now(change) => change,
        };
        let row = Statement::new("SELECT kind, name, os_layer_id, store_name FROM layers WHERE id = $1")
            .bind(layer.to_string());
        let row = change.optional(row).await?.ok_or_else(|| Refusal::missing("layer", layer))?;
        let kind: LayerKind = super::super::word(&row, "kind", |text| text.parse().ok())?;
        call.may_manage(Action::CreateVersion, kind)?;
        let base = match new.base_version_id {
            Some(id) => Pick::version(id),
            None => Pick { version_id: None, layer_id: Some(layer) },
        };
        let found = Found::read(&mut change, &[base]).await?;
        let base = found.deployable("base_version_id", base, |_| None)?.clone();
        if base.layer_id != layer {
            let message = format!("{} is a version of another layer.", base.reference());
            return Err(Invalid::field("base_version_id", "version-of-other-layer", message).into());
        }
        let (os_layer, os) = match (kind, super::super::optional_id(&row, "os_layer_id")?) {
            (LayerKind::Os, _) => {
                if new.packaging.os_version_id.is_some_and(|id| id != base.version_id) {
                    let message = "A new version of an OS layer starts from base_version_id.";
                    return Err(Invalid::field("packaging.os_version_id", "os-version-of-os", message).into());
                }
                (layer, Pick::version(base.version_id))
            }
            (_, Some(os_layer)) => {
                let latest = Pick { version_id: None, layer_id: Some(os_layer) };
                (os_layer, new.packaging.os_version_id.map_or(latest, Pick::version))
            }
            (_, None) => return Err(Refusal::internal("a layer belongs to no OS layer")),
        };
        let packaging = self
            .check_packaging(&mut change, kind, os_layer, os, &new.packaging, configuration, disk)
            .await?;
        let subject = Subject {
            kind,
            layer,
            os_layer,
            store_name: row.text("store_name")?,
            layer_name: row.text("name")?,
            base: (kind != LayerKind::Os).then_some(base.version_id),
        };
        let max_bytes = new.max_bytes.unwrap_or_else(|| default_max_bytes(kind));
        let row = VersionRow { layer, name: &version, description: &description, max_bytes };
        self.begin_packaging(change, Action::CreateVersion, &subject, &row, &packaging, &(layer, new)).await
    }

    /// Checks what is to be on a packaging disk.
    #[expect(clippy::too_many_arguments, reason = "each is another part of one request")]
    async fn check_packaging(
        &self,
        change: &mut Change<'_>,
        kind: LayerKind,
        os_layer: LayerId,
        os: Pick,
        new: &NewPackaging,
        configuration: ConfigurationId,
        disk: DiskName,
    ) -> Result<Packaging, Refusal> {
        let mut invalid = Invalid::new();
        if new.prerequisites.len() > MOST_PREREQUISITES {
            let message = format!("A version has at most {MOST_PREREQUISITES} prerequisites.");
            return Err(Invalid::field("packaging.prerequisites", "too-many", message).into());
        }
        if kind != LayerKind::App && !new.prerequisites.is_empty() {
            invalid.add(
                "packaging.prerequisites",
                "prerequisites-of-app",
                "Only app layers have prerequisites.",
            );
        }
        let picks: Vec<Pick> =
            [os].into_iter().chain(new.platform).chain(new.prerequisites.iter().copied()).collect();
        let found = Found::read(change, &picks).await?;
        let of_kind = |field: &str, candidate: &Candidate, kind: LayerKind| -> Result<(), Invalid> {
            if candidate.kind != kind {
                let message =
                    format!("{} is no version of a layer of the kind {kind}.", candidate.reference());
                return Err(Invalid::field(field, "version-wrong-kind", message));
            }
            candidate.check_os_layer(field, Some(os_layer))
        };
        let field = "packaging.os_version_id";
        let os = invalid.take(found.deployable(field, os, |_| None).and_then(|os| {
            of_kind(field, os, LayerKind::Os)?;
            if os.layer_id != os_layer {
                let message = format!("{} is a version of another OS layer.", os.reference());
                return Err(Invalid::field(field, "layer-of-other-os", message));
            }
            Ok(os.version_id)
        }));
        let mut platform = None;
        if let Some(pick) = new.platform {
            let field = "packaging.platform";
            platform = invalid.take(found.deployable(field, pick, |_| None).and_then(|candidate| {
                of_kind(field, candidate, LayerKind::Platform)?;
                if candidate.platform.is_none_or(|types| types.purpose != LayerPurpose::Packaging) {
                    let message = format!(
                        "{} is for publishing; packaging needs one for packaging.",
                        candidate.reference()
                    );
                    return Err(Invalid::field(field, "platform-not-packaging", message));
                }
                Ok(candidate.version_id)
            }));
        }
        let mut prerequisites: Vec<&Candidate> = Vec::new();
        for (index, pick) in new.prerequisites.iter().enumerate() {
            let field = format!("packaging.prerequisites[{index}]");
            let checked = found.deployable(&field, *pick, |_| None).and_then(|candidate| {
                of_kind(&field, candidate, LayerKind::App)?;
                if prerequisites.iter().any(|other| other.layer_id == candidate.layer_id) {
                    let message = format!("The layer {} is a prerequisite already.", candidate.layer);
                    return Err(Invalid::field(&field, "layer-twice", message));
                }
                Ok(candidate)
            });
            prerequisites.extend(invalid.take(checked));
        }
        prerequisites.sort_by_key(|candidate| (candidate.priority, candidate.layer_id));
        let connector = connector_of(change, "packaging.configuration_id", configuration).await?;
        invalid.take(self.check_purpose(
            "packaging.configuration_id",
            &connector,
            Purpose::Package,
            Some(new.format.0),
        ));
        let taken = Statement::new(
            "SELECT version_id FROM packagings WHERE configuration_id = $1 AND disk_name = $2",
        )
        .bind(configuration.to_string())
        .bind(disk.as_str());
        if change.optional(taken).await?.is_some() {
            let message = format!("The packaging disk {disk} is another version's.");
            invalid.add("packaging.disk", "disk-name-taken", message);
        }
        let Some(os) = os else { return Err(invalid.into()) };
        invalid.finish()?;
        let prerequisites = prerequisites.iter().map(|candidate| candidate.version_id).collect();
        let shipment = Shipment { purpose: Purpose::Package, name: disk, format: new.format.0 };
        Ok(Packaging { os, os_layer, prerequisites, platform, configuration, shipment })
    }

    /// Writes the version and its packaging down and makes the task.
    async fn begin_packaging(
        &self,
        mut change: Change<'_>,
        action: Action,
        subject: &Subject,
        row: &VersionRow<'_>,
        packaging: &Packaging,
        request: &impl Serialize,
    ) -> Result<Making, Refusal> {
        let (version, store_version) = insert_version(&mut change, row).await?;
        insert_packaging(&mut change, version, subject, packaging).await?;
        let composite =
            composite(&mut change, packaging.os, &packaging.prerequisites, subject.base, packaging.platform)
                .await?;
        let parameters = CreateVersion {
            version: VersionInStore {
                layer: subject.layer,
                version,
                kind: subject.kind,
                store_name: subject.store_name.clone(),
                store_version,
            },
            composite,
            configuration: packaging.configuration,
            shipment: packaging.shipment.clone(),
        };
        debug_assert!(subject.os_layer == packaging.os_layer, "the OS version is of the layer's OS layer");
        let task = TaskId::new();
        let text = version.to_string();
        let full = reference::of_version(subject.kind, &subject.layer_name, row.name.as_str());
        let object = version_object(&text, &full);
        let wanted = Wanted {
            saga: CREATE_VERSION,
            title: "Packaging Disk",
            description: format!("Making the packaging disk {} for {full}.", packaging.shipment.name),
            object,
            parameters,
        };
        self.enqueue(&mut change, task, wanted).await?;
        let also = [("layer", subject.layer.to_string())];
        change.audit_touching(action, object, &also, &serde_json::json!({ "request": request })).await?;
        let making = Making { layer_id: subject.layer, version_id: version, task_id: task };
        change.remember(&making).await?;
        change.commit().await?;
        Ok(making)
    }
}

async fn insert_packaging(
    change: &mut Change<'_>,
    version: VersionId,
    subject: &Subject,
    packaging: &Packaging,
) -> Result<(), Refusal> {
    let statement = Statement::new(
        "INSERT INTO packagings (version_id, os_version_id, base_version_id, platform_version_id, \
         configuration_id, disk_name, disk_format) VALUES ($1, $2, $3, $4, $5, $6, $7)",
    )
    .bind(version.to_string())
    .bind(packaging.os.to_string())
    .bind(subject.base.map(|id| id.to_string()))
    .bind(packaging.platform.map(|id| id.to_string()))
    .bind(packaging.configuration.to_string())
    .bind(packaging.shipment.name.as_str())
    .bind(packaging.shipment.format.name());
    change.execute(statement).await?;
    for (position, prerequisite) in (0_i64..).zip(&packaging.prerequisites) {
        let statement = Statement::new(
            "INSERT INTO packaging_prerequisites (version_id, position, prerequisite_id) VALUES ($1, $2, $3)",
        )
        .bind(version.to_string())
        .bind(position)
        .bind(prerequisite.to_string());
        change.execute(statement).await?;
    }
    Ok(())
}

/// What is on a disk, by references of the store.
pub(super) async fn composite(
    change: &mut Change<'_>,
    os: VersionId,
    layers: &[VersionId],
    base: Option<VersionId>,
    platform: Option<VersionId>,
) -> Result<CompositeSpec, Refusal> {
    let all: Vec<VersionId> =
        [os].into_iter().chain(layers.iter().copied()).chain(base).chain(platform).collect();
    let stored = Stored::read(change, &all).await?;
    Ok(CompositeSpec {
        os: stored.reference(os)?,
        layers: layers.iter().map(|id| stored.reference(*id)).collect::<Result<_, _>>()?,
        base: base.map(|id| stored.reference(id)).transpose()?,
        platform: platform.map(|id| stored.reference(id)).transpose()?,
    })
}

fn check_types(field: &str, types: PlatformTypes) -> Result<(), Invalid> {
    use crate::domain::layer::{Broker, Provisioning};
    let plain = types.provisioning == Provisioning::None && types.broker == Broker::None;
    if types.purpose == LayerPurpose::Packaging && !plain {
        let message = "A packaging platform layer has neither provisioning service nor broker.";
        return Err(Invalid::field(field, "platform-types", message));
    }
    Ok(())
}
