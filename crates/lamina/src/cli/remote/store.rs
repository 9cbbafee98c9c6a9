//! `lamina store`

use super::waiting::WaitArgs;
use super::{Context, Done, Run};
use clap::{Args, Subcommand};

#[derive(Subcommand)]
pub(in crate::cli) enum Command {
    CollectGarbage(CollectGarbageArgs),
}

/// Give back the room of what nothing in the store uses
#[derive(Args)]
pub(in crate::cli) struct CollectGarbageArgs {
    #[command(flatten)]
    wait: WaitArgs,
}

impl Run for Command {
    async fn run(self, context: &Context) -> Done {
        let Command::CollectGarbage(args) = self;
        let started =
            context.api.collect_garbage().idempotency_key(client::once()).send().await?.into_inner();
        context.task_begun(&started, &started.task_id, &args.wait).await
    }
}
