//! The names of images that are published again and again.

use crate::cases::publishable;
use crate::trial::on;
use crate::world::{BOTH, World, id};
use libtest_mimic::Trial;
use reqwest::Method;
use serde_json::{Value, json};

pub(crate) fn trials() -> Vec<Trial> {
    on(&BOTH, "publishing_again_gets_a_new_name_and_tells_what_was_published", again)
}

async fn publish(world: &World, templates: Value) -> Vec<String> {
    let begun = world.ask(Method::POST, "/publish", json!({ "templates": templates })).await;
    begun["tasks"].as_array().unwrap().iter().map(|task| id(task, "task_id")).collect()
}

async fn again(world: World) {
    let template = publishable(&world).await;
    let one = json!({ "template_id": template["id"] });
    // Twice at once, and a third time when both are there.
    for wanted in [json!([one, one]), json!([one])] {
        for task in publish(&world, wanted).await {
            world.ends(&task, "done").await;
        }
    }
    for name in ["Desk-r1.img", "Desk-r1-2.img", "Desk-r1-3.img"] {
        assert!(world.place.join(name).exists(), "{name} is there");
    }
    let images = world.get("/images").await;
    let image = world.get(&format!("/images/{}", id(&images["items"][0], "id"))).await;
    let provenance = &image["provenance"];
    assert_eq!(provenance["disk"], "Desk-r1-3.img", "{provenance:#}");
    assert_eq!(provenance["engine"], layering::ENGINE);
    assert_eq!(provenance["bytes"], 18 << 20);
    assert_eq!(provenance["format"], "raw");
    assert_eq!(provenance["recovery"], "refuse");
    assert_eq!(provenance["override_reason"], Value::Null);
    assert_eq!(provenance["published_by"], "admin");
    assert_eq!(provenance["published_at"], image["image"]["created_at"]);
    assert_eq!(provenance["template"]["revision"], 1);
    let layers = provenance["layers"].as_array().unwrap();
    assert!(layers.iter().all(|layer| layer["digest"].is_string() && layer["layer_id"].is_string()));
    assert_eq!(layers[1]["reference"], "app:Office@1");
    assert!(layers[1]["priority"].is_number(), "{provenance:#}");

    // The same was made of the same.
    let (first, last) = (id(&images["items"][2], "id"), id(&images["items"][0], "id"));
    let found = world.get(&format!("/images/{first}/diff?to={last}")).await;
    let none = json!({ "fields": [], "layers_added": [], "layers_changed": [], "layers_removed": [] });
    assert_eq!(found, none);

    // A name that somebody gives is that name, and a task that cannot have it ends before it begins to compose.
    let named = json!([{ "template_id": template["id"], "disk": "Desk-r1.img" }]);
    let tasks = publish(&world, named).await;
    let task = world.ends(&tasks[0], "failed").await;
    assert_eq!(task["failure"]["code"], "disk-name-taken", "{task:#}");
    assert_eq!(task["subtasks"][1]["state"], "waiting", "{task:#}");
}
