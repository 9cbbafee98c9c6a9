//! `lamina plumbing registry`: commands about the registry alone.

pub(super) mod diff;
pub(super) mod export;
pub(super) mod rows;

use clap::error::ErrorKind;
use clap::{Args, Subcommand};
use export::Spool;
use layering::request::RegistryScope;
use operation::Failure;
use worker::Job;

/// Export and compare registries
///
/// `files`, `diff`, `conflicts` and `show` tell of the registry beside files and everything else.
#[derive(Args)]
#[command(
    arg_required_else_help = true,
    subcommand_required = true,
    disable_help_subcommand = true,
    after_long_help = "\
Hives (HIVE):
  SYSTEM, SOFTWARE, DEFAULT, SAM, SECURITY, COMPONENTS, DRIVERS
  USER:NAME, CLASSES:NAME  NTUSER.DAT and UsrClass.dat of the user whose folder
                           has this name; without :NAME those of all users
  or the path of the hive's file, such as '\\Users\\ann\\NTUSER.DAT'.
  Without --hive all but SAM and SECURITY are meant, which hold secrets.

Keys (KEY):
  A path below the hive, such as 'Microsoft\\Windows'. In SYSTEM,
  CurrentControlSet is the control set in use.

Examples:
  lamina plumbing registry export --layer Office --format reg --out office.reg
  lamina plumbing registry diff --from os:Windows@23H2 --to os:Windows@24H2"
)]
pub(super) struct RegistryArgs {
    #[command(subcommand)]
    pub(super) command: RegistryCommand,
}

#[derive(Subcommand)]
pub(super) enum RegistryCommand {
    Export(export::ExportArgs),
    Diff(diff::DiffArgs),
}

impl RegistryArgs {
    /// A file in between where an export is to go to stdout, or why there is none; with `--json` that is taken.
    pub(super) fn spool(&mut self, json: bool) -> Result<Option<Result<Spool, Failure>>, clap::Error> {
        match &mut self.command {
            RegistryCommand::Export(args) if args.out.is_none() && json => Err(clap::Error::raw(
                ErrorKind::MissingRequiredArgument,
                "--json prints what was written; name the file to write with '--out <FILE>'\n",
            )),
            RegistryCommand::Export(args) if args.out.is_none() => Ok(Some(args.spool())),
            _ => Ok(None),
        }
    }

    pub(super) fn job(self) -> Job {
        match self.command {
            RegistryCommand::Export(args) => args.job(),
            RegistryCommand::Diff(args) => args.job(),
        }
    }
}

/// Which part of a registry a command is about.
#[derive(Args)]
struct ScopeArgs {
    /// Only this hive, such as SOFTWARE or USER:ann
    #[arg(long, value_name = "HIVE")]
    hive: Option<String>,
    /// Only what lies at or below this key of the hive
    #[arg(long, value_name = "KEY", requires = "hive")]
    key: Option<String>,
}

impl From<ScopeArgs> for RegistryScope {
    fn from(args: ScopeArgs) -> RegistryScope {
        RegistryScope { hive: args.hive, key: args.key }
    }
}
