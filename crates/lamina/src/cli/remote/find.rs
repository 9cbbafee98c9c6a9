//! Objects by their names. Wherever a name is taken an identifier is taken as well.

use super::trouble::Trouble;
use super::{Context, list};
use client::types::{self, LayerKind, LayerView, ObjectKind, Resolved, TemplateView, VersionView};

/// Prefixes of references.
const PREFIXES: [&str; 4] = ["os:", "platform:", "app:", "image:"];

/// Whether a text is an identifier of the server's.
pub(super) fn is_id(text: &str) -> bool {
    text.len() == 36
        && text.char_indices().all(|(index, c)| match index {
            8 | 13 | 18 | 23 => c == '-',
            _ => c.is_ascii_hexdigit(),
        })
}

/// A reference to something of a kind that is known: its prefix may be left out.
fn of_kind(kind: LayerKind, text: &str) -> String {
    match PREFIXES.iter().any(|prefix| text.starts_with(prefix)) {
        true => text.to_owned(),
        false => format!("{kind}:{text}"),
    }
}

/// The one whose name, or else identifier, is `text`. Names are unique without regard to case.
fn one<T>(items: Vec<T>, text: &str, name: impl Fn(&T) -> &str, id: impl Fn(&T) -> &str) -> Option<T> {
    let wanted = text.to_lowercase();
    items.into_iter().find(|item| id(item) == text || name(item).to_lowercase() == wanted)
}

impl Context {
    async fn resolve(&self, reference: &str, layer: bool) -> Result<Resolved, Trouble> {
        Ok(self.api.resolve().reference(reference).layer(layer).send().await?.into_inner())
    }

    /// A layer of a kind: `NAME`, `KIND:NAME` or its identifier.
    pub(super) async fn layer(&self, kind: LayerKind, text: &str) -> Result<LayerView, Trouble> {
        let layer = self.any_layer(&if is_id(text) { text.to_owned() } else { of_kind(kind, text) }).await?;
        if layer.kind != kind {
            let message = format!("{}:{} is no {kind} layer.", layer.kind, layer.name);
            return Err(Trouble::usage("wrong-kind", message));
        }
        Ok(layer)
    }

    /// A layer of any kind: `[KIND:]NAME` or its identifier.
    pub(super) async fn any_layer(&self, text: &str) -> Result<LayerView, Trouble> {
        let id = match is_id(text) {
            true => text.to_owned(),
            false => {
                let found = self.resolve(text, true).await?;
                if found.version_id.is_some() {
                    return Err(Trouble::usage(
                        "no-version-here",
                        format!("{text} names a version; a layer is wanted."),
                    )
                    .hint("Leave out what begins with @."));
                }
                found.layer_id.ok_or_else(|| Trouble::missing("layer", text))?.to_string()
            }
        };
        Ok(self.api.get_layer().id(id).send().await?.into_inner().layer)
    }

    /// The identifier of a layer version: `[KIND:]NAME[@VERSION]`, without a version the latest deployable one, or
    /// the identifier itself.
    pub(super) async fn version_id(&self, text: &str) -> Result<types::VersionId, Trouble> {
        if is_id(text) {
            return Ok(types::VersionId(text.to_owned()));
        }
        let found = self.resolve(text, false).await?;
        if found.kind == ObjectKind::Image {
            return Err(Trouble::usage(
                "wrong-kind",
                format!("{text} is an image; a layer version is wanted."),
            ));
        }
        found.version_id.ok_or_else(|| Trouble::missing("layer version", text))
    }

    /// The identifier of a version of a layer of a kind.
    pub(super) async fn version_id_of(
        &self,
        kind: LayerKind,
        text: &str,
    ) -> Result<types::VersionId, Trouble> {
        self.version_id(&if is_id(text) { text.to_owned() } else { of_kind(kind, text) }).await
    }

    /// A layer version.
    pub(super) async fn version(&self, text: &str) -> Result<VersionView, Trouble> {
        let id = self.version_id(text).await?;
        Ok(self.api.get_version().id(id.to_string()).send().await?.into_inner())
    }

    /// A layer version; without `@VERSION` the one of the layer that is not deployable yet, if there is one.
    pub(super) async fn version_in_making(&self, text: &str) -> Result<VersionView, Trouble> {
        if is_id(text) || text.contains('@') {
            return self.version(text).await;
        }
        let layer = self.any_layer(text).await?;
        let (versions, _) = list!(self, 1, list_versions(id = layer.id.to_string()))?;
        versions.into_iter().next().ok_or_else(|| Trouble::missing("version of", text))
    }

    /// What stands in a template or on a packaging disk: a version, pinned, or the latest deployable one.
    pub(super) async fn pick(&self, kind: LayerKind, text: &str) -> Result<types::Pick, Trouble> {
        Ok(types::Pick { layer_id: None, version_id: Some(self.version_id_of(kind, text).await?) })
    }

    /// Several of them.
    pub(super) async fn picks(&self, kind: LayerKind, texts: &[String]) -> Result<Vec<types::Pick>, Trouble> {
        let mut picks = Vec::new();
        for text in texts {
            picks.push(self.pick(kind, text).await?);
        }
        Ok(picks)
    }

