//! Recipes: what becomes of the software of platforms that an image is not for, as data.
//!
//! There is one recipe for each hypervisor, provisioning service and broker: services to disable, drivers to start on
//! demand, keys and files to remove; and what a machine of that type needs. Publishing applies the recipes of all types
//! that the platform layer did not select, except to what a selected type needs, and makes the boot drivers of the
//! selected ones start at boot. Nothing that is not there is made.
//!
//! Deliberately missing: uninstalling. Programs stay where they are, and are not started.

mod clean_up;
mod in_box;
mod line;

pub(crate) use clean_up::{CleanUp, Done};

use crate::path_list::PatternError;
use crate::platform::{Broker, Hypervisor, PlatformTypes, Provisioning};
use line::{Action, Line, parse};
use std::collections::HashSet;

/// Every recipe: its name, which is that of its type, and the built-in lines.
const BUILT_IN: [(&str, &str); 16] = [
    ("azure", include_str!("azure.txt")),
    ("kvm", include_str!("kvm.txt")),
    ("virtio", include_str!("virtio.txt")),
    ("vsphere", include_str!("vsphere.txt")),
    ("hyperv", include_str!("hyperv.txt")),
    ("xenserver", include_str!("xenserver.txt")),
    ("nutanix", include_str!("nutanix.txt")),
    ("aws", include_str!("aws.txt")),
    ("pvs", include_str!("pvs.txt")),
    ("mcs", include_str!("mcs.txt")),
    ("view-composer", include_str!("view-composer.txt")),
    ("azure-rdsh", include_str!("azure-rdsh.txt")),
    ("rds", include_str!("rds.txt")),
    ("avd", include_str!("avd.txt")),
    ("xenapp-xendesktop", include_str!("xenapp-xendesktop.txt")),
    ("view", include_str!("view.txt")),
];

/// The recipes that are in force in a store.
#[derive(Debug)]
pub(crate) struct Recipes(Vec<Recipe>);

#[derive(Debug)]
struct Recipe {
    name: &'static str,
    lines: Vec<Line>,
}

/// The names of all recipes.
pub(crate) fn names() -> impl Iterator<Item = &'static str> {
    BUILT_IN.iter().map(|(name, _)| *name)
}

impl Recipes {
    /// The built-in recipes.
    pub(crate) fn built_in() -> Recipes {
        let recipe = |(name, text): &(&'static str, &str)| Recipe {
            name,
            lines: parse(text).expect("the built-in recipes are tested"),
        };
        Recipes(BUILT_IN.iter().map(recipe).collect())
    }

    /// Adds lines to the recipe of this name.
    pub(crate) fn extend(&mut self, name: &str, text: &str) -> Result<(), PatternError> {
        let lines = parse(text)?;
        self.0
            .iter_mut()
            .filter(|recipe| recipe.name == name)
            .for_each(|recipe| recipe.lines.extend(lines.clone()));
        Ok(())
    }

    /// What is to be done to an image whose platform layer is of these types.
    pub(crate) fn clean_up(&self, types: &PlatformTypes) -> CleanUp {
        let selected = selected(types);
        let is_selected = |recipe: &Recipe| selected.contains(&recipe.name);
        let mut needed = HashSet::new();
        for recipe in &self.0 {
            for line in &recipe.lines {
                match &line.action {
                    Action::Boot(name) if is_selected(recipe) || types.hypervisor == Hypervisor::Other => {
                        needed.insert(name.to_lowercase());
                    }
                    Action::Needs(name) if is_selected(recipe) => {
                        needed.insert(name.to_lowercase());
                    }
                    _ => {}
                }
            }
        }
        let applies = |recipe: &Recipe, action: &Action| match action {
            Action::Needs(_) => false,
            Action::Boot(_) => is_selected(recipe),
            _ => {
                let needed = action.touches().is_some_and(|name| needed.contains(&name.to_lowercase()));
                !is_selected(recipe) && !needed
            }
        };
        let steps = self.0.iter().flat_map(|recipe| {
            let actions = recipe.lines.iter().map(|line| &line.action);
            actions.filter(|action| applies(recipe, action)).map(|action| (recipe.name, action.clone()))
        });
        CleanUp::new(steps.collect())
    }
}

/// The recipes of the types that are selected and of those that they imply.
fn selected(types: &PlatformTypes) -> Vec<&'static str> {
    let mut names = match types.hypervisor {
        Hypervisor::Azure => vec!["azure", "hyperv"],
        Hypervisor::Kvm => vec!["kvm", "virtio"],
        // AHV is KVM with virtio devices
        Hypervisor::Nutanix => vec!["nutanix", "virtio"],
        Hypervisor::Other => vec![],
        one => vec![one.as_str()],
    };
    match types.provisioning {
        Provisioning::None | Provisioning::Other => {}
        one => names.push(one.as_str()),
    }
    match types.broker {
        Broker::None | Broker::Other => {}
        Broker::AzureRdsh => names.extend(["azure-rdsh", "rds"]),
        one => names.push(one.as_str()),
    }
    names
}

#[cfg(test)]
mod tests;
