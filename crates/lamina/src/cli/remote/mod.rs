//! Commands that ask a server, through its API alone. One module per kind of object holds its commands.

#![allow(
    rustdoc::broken_intra_doc_links,
    reason = "comments of options are help texts, where brackets mean: may be left out"
)]

mod access;
mod amounts;
mod app;
mod audit;
mod choices;
mod connector;
mod doctor;
mod exchange;
mod find;
mod group;
mod icon;
mod image;
mod input;
mod layer;
mod login;
mod os;
mod packaging;
mod platform;
mod saved;
mod settings;
mod store;
mod task;
mod template;
mod token;
mod trouble;
mod user;
mod version;
mod waiting;
mod webhook;

use crate::printer::Printer;
use crate::printer::page::Page;
use clap::{Args, Subcommand};
use client::{Api, Place, Proof};
use serde::Serialize;
use std::io;
use std::process::ExitCode;
use trouble::Trouble;

/// What a command comes to.
pub(super) type Done = Result<(), Trouble>;

/// A family of commands about one kind of object.
#[derive(Args)]
#[command(arg_required_else_help = true, subcommand_required = true, disable_help_subcommand = true)]
pub(super) struct Family<C: Subcommand> {
    #[command(flatten)]
    common: CommonArgs,
    #[command(subcommand)]
    command: C,
}

/// What every command takes.
#[derive(Args)]
#[command(next_help_heading = "Options of every command")]
struct CommonArgs {
    /// Print one JSON object on stdout instead of text
    #[arg(long, global = true)]
    json: bool,
    /// Comment for the audit history
    #[arg(long, global = true, value_name = "TEXT")]
    comment: Option<String>,
    /// Do not ask before something is deleted or stopped
    #[arg(long, short, global = true)]
    yes: bool,
}

#[derive(Subcommand)]
pub(super) enum Command {
    #[command(flatten)]
    Login(login::Command),
    /// Operating systems: import, list, change
    Os(Family<os::Command>),
    /// Platform layers: the software of one target platform
    Platform(Family<platform::Command>),
    /// App layers: one or more applications each
    App(Family<app::Command>),
    /// Versions of layers: make, finalize, compare, exchange, delete
    Version(Family<version::Command>),
    /// Image templates: what goes into an image, and publishing it
    Template(Family<template::Command>),
    /// Published images and what they were made of
    Image(Family<image::Command>),
    /// Connector configurations: places where disks come from and images go to
    Connector(Family<connector::Command>),
    /// Icons
    Icon(Family<icon::Command>),
    /// Tasks: watch, read their logs, stop
    Task(Family<task::Command>),
    /// Users and their roles
    User(Family<user::Command>),
    /// Groups of users and their roles
    Group(Family<group::Command>),
    /// Your own API tokens
    Token(Family<token::Command>),
    /// Settings of the server
    Settings(Family<settings::Command>),
    /// The webhook: a program that is told what happens to tasks
    Webhook(Family<webhook::Command>),
    /// The store of layers
    Store(Family<store::Command>),
    /// Read the audit history: who did what, when, and why
    Audit(audit::AuditArgs),
    Doctor(doctor::DoctorArgs),
}

/// A command that can be carried out for who is logged in.
pub(super) trait Run {
    async fn run(self, context: &Context) -> Done;
}

/// Carries a command out and gives the exit status.
pub(super) fn run(command: Command) -> ExitCode {
    match command {
        Command::Login(command) => {
            let json = command.json();
            finish(json, block_on(login::run(command)))
        }
        Command::Os(family) => family.run(),
        Command::Platform(family) => family.run(),
        Command::App(family) => family.run(),
        Command::Version(family) => family.run(),
        Command::Template(family) => family.run(),
        Command::Image(family) => family.run(),
        Command::Connector(family) => family.run(),
        Command::Icon(family) => family.run(),
        Command::Task(family) => family.run(),
        Command::User(family) => family.run(),
        Command::Group(family) => family.run(),
        Command::Token(family) => family.run(),
        Command::Settings(family) => family.run(),
        Command::Webhook(family) => family.run(),
        Command::Store(family) => family.run(),
        Command::Audit(args) => args.run(),
        Command::Doctor(args) => args.run(),
    }
}

impl<C: Subcommand + Run> Family<C> {
    fn run(self) -> ExitCode {
        run_in(&self.common, self.command)
    }
}

