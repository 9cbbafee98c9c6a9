//! A store that fills up in the middle of a task, in a file system of its own that is too small.

use crate::bench::disk::{Disk, Part};
use crate::bench::edit::noise;
use crate::snapshot::assert_same;
use crate::world::{Base, World, id};
use libtest_mimic::Trial;
use std::path::Path;
use std::process::{Command, ExitCode};

/// Bytes of the disk that does not fit.
const LARGE: usize = 40 << 20;

pub(crate) fn trials() -> Vec<Trial> {
    const NAME: &str = "a_store_that_fills_up_fails_one_task_and_has_room_again";
    vec![Trial::test(NAME, || {
        if !crate::bench::disk::can_format() {
            println!("SKIPPED {NAME}: mkntfs is not installed");
            return Ok(());
        }
        // A user may mount a file system of a few bytes where only this process sees it.
        let mut small = Command::new("unshare");
        small.args(["--map-root-user", "--mount"]).arg(std::env::current_exe()?);
        match small.arg("small").output() {
            Ok(output) if output.status.success() => Ok(()),
            Ok(output)
                if output.status.code() == Some(i32::from(crate::trial::IMPOSSIBLE))
                    || !ran(&output.stdout) =>
            {
                let said = String::from_utf8_lossy(&output.stderr);
                println!("SKIPPED {NAME}: nothing can be mounted here: {}", said.trim());
                Ok(())
            }
            Ok(output) => {
                let said = [output.stdout, output.stderr].concat();
                Err(String::from_utf8_lossy(&said).into_owned().into())
            }
            Err(error) => {
                println!("SKIPPED {NAME}: unshare cannot be started: {error}");
                Ok(())
            }
        }
    })]
}

/// Whether the process came as far as to be this program.
fn ran(stdout: &[u8]) -> bool {
    stdout.starts_with(HELLO.as_bytes())
}

const HELLO: &str = "in a name space of its own\n";

/// Mounts a file system of so many MiB there, or makes the one there so large.
fn mount(at: &Path, mib: u64, more: &str) -> bool {
    let options = format!("{more}size={mib}m");
    let status = Command::new("mount").args(["-t", "tmpfs", "-o", &options, "lamina"]).arg(at).status();
    status.is_ok_and(|status| status.success())
}

/// The test, in a name space in which this process may mount.
pub(crate) fn small() -> ExitCode {
    print!("{HELLO}");
    let room = tempfile::tempdir().unwrap();
    if !mount(room.path(), 32, "") {
        return ExitCode::from(crate::trial::IMPOSSIBLE);
    }
    crate::trial::run(fills_up(room.path()));
    ExitCode::SUCCESS
}

async fn fills_up(room: &Path) {
    let world = World::with(Base::Sqlite, None, |config| config.directory = room.join("lamina")).await;
    world.os().await;
    let disk = Disk::create(world.place.join("large.raw"), &[Part::Ntfs(64)]);
    disk.edit(|volume| {
        volume.file("\\large.bin", noise(LARGE, 1));
    });
    let before = world.snapshot().await;
    let made = world.import("Large", "large.raw").await;
    let failed = world.ends(&id(&made, "task_id"), "failed").await;
    assert_eq!(failed["failure"]["code"], "store-full", "{failed:#}");
    assert!(failed["failure"]["hint"].is_string(), "{failed:#}");
    assert_same(&before, &world.snapshot().await, "a store that fills up");
    assert!(mount(room, 128, "remount,"));
    let made = world.import("Large", "large.raw").await;
    world.ends(&id(&made, "task_id"), "done").await;
    assert_eq!(world.state(&made).await, "deployable");
    world.assert_tidy("a store that has room again").await;
}
