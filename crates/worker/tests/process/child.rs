//! The child: jobs whose reference begins with `fault:` do what they name, all others are the engine's.

use disk::format::CONVERTER_FORBIDDEN;
use layering::report::ListReport;
use operation::{Failure, Progress, Unit};
use rustix::process::{Pid, Signal, kill_process};
use std::fs::{self, File, OpenOptions};
use std::hint::black_box;
use std::io::{self, ErrorKind};
use std::net::{TcpListener, TcpStream, UdpSocket};
use std::os::unix::net::{UnixListener, UnixStream};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};
use worker::{Job, Outcome};

/// Bytes that are allocated at a time.
const PIECE: usize = 1 << 20;

pub(crate) fn faulty(store: &Path, job: Job, progress: &dyn Progress) -> Result<Outcome, Failure> {
    let text = match &job {
        Job::Show { reference } => reference.strip_prefix("fault:"),
        _ => None,
    };
    let Some(text) = text else { return worker::run(store, job, progress) };
    let (name, rest) = text.split_once(' ').unwrap_or((text, ""));
    match name {
        // The panic has to pass the engine's boundary, as one of the engine's would.
        "panic" => return worker::run(store, Job::Check { read_data: false }, &Panicking),
        "probe" => return Err(answer(probe(rest, store))),
        _ => {}
    }
    progress.step("Going wrong", None, Unit::Items);
    commit(name, rest, progress)
}

/// Does what a fault asks for.
fn commit(name: &str, rest: &str, progress: &dyn Progress) -> Result<Outcome, Failure> {
    let endless = || -> ! {
        loop {
            std::thread::sleep(Duration::from_secs(1));
        }
    };
    match name {
        "abort" => {
            eprintln!("the last \x1b[31mwords");
            std::process::abort()
        }
        "overflow" => {
            println!("{}", deeper(1));
            Ok(nothing())
        }
        "exit" => std::process::exit(3),
        "kill" => {
            kill_process(rustix::process::getpid(), Signal::KILL).unwrap();
            endless()
        }
        "memory" => {
            let pieces = rest.parse().unwrap();
            let held: Vec<Vec<u8>> = (0..pieces).map(|piece| vec![piece as u8 | 1; PIECE]).collect();
            Err(failure("held", &black_box(held).len().to_string()))
        }
        "loop" => loop {
            black_box(());
        },
        "read" => {
            let until = Instant::now() + Duration::from_secs(rest.parse().unwrap());
            while Instant::now() < until {
                fs::read("/proc/self/stat").unwrap();
                std::thread::sleep(Duration::from_millis(50));
            }
            Err(failure("read", ""))
        }
        "print" => {
            println!("{{\"advance\":1}}\nthis is on standard output");
            Err(failure("printed", ""))
        }
        "progress" => {
            progress.step("Many", Some(1_000_000), Unit::Bytes);
            (0..1_000_000).for_each(|_| progress.advance(1));
            progress.step("Few", None, Unit::Items);
            progress.advance(7);
            Err(failure("told", ""))
        }
        "wait" => {
            progress.step(&format!("pid {}", std::process::id()), None, Unit::Items);
            endless()
        }
        "part" => {
            let part =
                format!("{}1{}", disk::format::part_prefix(std::process::id()), disk::format::PART_SUFFIX);
            fs::write(Path::new(rest).join(part), "half").unwrap();
            progress.step("Half", None, Unit::Items);
            endless()
        }
        "convert" => {
            // Like the reader of images, it wants the program in a process group of its own.
            let mut command = Command::new("qemu-img");
            command.args(["bench", "-f", "raw", "-c", "1000000000", rest]).process_group(0);
            match command.stdin(Stdio::null()).stdout(Stdio::null()).spawn() {
                Err(error) if error.kind() == ErrorKind::PermissionDenied => {
                    Err(failure(CONVERTER_FORBIDDEN, ""))
                }
                started => {
                    progress.step(&format!("pid {}", started.unwrap().id()), None, Unit::Items);
                    commit("wait", "", progress)
                }
            }
        }
        "converter" => match Command::new("qemu-img").arg("--version").stdin(Stdio::null()).output() {
            Err(error) if error.kind() == ErrorKind::PermissionDenied => {
                Err(failure(CONVERTER_FORBIDDEN, ""))
            }
            Err(error) => Err(failure("denied", &error.to_string())),
            Ok(output) => {
                progress.step(&String::from_utf8_lossy(&output.stdout), None, Unit::Items);
                Err(answer(probe(rest, Path::new("/"))))
            }
        },
        "long" => Err(failure("long", &"x".repeat(2 << 20))),
        _ => panic!("no such fault: {name}"),
    }
}