/// Carries a command out for who is logged in.
fn run_in(common: &CommonArgs, command: impl Run) -> ExitCode {
    let done = Context::new(common).and_then(|context| block_on(command.run(&context)));
    finish(common.json, done)
}

fn block_on(command: impl Future<Output = Done>) -> Done {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| Trouble::here("runtime", format!("This machine is out of something: {error}.")))?;
    runtime.block_on(command)
}

fn finish(json: bool, done: Done) -> ExitCode {
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(trouble) => {
            let printer = Printer::new(json);
            let fields: Vec<(&str, &str)> =
                trouble.fields.iter().map(|field| (field.field.as_str(), field.message.as_str())).collect();
            printer.refusal(&trouble.failure, &fields, (!trouble.shown).then_some(&trouble));
            ExitCode::from(trouble.status)
        }
    }
}

/// What every command works with.
pub(super) struct Context {
    api: Api,
    place: Place,
    comment: Option<String>,
    printer: Printer,
    json: bool,
    yes: bool,
}

impl Context {
    fn new(common: &CommonArgs) -> Result<Context, Trouble> {
        let (place, proof) = saved::access()?;
        let api = Api::new(&place, &proof, common.comment.as_deref())?;
        Ok(Context {
            api,
            place,
            comment: common.comment.clone(),
            printer: Printer::new(common.json),
            json: common.json,
            yes: common.yes,
        })
    }

    /// Prints a result: the API's own object with `--json`, what `human` writes otherwise.
    fn show(&self, object: &impl Serialize, human: impl FnOnce(&mut Page<'_>) -> io::Result<()>) -> Done {
        Ok(self.printer.result(object, human)?)
    }

    /// Prints that something was done of which there is no object.
    fn done(&self, text: impl std::fmt::Display) -> Done {
        self.show(&serde_json::json!({}), |page| page.line(text))
    }

    /// The API in a session of who is logged in, for what a token does not suffice for.
    async fn session(&self, password: &str) -> Result<Api, Trouble> {
        let name = self.api.me().send().await?.into_inner().name;
        let stranger = Api::new(&self.place, &Proof::Nobody, None)?;
        let login = stranger.log_in_as(&name, password).await?;
        Ok(Api::new(&self.place, &login.proof, self.comment.as_deref())?)
    }

    /// Asks whether to go on, unless `--yes` is given.
    fn sure(&self, question: &str) -> Done {
        input::sure(self.yes, question)
    }
}

/// Items as the API's pages have them, for `--json`.
#[derive(Serialize)]
struct Items<'a, T> {
    items: &'a [T],
    /// Whether there are more than were asked for.
    more: bool,
}

impl Context {
    /// Prints a list, and that it goes on if it does.
    fn show_list<T: Serialize>(
        &self,
        (items, more): &(Vec<T>, bool),
        none: &str,
        human: impl FnOnce(&[T], &mut Page<'_>) -> io::Result<()>,
    ) -> Done {
        self.show(&Items { items, more: *more }, |page| match items.is_empty() {
            true => page.line(none),
            false => human(items, page),
        })?;
        if *more {
            self.printer.remark("There are more; --limit shows them.");
        }
        Ok(())
    }
}

/// How much of a list is wanted.
#[derive(Args)]
pub(in crate::cli) struct LimitArgs {
    /// Most items to list
    #[arg(long, value_name = "N", default_value_t = 1000, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    limit: u32,
}

/// Sets those parameters of a request that are given.
macro_rules! given {
    ($request:expr $(, $name:ident = $value:expr)+ $(,)?) => {{
        let request = $request;
        $(let request = match $value {
            Some(value) => request.$name(value),
            None => request,
        };)+
        request
    }};
}
use given;

/// All pages of a list, up to a limit: `list!(context, limit, list_layers, kind = kind, search = search)`.
macro_rules! list {
    ($context:expr, $limit:expr, $operation:ident $(($($first:ident = $id:expr),+))? $(, $name:ident = $value:expr)* $(,)?) => {
        client::pages($limit as usize, async |cursor: Option<String>, limit: u32| {
            let request = $context.api.$operation().limit(limit) $($(.$first($id))+)?;
            let request = crate::cli::remote::given!(request, cursor = cursor $(, $name = $value)*);
            request.send().await.map(client::ResponseValue::into_inner)
        })
        .await
    };
}
use list;

/// The tag of an object of this revision, for a change of just that.
fn tag(revision: i64) -> String {
    format!("\"{revision}\"")
}
