//! What a platform layer is for: its purpose, and the hypervisor, provisioning service and connection broker whose
//! software it holds.

use crate::error::Rule;
use crate::reference::LayerKind;
use crate::report::VersionSpec;
use operation::Explain;
use serde::{Deserialize, Serialize};
use std::fmt;
use std::str::FromStr;

/// A set of names: each type here is written as one of its `NAMES`, at the command line as in records.
macro_rules! names {
    ($(#[doc = $doc:literal])* $type:ident, $what:literal {
        $($(#[$variant_doc:meta])* $variant:ident = $name:literal,)+
    }) => {
        $(#[doc = $doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        pub enum $type {
            $($(#[$variant_doc])* #[serde(rename = $name)] $variant,)+
        }

        impl $type {
            /// Every one.
            pub const ALL: &[$type] = &[$($type::$variant,)+];
            /// How each is written, in the same order.
            pub const NAMES: &[&str] = &[$($name,)+];

            /// How it is written.
            pub fn as_str(self) -> &'static str {
                match self {
                    $($type::$variant => $name,)+
                }
            }
        }

        // Not derived: the derive does not see names that come through a macro, and describes those of the variants.
        #[cfg(feature = "schema")]
        impl utoipa::PartialSchema for $type {
            fn schema() -> utoipa::openapi::RefOr<utoipa::openapi::Schema> {
                utoipa::openapi::ObjectBuilder::new()
                    .schema_type(utoipa::openapi::schema::Type::String)
                    .description(Some(concat!($($doc),*).trim()))
                    .enum_values(Some($type::NAMES.iter().copied()))
                    .into()
            }
        }

        #[cfg(feature = "schema")]
        impl utoipa::ToSchema for $type {}

        impl fmt::Display for $type {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(self.as_str())
            }
        }

        impl FromStr for $type {
            type Err = UnknownType;
            fn from_str(text: &str) -> Result<$type, UnknownType> {
                let unknown = || UnknownType { what: $what, text: text.to_owned(), known: $type::NAMES.join(", ") };
                $type::ALL.iter().copied().find(|one| one.as_str() == text).ok_or_else(unknown)
            }
        }
    };
}

names! {
    /// When a platform layer is used.
    Purpose, "purpose of a platform layer" {
        /// On packaging disks only, while layers are made on another hypervisor than the OS layer's.
        Packaging = "packaging",
        /// In images.
        Publishing = "publishing",
    }
}

names! {
    /// What a machine runs on.
    Hypervisor, "hypervisor" {
        /// Microsoft Azure.
        Azure = "azure",
        /// KVM with virtio devices.
        Kvm = "kvm",
        /// VMware vSphere.
        Vsphere = "vsphere",
        /// Microsoft Hyper-V.
        Hyperv = "hyperv",
        /// XenServer.
        Xenserver = "xenserver",
        /// Nutanix AHV.
        Nutanix = "nutanix",
        /// Amazon EC2.
        Aws = "aws",
        /// Any other.
        Other = "other",
    }
}

names! {
    /// What makes many machines of one image.
    Provisioning, "provisioning service" {
        /// Nothing does.
        None = "none",
        /// Citrix Provisioning.
        Pvs = "pvs",
        /// Citrix Machine Creation Services.
        Mcs = "mcs",
        /// View Composer.
        ViewComposer = "view-composer",
        /// Any other.
        Other = "other",
    }
}

names! {
    /// What brings users to machines.
    Broker, "connection broker" {
        /// Nothing does.
        None = "none",
        /// Remote Desktop session hosts on Azure.
        AzureRdsh = "azure-rdsh",
        /// Remote Desktop Services.
        Rds = "rds",
        /// Azure Virtual Desktop.
        Avd = "avd",
        /// Citrix XenApp and XenDesktop, later Virtual Apps and Desktops.
        XenappXendesktop = "xenapp-xendesktop",
        /// VMware, later Omnissa, Horizon (View).
        View = "view",
        /// Any other.
        Other = "other",
    }
}

/// What is written is none of the known names.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{text:?} is no {what}")]
pub struct UnknownType {
    what: &'static str,
    text: String,
    known: String,
}

impl Explain for UnknownType {
    fn code(&self) -> &'static str {
        "platform-type-unknown"
    }

    fn hint(&self) -> Option<String> {
        Some(format!("Choose one of {}.", self.known))
    }
}

/// What a version of a platform layer is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct PlatformTypes {
    /// Packaging or publishing.
    pub purpose: Purpose,
    /// The hypervisor whose tools it holds.
    pub hypervisor: Hypervisor,
    /// The provisioning service; none unless it is for publishing.
    #[serde(default = "no_provisioning")]
    pub provisioning: Provisioning,
    /// The connection broker; none unless it is for publishing.
    #[serde(default = "no_broker")]
    pub broker: Broker,
}

