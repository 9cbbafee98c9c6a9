//! `lamina login` and `lamina logout`

use super::saved::{self, Saved};
use super::trouble::Trouble;
use super::{Done, input};
use crate::printer::Printer;
use crate::printer::page::Visible;
use clap::{Args, Subcommand};
use client::types::{NewToken, PasswordChange};
use client::{Api, Login, Place, Proof};
use serde_json::json;
use std::path::PathBuf;

#[derive(Subcommand)]
pub(in crate::cli) enum Command {
    Login(LoginArgs),
    Logout(LogoutArgs),
}

/// Log in to a server, on this machine
///
/// Makes an API token for this machine and keeps it in $XDG_CONFIG_HOME/lamina/login.json, which only you can read. The
/// password is not kept.
#[derive(Args)]
#[command(after_long_help = "\
Environment:
  LAMINA_URL, LAMINA_TOKEN  server and token, instead of those that are kept
  LAMINA_AUTHORITY          file like that of --authority

Examples:
  lamina login https://lamina.example.com
  lamina login https://lamina.example.com --authority certificate-authority.pem
  lamina login http://127.0.0.1:8080 --user admin --password-stdin < password
  lamina login https://lamina.example.com --token-stdin < token")]
pub(in crate::cli) struct LoginArgs {
    /// The server's address
    #[arg(value_name = "URL", env = "LAMINA_URL", hide_env = true)]
    url: String,
    /// Your name there; asked for when it is not given
    #[arg(long, value_name = "NAME", conflicts_with = "token_stdin")]
    user: Option<String>,
    /// Read the password from the first line of stdin, and a new one, if the server asks for one, from the second
    #[arg(long, conflicts_with = "token_stdin")]
    password_stdin: bool,
    /// Read an API token from stdin instead of making one
    #[arg(long)]
    token_stdin: bool,
    /// Days until the token ends
    #[arg(long, value_name = "N", default_value_t = 90, conflicts_with = "token_stdin")]
    days: i32,
    /// File with the authority, in PEM, that signed the server's certificate; only it is trusted
    #[arg(long, value_name = "FILE")]
    authority: Option<PathBuf>,
    /// Print one JSON object on stdout instead of text
    #[arg(long)]
    json: bool,
}

/// Log out on this machine
///
/// Withdraws the token that `lamina login` made, and forgets it.
#[derive(Args)]
#[command(after_long_help = "\
Examples:
  lamina logout")]
pub(in crate::cli) struct LogoutArgs {
    /// Print one JSON object on stdout instead of text
    #[arg(long)]
    json: bool,
}

impl Command {
    pub(super) fn json(&self) -> bool {
        match self {
            Command::Login(args) => args.json,
            Command::Logout(args) => args.json,
        }
    }
}

pub(super) async fn run(command: Command) -> Done {
    match command {
        Command::Login(args) => log_in(args).await,
        Command::Logout(args) => log_out(args).await,
    }
}

/// What the token is called: names are unique among the tokens of a user.
fn token_name() -> String {
    let host = rustix::system::uname().nodename().to_string_lossy().chars().take(50).collect::<String>();
    format!("lamina on {host}, {}", jiff::Timestamp::now().strftime("%Y-%m-%d %H.%M.%S"))
        .replace(['/', '\\', ':'], "-")
}

async fn log_in(args: LoginArgs) -> Done {
    let authority = match &args.authority {
        Some(path) => Some(saved::read_authority(path)?),
        None => saved::authority_of_environment()?,
    };
    let url = args.url.trim_end_matches('/').to_owned();
    let place = Place { url: url.clone(), authority };
    // An address that cannot be used is better said before a password is typed.
    let stranger = Api::new(&place, &Proof::Nobody, None)?;
    let saved = match args.token_stdin {
        true => {
            let token = input::next_line("the token")?.trim().to_owned();
            let api = Api::new(&place, &Proof::Token(token.clone()), None)?;
            let me = api.me().send().await?.into_inner();
            Saved { url, authority: place.authority, user: me.name, token, token_id: None }
        }
        false => with_password(&args, &stranger, &place).await?,
    };
    saved::write(&saved)?;
    let object = json!({ "url": saved.url, "user": saved.user });
    Ok(Printer::new(args.json).result(&object, |page| {
        page.line(format_args!("Logged in to {} as {}.", saved.url, Visible(&saved.user)))
    })?)
}

/// Logs in with name and password, and makes a token.
async fn with_password(args: &LoginArgs, stranger: &Api, place: &Place) -> Result<Saved, Trouble> {
    let name = match &args.user {
        Some(name) => name.clone(),
        None => input::line("Name", "--user NAME, or --token-stdin")?,
    };
    let password = match args.password_stdin {
        true => input::next_line("the password")?,
        false => input::secret("Password", "--password-stdin, or --token-stdin")?,
    };
    let mut login = stranger.log_in_as(&name, &password).await?;
    if login.me.must_change_password {
        login = set_password(args, stranger, place, login, password).await?;
    }
    let api = Api::new(place, &login.proof, None)?;
    let body = NewToken { name: token_name(), days: args.days, roles: Vec::new() };
    let made = api.create_token().idempotency_key(client::once()).body(body).send().await?.into_inner();
    // The session has done what it was for; that it ends by itself is good enough if this fails.
    let _ = api.log_out().send().await;
    let token =
        made.secret.ok_or_else(|| Trouble::here("no-secret", "The server made a token without a secret."))?;
    Ok(Saved {
        url: place.url.clone(),
        authority: place.authority.clone(),
        user: login.me.name,
        token,
        token_id: Some(made.token.id.to_string()),
    })
}

/// Sets a password of one's own in place of a one-time password, and logs in with it.
async fn set_password(
    args: &LoginArgs,
    stranger: &Api,
    place: &Place,
    login: Login,
    current: String,
) -> Result<Login, Trouble> {
    Printer::new(args.json).remark("Your password is a one-time password. Choose one of your own.");
    let new = match args.password_stdin {
        true => input::next_line("the new password")?,
        false => input::new_secret("New password", "--password-stdin")?,
    };
    let api = Api::new(place, &login.proof, None)?;
    api.change_password().body(PasswordChange { current, new: new.clone() }).send().await?;
    Ok(stranger.log_in_as(&login.me.name, &new).await?)
}

async fn log_out(args: LogoutArgs) -> Done {
    let printer = Printer::new(args.json);
    let Some(saved) = saved::read()? else {
        return Ok(printer.result(&json!({}), |page| page.line("You were not logged in."))?);
    };
    let place = Place { url: saved.url.clone(), authority: saved.authority.clone() };
    let api = Api::new(&place, &Proof::Token(saved.token.clone()), None)?;
    if let Some(id) = &saved.token_id
        && let Err(error) = api.delete_token().id(id).send().await
    {
        let trouble = Trouble::from(error);
        // Of a token that has ended or was withdrawn there is nothing to withdraw.
        if !matches!(trouble.failure.code.as_str(), "not-logged-in" | "not-found") {
            return Err(trouble);
        }
    }
    saved::remove()?;
    Ok(printer.result(&json!({ "url": saved.url }), |page| {
        page.line(format_args!("Logged out of {}.", saved.url))
    })?)
}
