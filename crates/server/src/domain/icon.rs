//! Icons that are part of the program. Their identifiers never change, so that what refers to them stays right.

use super::IconId;
use super::layer::LayerKind;

/// An icon that is part of the program.
#[derive(Debug, Clone, Copy)]
pub struct BuiltIn {
    /// Its identifier.
    pub id: IconId,
    /// What it is called, unless something else has the name already.
    pub name: &'static str,
    /// The picture.
    pub svg: &'static str,
}

macro_rules! built_in {
    ($($(#[$doc:meta])* $constant:ident = $id:literal $name:literal $file:literal;)*) => {
        $(
            $(#[$doc])*
            pub const $constant: IconId = IconId::from_u128($id);
        )*

        /// Every icon that is part of the program.
        pub const BUILT_IN: &[BuiltIn] = &[$(BuiltIn {
            id: $constant,
            name: $name,
            svg: include_str!(concat!("../../icons/", $file)),
        },)*];
    };
}

built_in! {
    /// Of OS layers, when nobody chooses another.
    OS = 0x0190_c5f0_0000_7000_8000_0000_0000_0001 "OS layer" "os.svg";
    /// Of platform layers.
    PLATFORM = 0x0190_c5f0_0000_7000_8000_0000_0000_0002 "Platform layer" "platform.svg";
    /// Of app layers.
    APP = 0x0190_c5f0_0000_7000_8000_0000_0000_0003 "App layer" "app.svg";
    /// Of image templates.
    TEMPLATE = 0x0190_c5f0_0000_7000_8000_0000_0000_0004 "Image template" "template.svg";
    /// A window.
    WINDOWS = 0x0190_c5f0_0000_7000_8000_0000_0000_0005 "Windows" "windows.svg";
    /// A terminal.
    LINUX = 0x0190_c5f0_0000_7000_8000_0000_0000_0006 "Linux" "linux.svg";
    /// A globe.
    BROWSER = 0x0190_c5f0_0000_7000_8000_0000_0000_0007 "Browser" "browser.svg";
    /// A document.
    OFFICE = 0x0190_c5f0_0000_7000_8000_0000_0000_0008 "Office" "office.svg";
    /// A cylinder.
    DATABASE = 0x0190_c5f0_0000_7000_8000_0000_0000_0009 "Database" "database.svg";
    /// Angle brackets.
    DEVELOPMENT = 0x0190_c5f0_0000_7000_8000_0000_0000_000a "Development" "development.svg";
    /// A shield.
    SECURITY = 0x0190_c5f0_0000_7000_8000_0000_0000_000b "Security" "security.svg";
    /// A picture.
    GRAPHICS = 0x0190_c5f0_0000_7000_8000_0000_0000_000c "Graphics" "graphics.svg";
    /// Three machines.
    NETWORK = 0x0190_c5f0_0000_7000_8000_0000_0000_000d "Network" "network.svg";
    /// Two machines in a rack.
    SERVER = 0x0190_c5f0_0000_7000_8000_0000_0000_000e "Server" "server.svg";
    /// A play button.
    MEDIA = 0x0190_c5f0_0000_7000_8000_0000_0000_000f "Media" "media.svg";
    /// A speech bubble.
    MESSAGES = 0x0190_c5f0_0000_7000_8000_0000_0000_0010 "Messages" "messages.svg";
    /// A wrench.
    TOOLS = 0x0190_c5f0_0000_7000_8000_0000_0000_0011 "Tools" "tools.svg";
    /// A cloud.
    CLOUD = 0x0190_c5f0_0000_7000_8000_0000_0000_0012 "Cloud" "cloud.svg";
}

/// The icon of a layer, when nobody chooses another.
pub fn of_layer(kind: LayerKind) -> IconId {
    match kind {
        LayerKind::Os => OS,
        LayerKind::Platform => PLATFORM,
        LayerKind::App => APP,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::name::Name;
    use std::collections::BTreeSet;

    #[test]
    fn every_icon_has_an_identifier_and_a_name_of_its_own() {
        let ids: BTreeSet<IconId> = BUILT_IN.iter().map(|icon| icon.id).collect();
        let names: BTreeSet<String> =
            BUILT_IN.iter().map(|icon| Name::check("name", icon.name).unwrap().key()).collect();
        assert_eq!((ids.len(), names.len()), (BUILT_IN.len(), BUILT_IN.len()));
    }

    #[test]
    fn pictures_are_small_and_hold_nothing_but_shapes() {
        for icon in BUILT_IN {
            assert!(icon.svg.len() < 1024, "{}", icon.name);
            let elements = icon.svg.split('<').skip(1).map(|tag| tag.split([' ', '>']).next().unwrap());
            for element in elements {
                let shapes = ["svg", "rect", "g", "path", "circle", "ellipse", "/g", "/svg"];
                assert!(shapes.contains(&element), "{}: {element}", icon.name);
            }
            assert!(!icon.svg.contains(" on") && !icon.svg.contains("href"), "{}", icon.name);
        }
    }
}