impl PlatformTypes {
    /// For packaging on this hypervisor.
    pub fn packaging(hypervisor: Hypervisor) -> PlatformTypes {
        let purpose = Purpose::Packaging;
        PlatformTypes { purpose, hypervisor, provisioning: Provisioning::None, broker: Broker::None }
    }

    /// For publishing to this hypervisor, without provisioning service and broker.
    pub fn publishing(hypervisor: Hypervisor) -> PlatformTypes {
        PlatformTypes { purpose: Purpose::Publishing, ..PlatformTypes::packaging(hypervisor) }
    }

    /// Whether provisioning service and broker are named only where they may be.
    fn is_consistent(&self) -> bool {
        let none = self.provisioning == Provisioning::None && self.broker == Broker::None;
        self.purpose == Purpose::Publishing || none
    }
}

/// Refuses a platform layer without types or with types that do not go together, and types of other layers.
pub(crate) fn check_types(spec: &VersionSpec) -> Result<(), Rule> {
    let what = match (spec.kind, spec.platform) {
        (LayerKind::Platform, None) => {
            "a platform layer needs its types: for which purpose and which hypervisor it is".to_owned()
        }
        (LayerKind::Platform, Some(types)) if !types.is_consistent() => {
            "a packaging platform layer has neither provisioning service nor broker".to_owned()
        }
        (LayerKind::Os | LayerKind::App, Some(_)) => {
            let (kind, name) = (spec.kind, &spec.name);
            format!(
                "{kind}:{name} is no platform layer, so it is for no purpose and no hypervisor in particular"
            )
        }
        (LayerKind::Platform, Some(_)) | (LayerKind::Os | LayerKind::App, None) => return Ok(()),
    };
    Err(Rule::PlatformTypes { what })
}

fn no_provisioning() -> Provisioning {
    Provisioning::None
}

fn no_broker() -> Broker {
    Broker::None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_type_is_written_the_same_in_records_and_at_the_command_line() {
        for hypervisor in Hypervisor::ALL {
            assert_eq!(serde_json::to_value(hypervisor).unwrap(), hypervisor.as_str());
            assert_eq!(hypervisor.as_str().parse(), Ok(*hypervisor));
        }
        let types: PlatformTypes =
            serde_json::from_str(r#"{"purpose":"publishing","hypervisor":"azure","broker":"azure-rdsh"}"#)
                .unwrap();
        assert_eq!(
            types,
            PlatformTypes { broker: Broker::AzureRdsh, ..PlatformTypes::publishing(Hypervisor::Azure) }
        );
        let error = "parallels".parse::<Hypervisor>().unwrap_err();
        assert_eq!(error.to_string(), "\"parallels\" is no hypervisor");
        assert_eq!(
            error.hint().unwrap(),
            "Choose one of azure, kvm, vsphere, hyperv, xenserver, nutanix, aws, other."
        );
    }

    #[test]
    fn provisioning_and_broker_belong_to_publishing_alone() {
        let publishing = PlatformTypes {
            provisioning: Provisioning::Mcs,
            broker: Broker::View,
            ..PlatformTypes::publishing(Hypervisor::Kvm)
        };
        assert!(publishing.is_consistent() && PlatformTypes::packaging(Hypervisor::Kvm).is_consistent());
        assert!(!PlatformTypes { purpose: Purpose::Packaging, ..publishing }.is_consistent());
    }
}
