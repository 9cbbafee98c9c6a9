//! Icons that are part of the program. Their identifiers never change, so that what refers to them stays right.

use super::IconId;
use super::layer::LayerKind;

macro_rules! built_in {
    ($($(#[$doc:meta])* $name:ident = $id:literal;)*) => {$(
        $(#[$doc])*
        pub const $name: IconId = IconId::from_u128($id);
    )*};
}

built_in! {
    /// Of OS layers, when nobody chooses another.
    OS = 0x0190_c5f0_0000_7000_8000_0000_0000_0001;
    /// Of platform layers.
    PLATFORM = 0x0190_c5f0_0000_7000_8000_0000_0000_0002;
    /// Of app layers.
    APP = 0x0190_c5f0_0000_7000_8000_0000_0000_0003;
    /// Of image templates.
    TEMPLATE = 0x0190_c5f0_0000_7000_8000_0000_0000_0004;
}

/// The icon of a layer, when nobody chooses another.
pub fn of_layer(kind: LayerKind) -> IconId {
    match kind {
        LayerKind::Os => OS,
        LayerKind::Platform => PLATFORM,
        LayerKind::App => APP,
    }
}
