//! Commands that ask a server, against a server of the same build: reviewed transcripts of what a person sees, and the
//! keys of the objects that a script gets.

#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "what fails here fails a test, and says why")]

#[path = "support/served.rs"]
mod served;
mod support;

/// Disks and what is done on them, in the words of the engine's own tests.
#[allow(dead_code, unreachable_pub)]
#[path = "../../layering/tests/rules/bench"]
mod bench {
    pub mod disk;
    pub mod edit;
}

use bench::disk::{Disk, WINDOWS, can_format};
use bench::edit::noise;
use served::{PASSWORD, Served};
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;
use support::{assert_snapshot, describe, lamina};

#[test]
fn logging_in_makes_a_token_for_this_machine_and_logging_out_withdraws_it() {
    let mut served = Served::start();
    served.run("os list", 5);
    served.run_with("login URL --user admin --password-stdin", "wrong\n", 5);
    let first = format!("{}\nshort\n", served.first_password);
    served.run_with("login URL --user admin --password-stdin", &first, 1);
    let first = format!("{}\n{PASSWORD}\n", served.first_password);
    served.run_with("login URL --user admin --password-stdin", &first, 0);

    let mode = fs::metadata(served.login_file()).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600, "{mode:o}");
    let saved = fs::read_to_string(served.login_file()).unwrap();
    assert!(!saved.contains(PASSWORD));
    let saved: serde_json::Value = serde_json::from_str(&saved).unwrap();
    let token = saved["token"].as_str().unwrap().to_owned();

    served.run("settings show", 0);
    served.run("logout", 0);
    assert!(!served.login_file().exists());
    served.run("settings show", 5);
    served.run("logout", 0);
    let answer =
        served.call("settings show").env("LAMINA_URL", &served.url).env("LAMINA_TOKEN", &token).run();
    assert_eq!(answer.status, 5, "the token was withdrawn: {}", answer.stderr);

    served.run("login", 2);
    served.run("login ftp://example.com --user admin --password-stdin", 2);
    served.run("login http://example.com --user admin --password-stdin", 2);
    served.run_with("login http://127.0.0.1:1 --user admin --password-stdin", "x\n", 8);
    served.run("login URL", 2);
    assert_snapshot("remote-login.txt", served.transcript());
}

#[test]
fn a_token_goes_to_the_server_that_made_it_and_to_no_other() {
    let served = Served::logged_in();
    let with = |url: &str| served.call("settings show").env("LAMINA_URL", url).run();
    assert_eq!(with(&served.url).status, 0);
    assert_eq!(with(&format!("{}/", served.url)).status, 0);
    let elsewhere = with("http://127.0.0.1:1");
    assert_eq!(elsewhere.status, 5, "nothing was sent: {}", elsewhere.stderr);
    assert!(elsewhere.stderr.contains("not logged in"), "{}", elsewhere.stderr);
    // A token of the environment is for the server of the environment.
    let saved: serde_json::Value =
        serde_json::from_str(&fs::read_to_string(served.login_file()).unwrap()).unwrap();
    let token = saved["token"].as_str().unwrap();
    let nowhere = served.file("nobody");
    let call = lamina("settings show").env("XDG_CONFIG_HOME", &nowhere).env("LAMINA_URL", &served.url);
    assert_eq!(call.env("LAMINA_TOKEN", token).run().status, 0);
    // A login by a token that somebody else made.
    let answer =
        lamina("login --token-stdin").arg(&served.url).env("XDG_CONFIG_HOME", &nowhere).input(token).run();
    assert_eq!(answer.stdout, format!("Logged in to {} as admin.\n", served.url), "{}", answer.stderr);
}

/// A disk with a Windows in small, as the file share has it.
fn windows(served: &Served, name: &str) {
    Disk::create(served.file("share").join(name), WINDOWS).edit(|disk| {
        disk.directory("\\Windows\\System32\\config").file("\\Windows\\shared.dll", noise(20_000, 1));
    });
}

