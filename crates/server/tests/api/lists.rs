//! Lists by page.

use crate::rig::{Rig, on_both_databases};
use reqwest::Method;
use serde_json::{Value, json};

on_both_databases! {
    every_item_comes_once_whatever_the_page_and_order;
    a_page_stays_right_while_items_come_and_go;
    a_cursor_or_order_of_another_list_is_refused;
    a_search_takes_its_text_as_it_is;
}

async fn make(rig: &Rig, names: impl IntoIterator<Item = String>) {
    for name in names {
        rig.ask(Method::POST, "/groups", json!({ "name": name })).await.created();
    }
}

async fn names(rig: &Rig, query: &str) -> Vec<String> {
    let mut found = Vec::new();
    let mut cursor = String::new();
    loop {
        let page = rig.get(&format!("/groups?{query}{cursor}")).await.ok();
        found.extend(
            page.body["items"].as_array().unwrap().iter().map(|i| i["name"].as_str().unwrap().to_owned()),
        );
        let Some(next) = page.body["next"].as_str() else { return found };
        assert!(found.len() < 1000, "the list ends");
        cursor = format!("&cursor={next}");
    }
}

async fn every_item_comes_once_whatever_the_page_and_order(rig: Rig) {
    rig.become_administrator().await;
    let all: Vec<String> = (0..23)
        .map(|number| format!("Group {:02} {}", number * 7 % 23, "äÄzZ_%".chars().nth(number % 6).unwrap()))
        .collect();
    make(&rig, all.clone()).await;
    let mut by_name = all.clone();
    by_name.sort_by_key(|name| name.to_lowercase());
    for limit in [1, 2, 7, 22, 23, 24, 200] {
        assert_eq!(names(&rig, &format!("limit={limit}")).await, by_name);
        assert_eq!(names(&rig, &format!("limit={limit}&sort=created_at")).await, all);
    }
    let mut descending = by_name.clone();
    descending.reverse();
    assert_eq!(names(&rig, "limit=5&sort=-name").await, descending);
}

async fn a_page_stays_right_while_items_come_and_go(rig: Rig) {
    rig.become_administrator().await;
    make(&rig, ["b", "d", "f", "h"].map(str::to_owned)).await;
    let page = rig.get("/groups?limit=2").await.ok();
    let next = page.body["next"].as_str().unwrap();
    make(&rig, ["a", "e"].map(str::to_owned)).await;
    let gone = format!("/groups/{}", page.body["items"][1]["id"].as_str().unwrap());
    rig.ask_with(Method::DELETE, &gone, Value::Null, &[("if-match", "*")]).await.ok();
    let rest = rig.get(&format!("/groups?limit=10&cursor={next}")).await.ok();
    let rest: Vec<&Value> = rest.body["items"].as_array().unwrap().iter().map(|item| &item["name"]).collect();
    assert_eq!(rest, ["e", "f", "h"]);
}

async fn a_cursor_or_order_of_another_list_is_refused(rig: Rig) {
    rig.become_administrator().await;
    make(&rig, ["a", "b"].map(str::to_owned)).await;
    let page = rig.get("/groups?limit=1").await.ok();
    let cursor = page.body["next"].as_str().unwrap();
    for query in ["sort=-name", "sort=created_at"] {
        let path = format!("/groups?{query}&cursor={cursor}");
        rig.get(&path).await.refused(422, "invalid").field("cursor", "cursor-unreadable");
    }
    for cursor in ["x", "e30", "", "%01", "eyJzIjoibmFtZSIsIm4iOjEsImkiOiJ4In0"] {
        rig.get(&format!("/groups?cursor={cursor}"))
            .await
            .refused(422, "invalid")
            .field("cursor", "cursor-unreadable");
    }
    rig.get("/groups?sort=password_hash").await.refused(422, "invalid").field("sort", "sort-unknown");
    rig.get("/groups?limit=0").await.refused(422, "invalid").field("limit", "limit-range");
    rig.get("/groups?limit=201").await.refused(422, "invalid").field("limit", "limit-range");
    rig.get("/groups?limit=-1").await.refused(422, "query");
    rig.get("/groups?colour=red").await.refused(422, "query");
}

async fn a_search_takes_its_text_as_it_is(rig: Rig) {
    rig.become_administrator().await;
    make(&rig, ["100% sure", "1000 sure", "a_b", "axb", "wow!", "Ärger"].map(str::to_owned)).await;
    assert_eq!(names(&rig, "search=100%25").await, ["100% sure"]);
    assert_eq!(names(&rig, "search=A_B").await, ["a_b"]);
    assert_eq!(names(&rig, "search=!").await, ["wow!"]);
    assert_eq!(names(&rig, "search=%C3%A4R").await, ["Ärger"]);
    assert_eq!(names(&rig, "search=';DROP TABLE groups;--").await, [""; 0]);
}
