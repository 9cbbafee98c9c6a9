//! Templates as files: what has an identifier here is named, so that the file means something on another
//! server.

use super::wanted::check;
use super::{AppPick, NewTemplate, TemplateView, create, store};
use crate::app::picks::Pick;
use crate::app::rows::Rows;
use crate::app::{App, Begun, Call, Refusal, id, resolve};
use crate::db::Statement;
use crate::domain::layer::LayerKind;
use crate::domain::template::{DiskSettings, LayerVersion, MOST_APPS};
use crate::domain::{Action, ConfigurationId, IconId, Invalid, TemplateId, VersionId, name, reference};
use serde::{Deserialize, Serialize};
use std::borrow::Cow;
use utoipa::ToSchema;
use utoipa::openapi::RefOr;
use utoipa::openapi::schema::{ObjectBuilder, Schema, Type};

/// The version of the format that is written, and the newest that is read.
const FORMAT: i64 = 1;

/// The version of the format of a template's file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "i64", into = "i64")]
pub struct FileFormat;

impl TryFrom<i64> for FileFormat {
    type Error = String;

    fn try_from(found: i64) -> Result<FileFormat, String> {
        match found {
            FORMAT => Ok(FileFormat),
            newer if newer > FORMAT => Err(format!(
                "the file has the format {newer} of a newer Lamina; this one reads formats up to {FORMAT}"
            )),
            _ => Err(format!("there is no format {found} of templates")),
        }
    }
}

impl From<FileFormat> for i64 {
    fn from(_: FileFormat) -> i64 {
        FORMAT
    }
}

impl utoipa::PartialSchema for FileFormat {
    fn schema() -> RefOr<Schema> {
        ObjectBuilder::new()
            .schema_type(Type::Integer)
            .enum_values(Some([FORMAT]))
            .description(Some("The version of the format of a template's file."))
            .into()
    }
}

impl ToSchema for FileFormat {
    fn name() -> Cow<'static, str> {
        Cow::Borrowed("FileFormat")
    }
}

/// A template as a file.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct TemplateFile {
    /// The version of the format.
    pub template_format: FileFormat,
    /// The template's name.
    #[schema(min_length = 1, max_length = 100)]
    pub name: String,
    /// What it is for.
    #[serde(default)]
    pub description: String,
    /// Name of its icon; without one it has that of templates.
    pub icon: Option<String>,
    /// Reference of the OS version. Here and below, without a version the latest deployable one is meant.
    #[schema(example = "os:Windows 11@23H2")]
    pub os: String,
    /// Reference of the platform version.
    #[schema(example = "platform:Azure@1")]
    pub platform: Option<String>,
    /// The apps.
    #[serde(default)]
    #[schema(max_items = 200)]
    pub apps: Vec<FileApp>,
    /// Name of the connector configuration.
    pub configuration: Option<String>,
    /// The image's disk.
    pub disk: DiskSettings,
}

/// An app in a template's file.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct FileApp {
    /// Reference of the version.
    #[schema(example = "app:Office@3")]
    pub app: String,
    /// Its priority in this template; without one the layer's own counts.
    pub priority: Option<i64>,
}

impl App {
    /// A template as a file.
    pub async fn export_template(&self, call: &Call, id: TemplateId) -> Result<TemplateFile, Refusal> {
        call.may(Action::ExportTemplate)?;
        let rows = &mut &self.db;
        let content = store::read(rows, id).await?.content;
        let statement =
            Statement::new("SELECT name FROM icons WHERE id = $1").bind(content.icon_id.to_string());
        let icon = rows.optional(statement).await?.map(|row| row.text("name")).transpose()?;
        let full = |kind, part: &LayerVersion| reference::of_version(kind, &part.layer, &part.version);
        Ok(TemplateFile {
            template_format: FileFormat,
            name: content.name,
            description: content.description,
            icon,
            os: full(LayerKind::Os, &content.os),
            platform: content.platform.map(|part| full(LayerKind::Platform, &part)),
            apps: content
                .apps
                .iter()
                .map(|app| FileApp {
                    app: reference::of_version(LayerKind::App, &app.layer, &app.version),
                    priority: app.priority,
                })
                .collect(),
            configuration: content.configuration.map(|one| one.name),
            disk: content.disk,
        })
    }