/// Installs something on a packaging disk.
fn install(served: &Served, disk: &str, file: &str) {
    Disk { path: served.file("share").join(disk) }.edit(|disk| {
        disk.file(&format!("\\Apps\\{file}"), noise(30_000, 2));
    });
}

#[test]
fn from_an_operating_system_to_an_image_and_back() {
    if !can_format() {
        println!("SKIPPED from_an_operating_system_to_an_image_and_back: mkntfs is not installed");
        return;
    }
    let mut served = Served::logged_in();
    windows(&served, "windows.raw");

    // A place for disks.
    served.run("os import Windows 1 --disk windows.raw", 6);
    served.run("connector create Share fileshare --set access=directory --set path=DIR/share", 0);
    served.run("connector create Share fileshare --set access=directory --set path=relative", 1);
    served.run("connector create NAS fileshare --set password=hunter2", 2);
    served.run("connector test share", 0);
    served.run("connector browse Share", 0);
    served.run("settings set --file-share share", 0);

    // An operating system.
    served.run("os import Windows 1 --disk missing.raw --wait", 7);
    served
        .run("os import Windows 1 --disk windows.raw --hypervisor kvm --description 'A small one' --wait", 0);
    served.run("os list", 0);

    // An application and the software of a platform.
    let create = "app create Editor 1 --os Windows --disk editor.raw --format raw";
    served.run(&format!("{create} --description 'To write with' --wait --comment 'as ordered'"), 0);
    served.run(create, 1);
    install(&served, "editor.raw", "editor.exe");
    served.run("version finalize app:Editor --wait", 0);
    served.run(
        "platform create KVM 1 --os Windows@1 --purpose publishing --hypervisor kvm --disk kvm.raw --format raw --wait",
        0,
    );
    install(&served, "kvm.raw", "agent.exe");
    served.run("version finalize platform:KVM@1 --wait", 0);
    served.run("app edit editor --priority 900 --icon Editor", 4);
    served.run("app edit editor --priority 900", 0);
    served.run("app show Editor", 0);
    served.run("app show Windows", 4);

    // A template, published.
    served.run("template create Desk --os Windows --app Editor=77 --format qcow2 --size 100M", 0);
    served.run("template edit desk --platform KVM --connector Share --comment 'to publish it'", 0);
    served.run("template edit desk", 2);
    served.run("template show Desk", 0);
    served.run("template revisions Desk", 0);
    served.run("template compare Desk 1", 0);
    served.run("template conflicts Desk", 0);
    served.run("template publish Desk --wait", 0);
    served.run("image list", 0);

    // A new version, and templates that move to it.
    served.run("version create app:Editor 2 --disk editor2.raw --format raw --wait", 0);
    served.run("app show Editor", 0);
    install(&served, "editor2.raw", "editor2.exe");
    served.run("version finalize Editor --wait", 0);
    served.run("version diff Editor@1 Editor@2", 0);
    served.run("template update-assignments Editor --dry-run", 0);
    served.run("template update-assignments Editor", 0);
    served.run("version used-by Editor@2", 0);
    served.run("version delete Editor@2 --yes", 6);
    served.run("version delete Editor --yes", 2);
    served.run("version delete Editor@1", 2);
    served.run("version delete Editor@1 --yes --wait", 0);
    served.run("template restore Desk 2", 1);
    served.run("version show Editor@3", 4);
    served.run("store collect-garbage --wait", 0);

    // To another site, and back from it under another name.
    served.run("version export shelf/all Editor --wait", 7);
    served.run("version export shelf Editor KVM --with-os --wait", 0);
    served.run("version export shelf Nothing", 4);
    served.run("version exported shelf", 0);
    served.run("version exported nowhere", 4);
    served.run("version import shelf app:Editor@2 --wait", 0);
    served.run("version import shelf app:Editor@2 --rename 'app:Editor=Editor of the other site' --wait", 0);
    served.run("version import shelf --rename Editor=Two", 2);
    served.run("app list", 0);
    served.run("audit --action create_app_layer", 0);
    assert_snapshot("remote-layers.txt", served.transcript());
}

