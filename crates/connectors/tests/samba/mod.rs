//! A Samba server of a test's own: its own configuration, accounts and state in a temporary directory, on a free port of
//! loopback, run by the user who runs the test.

use rustix::process::{Pid, Signal, kill_process_group};
use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::net::TcpListener;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use tempfile::TempDir;

/// Of the one account.
pub(crate) const PASSWORD: &str = "a password of the test";

/// A running server; killed when dropped, with all processes that serve its clients.
pub(crate) struct Samba {
    pub(crate) port: u16,
    /// The one account: a server that is not root can only act for the user it runs as.
    pub(crate) user: String,
    server: Child,
    configuration: PathBuf,
    _state: TempDir,
}

impl Samba {
    /// Serves `root` as the share `disks`. `None`, said aloud, where Samba is not installed.
    pub(crate) fn start(test: &str, root: &Path, options: &[&str]) -> Option<Samba> {
        for program in ["smbd", "pdbedit", "smbclient"] {
            if find(program).is_none() {
                println!("SKIPPED {test}: {program} is not installed");
                return None;
            }
        }
        let user = output(Command::new("id").arg("-un"));
        // Another program may take the free port before the server does; then it ends, and another one is tried.
        (0..5).find_map(|_| Samba::try_start(root, options, &user)).or_else(|| panic!("smbd does not start"))
    }

    fn try_start(root: &Path, options: &[&str], user: &str) -> Option<Samba> {
        let state = tempfile::tempdir().unwrap();
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let configuration = state.path().join("smb.conf");
        fs::write(&configuration, configured(root, state.path(), port, options)).unwrap();
        add_account(&configuration, user);
        let mut server = Command::new(find("smbd")?)
            .arg("--configfile")
            .arg(&configuration)
            .args(["--foreground", "--no-process-group", "--debug-stdout", "--debuglevel=2"])
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .process_group(0)
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(server.stdout.take().unwrap()).lines();
        let ready = lines.by_ref().map_while(Result::ok).any(|line| line.contains("waiting for connections"));
        let samba = Samba { port, user: user.to_owned(), server, configuration, _state: state };
        // Its log is read on, or it would stop when the pipe is full.
        std::thread::spawn(move || lines.map_while(Result::ok).for_each(drop));
        ready.then_some(samba)
    }

    /// `smbclient` on the share, with the account.
    pub(crate) fn client(&self) -> Command {
        let mut client = Command::new("smbclient");
        client.arg("--configfile").arg(&self.configuration).args(["--port", &self.port.to_string()]).args([
            "--user",
            &format!("{}%{PASSWORD}", self.user),
            "//127.0.0.1/disks",
        ]);
        client
    }
}

impl Drop for Samba {
    fn drop(&mut self) {
        if let Some(group) = i32::try_from(self.server.id()).ok().and_then(Pid::from_raw) {
            let _ = kill_process_group(group, Signal::KILL);
        }
        let _ = self.server.wait();
    }
}

fn configured(root: &Path, state: &Path, port: u16, options: &[&str]) -> String {
    let state = state.display();
    let (global, share): (Vec<&str>, Vec<&str>) =
        options.iter().partition(|line| !line.starts_with("read only"));
    let (global, share) =
        (global.join("\n"), if share.is_empty() { "read only = no".into() } else { share.join("\n") });
    let root = root.display();
    format!(
        "[global]\nserver role = standalone server\nsmb ports = {port}\ninterfaces = 127.0.0.1\n\
         bind interfaces only = yes\ndisable netbios = yes\ndisable spoolss = yes\nload printers = no\n\
         private dir = {state}\nlock directory = {state}\nstate directory = {state}\ncache directory = {state}\n\
         pid directory = {state}\nncalrpc dir = {state}/ncalrpc\nusershare path =\n\
         passdb backend = tdbsam:{state}/passdb.tdb\nmap to guest = never\n{global}\n\
         [disks]\npath = {root}\n{share}\n"
    )
}

fn add_account(configuration: &Path, user: &str) {
    let mut added = Command::new("pdbedit")
        .arg("--configfile")
        .arg(configuration)
        .args(["--password-from-stdin", "--create", "--user", user])
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    write!(added.stdin.take().unwrap(), "{PASSWORD}\n{PASSWORD}\n").unwrap();
    assert!(added.wait().unwrap().success(), "pdbedit makes the account");
}

/// Debian keeps `smbd` where the paths of plain users do not lead.
fn find(program: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let folders = std::env::split_paths(&path).chain(["/usr/sbin".into(), "/sbin".into()]);
    folders.map(|folder| folder.join(program)).find(|path| path.is_file())
}

fn output(command: &mut Command) -> String {
    String::from_utf8(command.output().unwrap().stdout).unwrap().trim().to_owned()
}
