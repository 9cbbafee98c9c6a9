//! Tests of this executable: on which database and platform, or why not.

use crate::bench::disk::can_format;
use crate::world::{Base, World};
use libtest_mimic::Trial;

/// A test on a world of its own for each base.
pub(crate) fn on<F, T>(bases: &[Base], name: &str, test: T) -> Vec<Trial>
where
    F: Future<Output = ()>,
    T: Fn(World) -> F + Clone + Send + 'static,
{
    let trial = |base: &Base| {
        let (base, test) = (*base, test.clone());
        let full = format!("{name}::{}", base.name());
        let named = full.clone();
        Trial::test(full, move || {
            run(async {
                if !can_format() {
                    println!("SKIPPED {named}: mkntfs is not installed");
                    return;
                }
                match World::open(base).await {
                    Ok(world) => test(world).await,
                    Err(reason) => println!("SKIPPED {named}: {reason}"),
                }
            });
            Ok(())
        })
    };
    bases.iter().map(trial).collect()
}

/// Status of a process that cannot do here what it is for.
pub(crate) const IMPOSSIBLE: u8 = 77;

/// Runs to its end what a test does.
pub(crate) fn run(test: impl Future<Output = ()>) {
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .unwrap()
        .block_on(test);
}