/// Answers requests with 204 and gives what they were.
fn listen() -> (String, std::sync::mpsc::Receiver<String>) {
    use std::io::{Read, Write};
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/lamina", listener.local_addr().unwrap());
    let (sender, receiver) = std::sync::mpsc::channel();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let mut request = Vec::new();
            let mut chunk = [0; 4096];
            // The body is JSON, and ends with its brace.
            while !(request.ends_with(b"}") && request.windows(4).any(|four| four == b"\r\n\r\n")) {
                match stream.read(&mut chunk).unwrap() {
                    0 => break,
                    read => request.extend_from_slice(&chunk[..read]),
                }
            }
            stream.write_all(b"HTTP/1.1 204 No Content\r\nConnection: close\r\n\r\n").unwrap();
            if sender.send(String::from_utf8(request).unwrap()).is_err() {
                return;
            }
        }
    });
    (url, receiver)
}

#[test]
fn the_webhook_is_told_what_happens_to_tasks() {
    let mut served = Served::logged_in();
    let (url, told) = listen();
    assert!(served.run("webhook show", 4).stderr.contains("There is no webhook"));
    let set = format!("webhook set {url} --event done --event failed --secret-stdin");
    let refused = served.run_with(&set, "0123456789abcdef\n", 1).stderr;
    assert!(refused.contains("Allow private addresses"), "{refused}");
    served.run_with(&format!("{set} --allow-private"), "short\n", 1);
    served.run_with(&format!("{set} --allow-private"), "0123456789abcdef\n", 0);
    served.run("webhook test", 0);
    let request = told.recv_timeout(Duration::from_secs(60)).unwrap().to_lowercase();
    assert!(request.contains("x-lamina-signature: "), "{request}");
    assert!(!request.contains("0123456789abcdef"), "the secret itself is told to nobody: {request}");

    served.run("store collect-garbage --wait", 0);
    let request = told.recv_timeout(Duration::from_secs(60)).unwrap();
    assert!(request.contains("collect-garbage"), "{request}");

    // What is not said anew stays: the secret.
    served.run(&format!("webhook set {url} --event failed --allow-private"), 0);
    let shown = served.run("webhook show --json", 0).json();
    assert_eq!(shown["events"], serde_json::json!(["failed"]));
    assert_eq!(shown["given_up"], 0);
    served.run("webhook set http://127.0.0.1:1/ --event failed --allow-private", 0);
    served.run("webhook test", 1);
    served.run("webhook delete", 2);
    served.run("webhook delete --yes", 0);
    served.run("webhook delete --yes", 4);
}

