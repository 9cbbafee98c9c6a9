//! Icons.

use crate::rig::{Answer, Rig, on_both_databases};
use reqwest::Method;
use serde_json::{Value, json};
use server::db::Statement;
use server::domain::icon::BUILT_IN;
use std::io::Cursor;

on_both_databases! {
    the_program_brings_icons_that_stay_as_they_are;
    a_picture_is_uploaded_looked_at_renamed_and_removed;
    a_file_that_is_no_picture_is_refused_with_its_reason;
    an_icon_that_is_used_stays;
    who_manages_anything_may_upload_and_everybody_may_look;
}

/// A picture with these sides.
pub(crate) fn picture(width: u32, height: u32, format: image::ImageFormat) -> Vec<u8> {
    let mut file = Cursor::new(Vec::new());
    image::DynamicImage::new_rgb8(width, height).write_to(&mut file, format).unwrap();
    file.into_inner()
}

pub(crate) fn png() -> Vec<u8> {
    picture(300, 200, image::ImageFormat::Png)
}

async fn the_program_brings_icons_that_stay_as_they_are(mut rig: Rig) {
    rig.become_administrator().await;
    let icons = rig.get("/icons?built_in=true&limit=200").await.ok();
    assert_eq!(icons.body["items"].as_array().unwrap().len(), BUILT_IN.len());
    for icon in BUILT_IN {
        let path = format!("/icons/{}", icon.id);
        let answer = rig.client.get(rig.url(&format!("{path}/image"))).send().await.unwrap();
        assert_eq!(answer.headers()["content-type"], "image/svg+xml");
        assert!(answer.headers()["content-security-policy"].to_str().unwrap().contains("default-src 'none'"));
        assert_eq!(answer.text().await.unwrap(), icon.svg);
        let any = [("if-match", "*")];
        rig.ask_with(Method::PATCH, &path, json!({ "name": "Mine" }), &any)
            .await
            .refused(409, "icon-built-in");
        rig.ask_with(Method::DELETE, &path, Value::Null, &any).await.refused(409, "icon-built-in");
    }

    // An older program drew one differently, lacked another, and somebody took the name of that.
    let [first, second] = [BUILT_IN[0], BUILT_IN[1]].map(|icon| icon.id.to_string());
    let change = "UPDATE icons SET bytes = $2 WHERE id = $1";
    let old = Statement::new(change).bind(first.as_str()).bind(b"<svg/>".to_vec());
    assert_eq!(rig.app.db().execute(old).await.unwrap(), 1);
    let gone = Statement::new("DELETE FROM icons WHERE id = $1").bind(second.as_str());
    assert_eq!(rig.app.db().execute(gone).await.unwrap(), 1);
    rig.upload("/icons?name=PLATFORM%20layer", "image/png", png()).await.created();
    rig.restart().await;
    rig.log_in().await;
    let icons = rig.get("/icons?built_in=true&limit=200").await.ok();
    assert_eq!(icons.body["items"].as_array().unwrap().len(), BUILT_IN.len());
    let drawn = rig.client.get(rig.url(&format!("/icons/{first}/image"))).send().await.unwrap();
    assert_eq!(drawn.text().await.unwrap(), BUILT_IN[0].svg);
    assert_eq!(rig.get(&format!("/icons/{second}")).await.ok().body["name"], "Platform layer (2)");
}

async fn a_picture_is_uploaded_looked_at_renamed_and_removed(rig: Rig) {
    rig.become_administrator().await;
    let made = rig.upload("/icons?name=%20Painter%20", "image/png", png()).await.created();
    assert_eq!(made.body["name"], "Painter");
    assert_eq!(made.body["built_in"], false);
    let path = format!("/icons/{}", made.body["id"].as_str().unwrap());
    assert_eq!(made.headers["location"].to_str().unwrap(), format!("/api/v1{path}"));

    let ask = async |known: &str| {
        let url = rig.url(&format!("{path}/image"));
        rig.client.get(url).header("if-none-match", known).send().await.unwrap()
    };
    let shown = ask("\"another\"").await;
    assert_eq!(shown.headers()["content-type"], "image/png");
    assert_eq!(shown.headers()["x-content-type-options"], "nosniff");
    assert_eq!(shown.headers()["cache-control"], "private, max-age=604800");
    let tag = shown.headers()["etag"].to_str().unwrap().to_owned();
    let bytes = shown.bytes().await.unwrap();
    let image = image::load_from_memory_with_format(&bytes, image::ImageFormat::Png).unwrap();
    assert_eq!((image.width(), image.height()), (256, 171));
    for known in [tag.clone(), format!("W/{tag}"), format!("\"x\", {tag}"), "*".to_owned()] {
        let same = ask(&known).await;
        assert_eq!((same.status().as_u16(), same.headers()["etag"].to_str().unwrap()), (304, tag.as_str()));
        assert!(same.bytes().await.unwrap().is_empty());
    }

    let jpeg = picture(10, 10, image::ImageFormat::Jpeg);
    rig.upload("/icons?name=painter", "image/jpeg", jpeg.clone())
        .await
        .refused(422, "invalid")
        .field("name", "name-taken");
    rig.upload("/icons?name=Other", "image/jpeg", jpeg).await.created();
    let tag = made.etag.unwrap();
    let name = |name: &str| json!({ "name": name });
    rig.ask_with(Method::PATCH, &path, name("OTHER"), &[("if-match", &tag)])
        .await
        .refused(422, "invalid")
        .field("name", "name-taken");
    let renamed = rig.ask_with(Method::PATCH, &path, name("PAINTER"), &[("if-match", &tag)]).await.ok();
    assert_eq!(renamed.body["name"], "PAINTER");
    rig.ask_with(Method::PATCH, &path, name("x"), &[("if-match", &tag)])
        .await
        .refused(412, "changed-meanwhile");
    rig.ask_with(Method::DELETE, &path, Value::Null, &[("if-match", &renamed.etag.unwrap())]).await.ok();
    rig.get(&format!("{path}/image")).await.refused(404, "not-found");

    // Sent again with its key, it is made once; another picture under the key is another request.
    let again = async |file: Vec<u8>| {
        let request = rig.client.post(rig.url("/icons?name=Once")).header("content-type", "image/png");
        Answer::of(request.header("idempotency-key", "k").body(file).send().await.unwrap()).await
    };
    let first = again(png()).await.created();
    assert_eq!(again(png()).await.created().body["id"], first.body["id"]);
    let other = picture(5, 5, image::ImageFormat::Png);
    again(other).await.refused(409, "idempotency-key-reused");
}