    /// A template.
    pub(super) async fn template(&self, text: &str) -> Result<TemplateView, Trouble> {
        if is_id(text) {
            return Ok(self.api.get_template().id(text).send().await?.into_inner());
        }
        let (found, _) = list!(self, u32::MAX, list_templates, search = Some(text))?;
        one(found, text, |one| &one.name, |one| &one.id).ok_or_else(|| {
            Trouble::missing("template", text).hint("`lamina template list` shows what there is.")
        })
    }

    /// Several templates, by their identifiers.
    pub(super) async fn template_ids(&self, texts: &[String]) -> Result<Vec<types::TemplateId>, Trouble> {
        let mut ids = Vec::new();
        for text in texts {
            ids.push(self.template(text).await?.id);
        }
        Ok(ids)
    }

    /// A connector configuration.
    pub(super) async fn configuration(&self, text: &str) -> Result<types::ConfigurationView, Trouble> {
        if is_id(text) {
            return Ok(self.api.get_configuration().id(text).send().await?.into_inner());
        }
        let (found, _) = list!(self, u32::MAX, list_configurations, search = Some(text))?;
        one(found, text, |one| &one.name, |one| &one.id).ok_or_else(|| {
            Trouble::missing("connector configuration", text)
                .hint("`lamina connector list` shows what there is.")
        })
    }

    /// The identifier of a connector configuration, if one is named.
    pub(super) async fn configuration_id(
        &self,
        text: Option<&str>,
    ) -> Result<Option<types::ConfigurationId>, Trouble> {
        match text {
            Some(text) => Ok(Some(self.configuration(text).await?.id)),
            None => Ok(None),
        }
    }

    /// An icon.
    pub(super) async fn icon(&self, text: &str) -> Result<types::IconView, Trouble> {
        if is_id(text) {
            return Ok(self.api.get_icon().id(text).send().await?.into_inner());
        }
        let (found, _) = list!(self, u32::MAX, list_icons, search = Some(text))?;
        one(found, text, |one| &one.name, |one| &one.id)
            .ok_or_else(|| Trouble::missing("icon", text).hint("`lamina icon list` shows what there is."))
    }

    /// The identifier of an icon, if one is named.
    pub(super) async fn icon_id(&self, text: Option<&str>) -> Result<Option<types::IconId>, Trouble> {
        match text {
            Some(text) => Ok(Some(self.icon(text).await?.id)),
            None => Ok(None),
        }
    }

    /// An image; of several with the name the one that was published last.
    pub(super) async fn image(&self, text: &str) -> Result<types::ImageDetails, Trouble> {
        let id = match is_id(text) {
            true => text.to_owned(),
            false => {
                let reference = match PREFIXES.iter().any(|prefix| text.starts_with(prefix)) {
                    true => text.to_owned(),
                    false => format!("image:{text}"),
                };
                let found = self.resolve(&reference, false).await?;
                found.image_id.ok_or_else(|| Trouble::missing("image", text))?.to_string()
            }
        };
        Ok(self.api.get_image().id(id).send().await?.into_inner())
    }

    /// A user.
    pub(super) async fn user(&self, text: &str) -> Result<types::UserView, Trouble> {
        if is_id(text) {
            return Ok(self.api.get_user().id(text).send().await?.into_inner());
        }
        let (found, _) = list!(self, u32::MAX, list_users, search = Some(text))?;
        one(found, text, |one| &one.name, |one| &one.id)
            .ok_or_else(|| Trouble::missing("user", text).hint("`lamina user list` shows who there is."))
    }

    /// A group.
    pub(super) async fn group(&self, text: &str) -> Result<types::GroupView, Trouble> {
        if is_id(text) {
            return Ok(self.api.get_group().id(text).send().await?.into_inner());
        }
        let (found, _) = list!(self, u32::MAX, list_groups, search = Some(text))?;
        one(found, text, |one| &one.name, |one| &one.id)
            .ok_or_else(|| Trouble::missing("group", text).hint("`lamina group list` shows what there is."))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn identifiers_are_told_from_names() {
        assert!(is_id("0199a0c4-6b1e-7c3a-9b0d-3f2a1c4d5e6f"));
        assert!(!is_id("Office"));
        assert!(!is_id("0199a0c4-6b1e-7c3a-9b0d-3f2a1c4d5e6g"));
        assert!(!is_id("0199a0c46b1e-7c3a--9b0d-3f2a1c4d5e6f"));
    }

    #[test]
    fn a_name_is_one_whole_name_without_regard_to_case() {
        let names = || vec![("1", "Office 2021"), ("2", "Office"), ("3", "Größe")];
        let found = |text: &str| one(names(), text, |one| one.1, |one| one.0).map(|one| one.0);
        assert_eq!(found("office"), Some("2"));
        assert_eq!(found("GRÖSSE"), None);
        assert_eq!(found("GRÖßE"), Some("3"));
        assert_eq!(found("Offic"), None);
        assert_eq!(found("1"), Some("1"));
    }

    #[test]
    fn a_prefix_is_added_where_the_kind_is_known() {
        assert_eq!(of_kind(LayerKind::App, "Office@3"), "app:Office@3");
        assert_eq!(of_kind(LayerKind::App, "os:Office"), "os:Office");
    }
}