#[test]
fn who_may_what() {
    let mut served = Served::logged_in();
    served.run_with(
        "user create ada --full-name 'Ada Lovelace' --role read-only --password-stdin",
        "analytical engine\n",
        0,
    );
    served.run_with("user create ADA --password-stdin", "analytical engine\n", 1);
    served.run("user edit ada --add-role manage-app-layers --remove-role read-only", 0);
    served.run("user edit ada --add-role king", 2);
    served.run("group create makers --role manage-image-templates --member ada", 0);
    served.run("group edit makers --remove-member ada --description 'Those who make templates'", 0);
    served.run("group list", 0);
    served.run("user list", 0);
    served.run("user edit admin --remove-role administrator", 6);
    served.run("user delete nobody --yes", 4);
    let made = served
        .run_with("token create ci --role read-only --days 7 --json --password-stdin", PASSWORD, 0)
        .json();
    served.run_with("token create ci2 --password-stdin", "wrong\n", 5);
    let tokens = served.call("token list").ok().stdout;
    assert!(tokens.contains("lamina on ") && tokens.contains("read-only"), "{tokens}");
    let (nobody, url) = (served.file("nobody"), served.url.clone());
    let secret = made["secret"].as_str().unwrap();
    let with =
        || lamina("").env("XDG_CONFIG_HOME", &nobody).env("LAMINA_URL", &url).env("LAMINA_TOKEN", secret);
    with().words("os list").ok();
    assert_eq!(with().words("user create eve").run().status, 5);
    served.run("user withdraw-token admin cd --yes", 4);
    served.run("token delete ci --yes", 0);
    assert_eq!(with().words("os list").run().status, 5);

    // Ada, on another machine.
    let home = served.file("ada");
    let ada = || lamina("").env("XDG_CONFIG_HOME", &home);
    ada().words("login --user ada --password-stdin").arg(&served.url).input("analytical engine\n").ok();
    let refused = ada().words("settings set --no-file-share").run();
    assert_eq!(refused.status, 5, "{}", refused.stderr);
    assert!(
        refused.stderr.contains("error[forbidden]") && refused.stderr.contains("Hint: "),
        "{}",
        refused.stderr
    );
    let changed = format!("analytical engine\n{PASSWORD} of hers\n");
    ada().words("user change-password --password-stdin").input(&changed).ok();
    assert_eq!(ada().words("user change-password --password-stdin").input(&changed).run().status, 5);
    // She has left a session open somewhere, and a token for this machine.
    let open = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    open.block_on(session(&served.url, "ada", &format!("{PASSWORD} of hers")));
    let own = format!("{PASSWORD} of hers");
    ada().words("token create extra --password-stdin").input(&own).ok();
    served.run("user withdraw-token ada EXTRA --yes", 0);
    let tokens = served.call("user tokens ada").ok().stdout;
    assert!(tokens.contains("lamina on "), "{tokens}");
    let sessions = served.call("user sessions ada --json").ok().json();
    let session = sessions["items"][0]["id"].as_str().unwrap();
    served.run(&format!("user end-session --user ada {session} --yes"), 0);
    served.run(&format!("user end-session {session} --yes"), 4);
    served.run("user sessions ada", 0);
    let reset = served.call("user reset-password ada --yes --json").ok().json();
    assert_eq!(reset["withdrawn_tokens"], 1, "{reset}");
    served.run("user tokens ada", 0);
    served.run("user delete ada --yes", 0);
    let refused = ada().words("os list").run();
    assert_eq!(refused.status, 5, "{}", refused.stderr);
    assert_snapshot("remote-users.txt", served.transcript());
}

/// Begins a session that nobody ends.
async fn session(url: &str, name: &str, password: &str) {
    let place = client::Place { url: url.to_owned(), authority: None };
    client::Api::new(&place, &client::Proof::Nobody, None).unwrap().log_in_as(name, password).await.unwrap();
}

#[test]
fn who_may_read_the_servers_directory_gets_in_again() {
    let mut served = Served::logged_in();
    served.run("reset-password --dir DIR/lamina", 1);
    served.run("reset-password --dir DIR/nowhere --json", 1);
    served.signal(rustix::process::Signal::KILL);
    served.wait();
    served.run("reset-password --dir DIR/lamina nobody", 1);
    let made = served.call("reset-password --json --dir").arg(served.file("lamina")).ok().json();
    assert_eq!(made["user"], "admin");
    assert_eq!(made["one_time_password"].as_str().unwrap().len(), 24);
    let said = served.call("reset-password --dir").arg(served.file("lamina")).arg("ADMIN").ok().stdout;
    assert!(said.starts_with("One-time password of ADMIN, shown only now: "), "{said}");
    assert_snapshot("reset-password.txt", served.transcript());
}

#[test]
fn what_the_engines_processes_store_is_out_of_reach_of_others_too() {
    let mode = |path: &Path, mode: u32| {
        fs::create_dir_all(path).unwrap();
        fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
    };
    // A directory that somebody has made before, as everybody makes them.
    let served = Served::start_in(|directory| mode(directory, 0o755));
    let directory = served.file("lamina");
    let is = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(is(&directory), 0o755);
    assert!(directory.join("store/packs").is_dir(), "a process of the engine has made the store");
    assert_eq!((is(&directory.join("store")), is(&directory.join("scratch"))), (0o700, 0o700));

    // The same for a backup's store.
    let passphrase = served.file("passphrase");
    fs::write(&passphrase, "a passphrase of this test").unwrap();
    let backup = served.file("backup");
    mode(&backup.join("store"), 0o755);
    let call = served.call("backup --passphrase-file").arg(&passphrase).arg("--dir").arg(&directory);
    call.arg(&backup).ok();
    assert_eq!(is(&backup.join("store")), 0o700);
    let restored = served.file("restored");
    mode(&restored.join("store"), 0o755);
    let call = served.call("restore --passphrase-file").arg(&passphrase).arg("--dir").arg(&restored);
    call.arg(&backup).ok();
    assert_eq!((is(&restored), is(&restored.join("store"))), (0o755, 0o700));
}

