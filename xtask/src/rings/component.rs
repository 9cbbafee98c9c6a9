//! rustfmt and clippy, which Rust can be installed without: rustup's minimal profile leaves them out.

/// A part of the Rust toolchain that cargo calls by a command of its own.
#[derive(Debug, Clone, Copy)]
pub(super) struct Component {
    /// What rustup calls it.
    pub(super) name: &'static str,
    /// What cargo calls it.
    pub(super) subcommand: &'static str,
}

pub(super) const RUSTFMT: Component = Component { name: "rustfmt", subcommand: "fmt" };
pub(super) const CLIPPY: Component = Component { name: "clippy", subcommand: "clippy" };

impl Component {
    /// That it is lacking, and what to do about it: how depends on whether there is rustup, and on the toolchain in use
    /// (`RUSTUP_TOOLCHAIN`), which need not be rustup's default.
    pub(super) fn lacking(self, rustup: bool, toolchain: Option<&str>) -> String {
        let name = self.name;
        match (rustup, toolchain) {
            (true, Some(toolchain)) => {
                format!("{name} is not installed; run `rustup component add {name} --toolchain {toolchain}`")
            }
            (true, None) => format!("{name} is not installed; run `rustup component add {name}`"),
            (false, _) => format!("{name} is not installed; install the one that belongs to your Rust"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_lacking_is_named_with_the_command_that_brings_it() {
        assert_eq!(
            RUSTFMT.lacking(true, None),
            "rustfmt is not installed; run `rustup component add rustfmt`"
        );
        assert!(
            CLIPPY
                .lacking(true, Some("1.91-x86_64-unknown-linux-gnu"))
                .ends_with("`rustup component add clippy --toolchain 1.91-x86_64-unknown-linux-gnu`")
        );
    }

    #[test]
    fn where_rust_came_without_rustup_nobody_is_sent_to_it() {
        assert!(!CLIPPY.lacking(false, Some("stable")).contains("rustup"));
    }
}