/// Tries something that a confined process should not be able to do.
fn probe(text: &str, store: &Path) -> io::Result<()> {
    let (name, rest) = text.split_once(' ').unwrap_or((text, ""));
    match name {
        "read" => File::open(rest).map(drop),
        "list" => fs::read_dir(rest).map(drop),
        "write" => OpenOptions::new().write(true).create(true).truncate(false).open(rest).map(drop),
        "remove" => fs::remove_file(rest),
        "rename" => fs::rename(store.join("lamina-store"), rest),
        "link" => fs::hard_link(rest, store.join("linked")),
        "symlink" => std::os::unix::fs::symlink(rest, store.join("symlink")),
        "tcp-connect" => TcpStream::connect("127.0.0.1:9").map(drop),
        "tcp-listen" => TcpListener::bind("127.0.0.1:0").map(drop),
        "udp" => UdpSocket::bind("127.0.0.1:0").map(drop),
        "unix-pair" => UnixStream::pair().map(drop),
        "unix-listen" => UnixListener::bind(store.join("socket")).map(drop),
        "netlink" => {
            use rustix::net::{AddressFamily, SocketType, socket};
            Ok(socket(AddressFamily::NETLINK, SocketType::RAW, None).map(drop)?)
        }
        "exec" => Command::new(rest).stdin(Stdio::null()).status().map(drop),
        "become" => Err(Command::new(rest).exec()),
        "signal" => {
            let other = rest.parse().ok().and_then(Pid::from_raw).unwrap();
            Ok(kill_process(other, Signal::CONT)?)
        }
        "session" => Ok(rustix::process::setsid().map(drop)?),
        "mount" => {
            use rustix::mount::{MountFlags, mount};
            Ok(mount("none", store, "tmpfs", MountFlags::empty(), None)?)
        }
        "chroot" => Ok(rustix::process::chroot(store)?),
        "hostname" => Ok(rustix::system::sethostname(b"elsewhere")?),
        "memfd" => {
            use rustix::fs::{MemfdFlags, memfd_create};
            Ok(memfd_create("program", MemfdFlags::empty()).map(drop)?)
        }
        "limit" => {
            use rustix::process::{Resource, Rlimit, setrlimit};
            Ok(setrlimit(Resource::Data, Rlimit { current: None, maximum: None })?)
        }
        "orphan" => Ok(rustix::process::set_parent_process_death_signal(None)?),
        "thread" => std::thread::Builder::new().spawn(|| ()).map(|thread| thread.join().unwrap()),
        _ => panic!("no such probe: {name}"),
    }
}

/// What a probe found, as a failure: `allowed`, or `denied` and how.
fn answer(probed: io::Result<()>) -> Failure {
    match probed {
        Ok(()) => failure("allowed", ""),
        Err(error) if error.kind() == ErrorKind::PermissionDenied => failure("denied", &error.to_string()),
        Err(error) => failure("otherwise", &error.to_string()),
    }
}

fn failure(code: &str, message: &str) -> Failure {
    Failure { code: code.to_owned(), message: message.to_owned(), hint: None }
}

/// An outcome, for faults that never come to it.
fn nothing() -> Outcome {
    Outcome::List(ListReport { entries: Vec::new() })
}

/// Uses up the stack.
#[allow(unconditional_recursion, reason = "that is the fault")]
fn deeper(depth: u64) -> u64 {
    let frame = black_box([depth; 512]);
    deeper(depth + 1) + black_box(frame)[0]
}

/// Panics within whatever reports to it.
pub(crate) struct Panicking;

impl Progress for Panicking {
    fn step(&self, _name: &str, _total: Option<u64>, _unit: Unit) {
        panic!("cluster 7 of 5");
    }

    fn advance(&self, _amount: u64) {
        panic!("cluster 7 of 5");
    }

    fn cancelled(&self) -> bool {
        panic!("cluster 7 of 5");
    }
}