/// Somebody who looks long enough at a task that never ends, because its server does not answer.
#[test]
fn ctrl_c_ends_the_waiting_and_says_that_the_task_goes_on() {
    let served = Served::logged_in();
    served.signal(rustix::process::Signal::STOP);
    let mut child = served
        .call("task wait 0199a0c4-6b1e-7c3a-9b0d-3f2a1c4d5e6f")
        .command()
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    // Until it listens for the signal an interrupt would simply end it.
    let listens = (0..600).any(|_| {
        std::thread::sleep(Duration::from_millis(50));
        catches_interrupts(child.id())
    });
    if listens {
        let pid = rustix::process::Pid::from_child(&child);
        rustix::process::kill_process(pid, rustix::process::Signal::INT).unwrap();
    } else {
        child.kill().unwrap();
    }
    let output = child.wait_with_output().unwrap();
    served.signal(rustix::process::Signal::CONT);
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(listens, "it does not wait: {stderr}");
    assert_eq!(output.status.code(), Some(130), "{stderr}");
    assert!(stderr.contains("goes on") && stderr.contains("lamina task wait 0199a0c4"), "{stderr}");
}

/// Whether a process has a handler of its own for SIGINT (proc(5): SigCgt of /proc/PID/status).
fn catches_interrupts(pid: u32) -> bool {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let caught = status.lines().find_map(|line| line.strip_prefix("SigCgt:"));
    caught.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok()).is_some_and(|mask| mask & 0b10 != 0)
}

#[test]
fn a_script_gets_the_objects_of_the_api() {
    let mut served = Served::logged_in();
    let mut keys = String::new();
    for (call, input, status) in [
        ("connector create Share fileshare --set access=directory --set path=DIR/share", "", 0),
        ("connector list", "", 0),
        ("connector kinds", "", 0),
        ("connector test Share", "", 0),
        ("settings set --file-share Share", "", 0),
        ("os list", "", 0),
        ("os import Windows 1 --disk none.raw --wait", "", 7),
        ("task list", "", 0),
        ("os import Windows 1 --disk none.raw", "", 0),
        ("os import Windows '' --disk none.raw", "", 1),
        ("os show Nothing", "", 4),
        ("user create ada", "", 0),
        ("user delete ada --yes", "", 0),
        ("token list", "", 0),
        ("token create ci --password-stdin", PASSWORD, 0),
        ("audit --limit 3", "", 0),
        ("app list --state sleeping", "", 2),
    ] {
        let answer = served.run_with(&format!("{call} --json"), input, status);
        keys.push_str(&format!("$ lamina {call} --json\n"));
        if status == 2 {
            assert_eq!(answer.stdout, "", "{call}");
        } else {
            assert_eq!(answer.stdout.lines().count(), 1, "{call}: {}", answer.stdout);
            describe("", &[&answer.json()], &mut keys);
        }
        keys.push_str(&format!("(exit {status})\n\n"));
    }
    assert_snapshot("remote-json-keys.txt", &keys);
}

#[test]
fn every_shell_gets_a_script_with_every_command() {
    for shell in ["bash", "zsh", "fish"] {
        let script = lamina(&format!("completions {shell}")).ok().stdout;
        for word in ["template", "update-assignments", "password-stdin"] {
            assert!(script.contains(word), "{shell}: {word}");
        }
    }
    lamina("completions tcsh").usage();
}