async fn a_file_that_is_no_picture_is_refused_with_its_reason(rig: Rig) {
    rig.become_administrator().await;
    let upload =
        async |kind: &'static str, file: &[u8]| rig.upload("/icons?name=Bad", kind, file.to_vec()).await;
    let svg = b"<svg xmlns='http://www.w3.org/2000/svg'><script>alert(1)</script></svg>";
    upload("image/svg+xml", svg).await.refused(415, "icon-type");
    upload("application/json", b"{}").await.refused(415, "icon-type");
    upload("image/png", svg).await.refused(422, "icon-no-image");
    upload("image/png", b"").await.refused(422, "icon-no-image");
    upload("image/jpeg", &png()).await.refused(422, "icon-type-mismatch");
    let whole = png();
    upload("image/png", &whole[..whole.len() / 2]).await.refused(422, "icon-unreadable");
    // Sides that are too long in a file of a few hundred bytes.
    let wide = picture(1025, 2, image::ImageFormat::Png);
    upload("image/png", &wide).await.refused(422, "icon-too-many-pixels");
    let mut padded = png();
    padded.resize(1024 * 1024 + 1, 0);
    upload("image/png", &padded).await.refused(413, "icon-too-large");
    rig.upload("/icons", "image/png", png()).await.refused(422, "query");
    rig.upload("/icons?name=a%2Fb", "image/png", png())
        .await
        .refused(422, "invalid")
        .field("name", "name-character");
    let icons = rig.get("/icons?built_in=false").await.ok();
    assert_eq!(icons.body["items"], json!([]), "nothing was made");
}

async fn an_icon_that_is_used_stays(rig: Rig) {
    rig.become_administrator().await;
    let made = rig.upload("/icons?name=Used", "image/png", png()).await.created();
    let id = made.body["id"].as_str().unwrap();
    let layer = Statement::new(
        "INSERT INTO layers (id, kind, name, name_key, description, icon_id, priority, store_name, store_key, \
         created_at, revision) VALUES ('l1', 'os', 'Windows 11', 'windows 11', '', $1, 0, 'w', 'w', 0, 1)",
    );
    rig.app.db().execute(layer.bind(id)).await.unwrap();
    let path = format!("/icons/{id}");
    let refused =
        rig.ask_with(Method::DELETE, &path, Value::Null, &[("if-match", "*")]).await.refused(409, "in-use");
    let message = refused.body["message"].as_str().unwrap();
    assert_eq!(message, "The icon Used is used by the os layer Windows 11.");
    rig.app.db().execute(Statement::new("DELETE FROM layers")).await.unwrap();
    rig.ask_with(Method::DELETE, &path, Value::Null, &[("if-match", "*")]).await.ok();
}

async fn who_manages_anything_may_upload_and_everybody_may_look(rig: Rig) {
    rig.become_administrator().await;
    let (editor, reader) =
        (rig.user("editor", &["manage-app-layers"]).await, rig.user("reader", &["read-only"]).await);
    let post = async |client: &reqwest::Client, name: &str| {
        let request =
            client.post(rig.url(&format!("/icons?name={name}"))).header("content-type", "image/png");
        Answer::of(request.body(png()).send().await.unwrap()).await
    };
    let made = post(&editor, "one").await.created();
    post(&reader, "two").await.refused(403, "forbidden");
    let path = format!("/icons/{}/image", made.body["id"].as_str().unwrap());
    assert!(reader.get(rig.url(&path)).send().await.unwrap().status().is_success());
    let stranger = rig.stranger().get(rig.url(&path)).send().await.unwrap();
    assert_eq!(stranger.status().as_u16(), 401);
}
