//! The directory of a server with an embedded database is one server's.

use crate::trial::on;
use crate::world::{Base, World};
use libtest_mimic::Trial;
use operation::Explain;
use server::{ServeError, Server};

pub(crate) fn trials() -> Vec<Trial> {
    on(&[Base::Sqlite], "a_second_server_on_the_same_directory_is_refused", is_refused)
}

async fn is_refused(mut world: World) {
    let refused = Server::start(&world.config).await.unwrap_err();
    assert!(matches!(refused, ServeError::InUse { .. }), "{refused}");
    assert_eq!(refused.code(), "server-directory-in-use");
    assert!(refused.to_string().contains(&world.config.directory.display().to_string()), "{refused}");
    assert!(refused.hint().is_some());
    world.get("/tasks").await; // the first one goes on
    world.stop().await;
    world.start().await;
    world.get("/tasks").await;
}