    /// Makes a template from a file. What it names has to be here.
    pub async fn import_template(&self, call: &Call, file: &TemplateFile) -> Result<TemplateView, Refusal> {
        call.may(Action::ImportTemplate)?;
        if file.apps.len() > MOST_APPS {
            let message = format!("A template has at most {MOST_APPS} apps.");
            return Err(Invalid::field("apps", "too-many", message).into());
        }
        let mut change = match self.begin_creating(call, Action::ImportTemplate, file).await? {
            Begun::Before(template) => return Ok(template),
            Begun::Now(change) => change,
        };
        let new = by_names(&mut change, file).await?;
        let content = check(&mut change, &new, None).await?;
        create(change, call, Action::ImportTemplate, &content).await
    }
}

/// The template that a file describes, with what is here under the names in it.
async fn by_names(rows: &mut impl Rows, file: &TemplateFile) -> Result<NewTemplate, Refusal> {
    let mut invalid = Invalid::new();
    let icon_id: Option<IconId> = match &file.icon {
        Some(text) => {
            let sql = Statement::new("SELECT id FROM icons WHERE name_key = $1");
            invalid.take(named(rows, sql, "icon", "icon", text).await?)
        }
        None => None,
    };
    let configuration_id: Option<ConfigurationId> = match &file.configuration {
        Some(text) => {
            let sql = Statement::new("SELECT id FROM connector_configurations WHERE name_key = $1");
            invalid.take(named(rows, sql, "configuration", "connector configuration", text).await?)
        }
        None => None,
    };
    let os = invalid.take(version(rows, "os", LayerKind::Os, &file.os).await?);
    let platform = match &file.platform {
        Some(text) => invalid.take(version(rows, "platform", LayerKind::Platform, text).await?),
        None => None,
    };
    let mut apps = Vec::with_capacity(file.apps.len());
    for (index, app) in file.apps.iter().enumerate() {
        let field = format!("apps[{index}].app");
        let version_id = invalid.take(version(rows, &field, LayerKind::App, &app.app).await?);
        apps.push(AppPick { version_id, layer_id: None, priority: app.priority });
    }
    let Some(os) = os else { return Err(invalid.into()) };
    invalid.finish()?;
    Ok(NewTemplate {
        name: file.name.clone(),
        description: file.description.clone(),
        icon_id,
        os: Pick::version(os),
        platform: platform.map(Pick::version),
        apps,
        configuration_id,
        disk: file.disk.clone(),
    })
}

/// What has a name here.
async fn named<I: std::str::FromStr<Err = crate::domain::NotAnId>>(
    rows: &mut impl Rows,
    statement: Statement<'static>,
    field: &str,
    what: &str,
    text: &str,
) -> Result<Result<I, Invalid>, Refusal> {
    Ok(match rows.optional(statement.bind(name::key(text))).await? {
        Some(row) => Ok(id(&row, "id")?),
        None => {
            let shown: String = text.chars().take(100).collect();
            Err(Invalid::field(field, &format!("{field}-unknown"), format!("There is no {what} {shown}.")))
        }
    })
}

/// The version that a reference in `field` names here.
async fn version(
    rows: &mut impl Rows,
    field: &str,
    kind: LayerKind,
    text: &str,
) -> Result<Result<VersionId, Invalid>, Refusal> {
    let reference = match reference::parse(field, text) {
        Ok(reference) => reference,
        Err(invalid) => return Ok(Err(invalid)),
    };
    let found = resolve::version(rows, kind, &reference).await?;
    Ok(found.map(|candidate| candidate.version_id).map_err(|miss| miss.about(field)))
}
