//! What the "Test" of a file share tries, in order; the first failure skips the rest.

use super::share::{Access, Opening, Share, SharePath};
use crate::connector::{Outcome, Trial};
use crate::error::{Error, Result};
use crate::key::OperationKey;
use operation::{Explain, Failure};

const NAMES: [(&str, &str); 4] = [
    ("open", "Reach the share with these credentials"),
    ("list", "List what is in it"),
    ("write", "Write a file, read it back, rename and delete it"),
    ("room", "Find out how much can still be written"),
];

/// Tries everything. What is made on the share is removed.
pub(super) async fn run(access: &dyn Access) -> Vec<Trial> {
    let mut trials = Vec::new();
    let opened = access.open().await;
    let reached = opened.as_ref().map(|_| format!("{} was reached", access.place()));
    note(&mut trials, reached.map_err(explained));
    if let Ok(share) = opened {
        let mut count = 0_u64;
        let listed = share.list(None, &mut |_| count += 1).await;
        if note(&mut trials, listed.map(|()| format!("{count} entries")).map_err(|error| explained(&error)))
            && note(&mut trials, write(&*share, access.place()).await.map_err(|error| explained(&error)))
        {
            let room = share.free().await.map(|bytes| format!("{} MiB are free", bytes >> 20));
            note(&mut trials, room.map_err(|error| explained(&error)));
        }
        share.leave().await;
    }
    for (name, tried) in &NAMES[trials.len()..] {
        let (tried, detail) = ((*tried).to_owned(), "something before it failed".to_owned());
        trials.push(Trial { name, tried, outcome: Outcome::Skipped, detail, hint: None });
    }
    trials
}

fn explained(error: &Error) -> Failure {
    Failure::new(error as &dyn Explain)
}

/// Writes down what came of the next trial; says whether it passed.
fn note(trials: &mut Vec<Trial>, outcome: std::result::Result<String, Failure>) -> bool {
    let (name, tried) = NAMES[trials.len()];
    let passed = outcome.is_ok();
    let (outcome, detail, hint) = match outcome {
        Ok(detail) => (Outcome::Passed, detail, None),
        Err(failure) => (Outcome::Failed, failure.message, failure.hint),
    };
    trials.push(Trial { name, tried: tried.to_owned(), outcome, detail, hint });
    passed
}

async fn write(share: &dyn Share, place: &str) -> Result<String> {
    let key: OperationKey = format!("test-{}", uuid::Uuid::new_v4())
        .parse()
        .expect("a UUID is written in lower-case hexadecimal");
    let folder = SharePath::own_folder(&key);
    let (first, second) = (folder.join("first"), folder.join("second"));
    let tried = write_in(share, place, &folder, &first, &second).await;
    // Also after a failure, as far as it goes.
    let removed = async {
        share.remove(&first).await?;
        share.remove(&second).await?;
        share.remove_folder(&folder).await
    };
    let removed = removed.await;
    tried?;
    removed?;
    Ok("it can be written".to_owned())
}

async fn write_in(
    share: &dyn Share,
    place: &str,
    folder: &SharePath,
    first: &SharePath,
    second: &SharePath,
) -> Result<()> {
    const TEXT: &[u8] = b"written by Lamina to see whether it can write here";
    share.make_hidden_folder(folder).await?;
    let sink = share.write(first, Opening::New).await?;
    sink.set_len(TEXT.len() as u64).await?;
    sink.write(0, TEXT.to_vec()).await?;
    sink.flush().await?;
    sink.close().await?;
    share.rename_new(first, second).await?;
    let (source, stamp) = share.read(second).await?;
    let read = source.read(0, stamp.bytes.min(TEXT.len() as u64) as usize).await;
    source.close().await?;
    if read? != TEXT {
        let (place, doing) = (place.to_owned(), "reading back what was written".to_owned());
        return Err(Error::Answer { place, doing, reason: "other bytes came back".to_owned() });
    }
    Ok(())
}
