//! Who may do what: every operation, asked by every role.

use crate::document::operations;
use crate::fixture::{self, Shop};
use crate::icons::png;
use crate::layer_folders::hollow_layout;
use crate::places::{configuration, simulated};
use crate::rig::{PASSWORD, Rig, on_both_databases};
use crate::workshop::file_share;
use reqwest::Method;
use serde_json::{Value, json};
use server::domain::action::ActionKind;
use server::domain::role::Permission;
use server::domain::{Action, Role, Roles};
use std::fmt::Write;
use std::path::Path;

on_both_databases! {
    every_operation_answers_every_role_as_the_matrix_says;
    a_change_that_is_done_is_in_the_audit_history;
}

/// The matrix that people read and review: one row for each action, one column for each role.
fn matrix() -> String {
    let mut text = String::new();
    _ = write!(text, "{:24}", "");
    for role in Role::ALL {
        _ = write!(text, " {}", role.as_str());
    }
    text.push('\n');
    for action in Action::ALL {
        _ = write!(text, "{:24}", action.name());
        for role in Role::ALL {
            let mark = if action.allowed(&Roles::from_iter([role])) { "yes" } else { "-" };
            _ = write!(text, " {mark:<width$}", width = role.as_str().len());
        }
        let with_no_role = match action.permission() {
            Permission::Anyone => " and anyone",
            Permission::Own => " and without any role",
            Permission::ManageLayers => " layers of their kind",
            _ => "",
        };
        text = text.trim_end().to_owned() + with_no_role + "\n";
    }
    text
}

#[test]
fn the_committed_matrix_is_the_one_of_the_program() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/api/permissions.txt");
    if std::env::var_os("LAMINA_UPDATE_SNAPSHOTS").is_some() {
        std::fs::write(&path, matrix()).unwrap();
    }
    let committed = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(
        committed == matrix(),
        "who may do what has changed; run with LAMINA_UPDATE_SNAPSHOTS=1 and read the difference:\n{}",
        matrix()
    );
}

fn action(name: &str) -> Option<Action> {
    Action::ALL.iter().copied().find(|action| action.name() == name)
}

/// Asks an operation with an identifier that nothing has and an empty body: enough to get behind the permission.
async fn ask(rig: &Rig, client: &reqwest::Client, method: &str, path: &str) -> (u16, String) {
    let path =
        ["{id}", "{token}", "{session}"].into_iter().fold(path.replace("{number}", "1"), |path, id| {
            path.replace(id, "0190c5f0-0000-7000-8000-000000000000")
        });
    let method: Method = method.to_uppercase().parse().unwrap();
    let answer = rig.ask_as(client, method, &path, json!({}), &[("if-match", "*")]).await;
    (answer.status.as_u16(), answer.body["code"].as_str().unwrap_or_default().to_owned())
}

async fn every_operation_answers_every_role_as_the_matrix_says(rig: Rig) {
    rig.become_administrator().await;
    for role in Role::ALL.into_iter().map(Some).chain([None]) {
        let roles: Vec<&str> = role.into_iter().map(Role::as_str).collect();
        let name = role.map_or("nothing", Role::as_str);
        let client = rig.user(name, &roles).await;
        for (method, path, operation) in operations() {
            let Some(action) = action(&operation) else { continue };
            if matches!(action, Action::LogIn | Action::LogOut) {
                continue; // these end the session that asks
            }
            let (status, code) = ask(&rig, &client, &method, &path).await;
            let allowed = action.allowed(&Roles::from_iter(role));
            assert_eq!(code == "forbidden", !allowed, "{operation} as {name}: {status} {code}");
            assert!(status < 500, "{operation} as {name}: {status} {code}");
            assert_ne!(status, 401, "{operation} as {name}");
        }
    }
    let stranger = rig.stranger();
    for (method, path, operation) in operations() {
        let (status, _) = ask(&rig, &stranger, &method, &path).await;
        let open = action(&operation).is_none_or(|action| action.permission() == Permission::Anyone);
        assert_eq!(status == 401, !open, "{operation} as a stranger: {status}");
    }
}

/// What makes each changing operation on layers, templates and images succeed.
async fn succeed_on_layers(rig: &Rig, operation: &str) -> Option<(Method, String, Value)> {
    let shop = Shop::open(rig, operation).await;
    let template = shop.make(rig, operation).await;
    let path = format!("/templates/{template}");
    let name = format!("{operation} made");
    Some(match operation {
        "update_layer" => (Method::PATCH, format!("/layers/{}", shop.office), json!({ "description": "x" })),
        "update_version" => {
            (Method::PATCH, format!("/versions/{}", shop.office_1), json!({ "description": "x" }))
        }
        "create_template" => (Method::POST, "/templates".into(), shop.template(&name)),
        "update_template" => (Method::PATCH, path, json!({ "description": "x" })),
        "delete_template" => (Method::DELETE, path, Value::Null),
        "clone_template" => (Method::POST, format!("{path}/clone"), json!({ "name": name })),
        "import_template" => {
            let mut file = rig.get(&format!("{path}/export")).await.ok().body;
            file["name"] = json!(name);
            (Method::POST, "/templates/import".into(), file)
        }
        "restore_revision" => (Method::POST, format!("{path}/revisions/1/restore"), Value::Null),
        "add_assignments" => {
            let app = fixture::app(rig, &name, &shop.os, 1).await;
            let version = fixture::version(rig, &app, 1, "deployable", None).await;
            (Method::POST, format!("/versions/{version}/assignments"), json!({ "templates": [template] }))
        }
        "update_assignments" => {
            let version = fixture::version(rig, &shop.office, 2, "deployable", None).await;
            (Method::POST, format!("/versions/{version}/assignments/update"), json!({}))
        }
        "remove_assignments" => {
            let path = format!("/versions/{}/assignments/remove", shop.office_1);
            (Method::POST, path, json!({ "templates": [template] }))
        }
        "create_os_layer" => {
            let disk = json!({ "name": name, "version": "1", "configuration_id": shop.configuration,
                "disk": "os.vhdx" });
            (Method::POST, "/os-layers".into(), disk)
        }
        "create_app_layer" => (Method::POST, "/app-layers".into(), shop.layer(&name)),
        "create_platform_layer" => {
            let mut new = shop.layer(&name);
            new["platform"] = json!({ "purpose": "publishing", "hypervisor": "kvm" });
            (Method::POST, "/platform-layers".into(), new)
        }
        "create_version" => {
            let new = json!({ "version": "2", "packaging": shop.packaging(&name) });
            (Method::POST, format!("/layers/{}/versions", shop.office), new)
        }
        "finalize_version" => {
            let version = fixture::version(rig, &shop.office, 2, "packaging", None).await;
            fixture::packaging(
                rig,
                fixture::Packaging {
                    version: &version,
                    os: &shop.os_1,
                    base: None,
                    platform: None,
                    prerequisites: &[],
                    configuration: &shop.configuration,
                },
            )
            .await;
            (Method::POST, format!("/versions/{version}/finalize"), json!({}))
        }
        "delete_version" => {
            let version = fixture::version(rig, &shop.office, 2, "deployable", None).await;
            (Method::DELETE, format!("/versions/{version}"), Value::Null)
        }
        "publish_templates" => {
            (Method::POST, "/publish".into(), json!({ "templates": [{ "template_id": template }] }))
        }
        "export_layers" => {
            file_share(rig, operation).await;
            let body = json!({ "versions": [shop.office_1], "folder": "layers" });
            (Method::POST, "/layer-exports".into(), body)
        }
        "import_layers" => {
            let share = file_share(rig, operation).await;
            hollow_layout(&share.join("layers"), &format!("{operation}Windows"));
            (Method::POST, "/layer-imports".into(), json!({ "folder": "layers" }))
        }
        "collect_garbage" => (Method::POST, "/store/collect-garbage".into(), Value::Null),
        "stop_task" => {
            let task = fixture::task(rig, "admin").await;
            (Method::POST, format!("/tasks/{task}/stop"), Value::Null)
        }
        "stop_tasks" => (Method::POST, "/tasks/stop".into(), json!({})),
        "delete_image" => {
            let image = fixture::image(rig, &name, &template).await;
            (Method::DELETE, format!("/images/{image}"), Value::Null)
        }
        _ => return None,
    })
}

/// What makes each changing operation succeed. An operation without a case fails the test.
async fn succeed(rig: &Rig, operation: &str) -> Option<(Method, String, Value)> {
    let user = async |name: &str| {
        let made = rig.ask(Method::POST, "/users", json!({ "name": name })).await.created();
        format!("/users/{}", made.body["user"]["id"].as_str().unwrap())
    };
    let group = async |name: &str| {
        let made = rig.ask(Method::POST, "/groups", json!({ "name": name })).await.created();
        format!("/groups/{}", made.body["id"].as_str().unwrap())
    };
    let icon = async |name: &str| {
        let made = rig.upload(&format!("/icons?name={name}"), "image/png", png()).await.created();
        format!("/icons/{}", made.body["id"].as_str().unwrap())
    };
    Some(match operation {
        "log_in" => (Method::POST, "/session".into(), json!({ "name": "admin", "password": PASSWORD })),
        "log_out" => (Method::DELETE, "/session".into(), Value::Null),
        "change_password" => {
            let body = json!({ "current": PASSWORD, "new": "another horse battery" });
            (Method::PUT, "/me/password".into(), body)
        }
        "create_token" => (Method::POST, "/me/tokens".into(), json!({ "name": "made", "days": 1 })),
        "delete_token" => {
            let token = json!({ "name": "deleted", "days": 1 });
            let made = rig.ask(Method::POST, "/me/tokens", token).await.created();
            let path = format!("/me/tokens/{}", made.body["token"]["id"].as_str().unwrap());
            (Method::DELETE, path, Value::Null)
        }
        "end_session" | "end_user_session" => {
            let credentials = json!({ "name": "admin", "password": PASSWORD });
            rig.ask_as(&rig.stranger(), Method::POST, "/session", credentials, &[]).await.ok();
            let sessions = rig.get("/me/sessions?sort=-created_at").await.ok().body;
            let session = sessions["items"][0]["id"].as_str().unwrap().to_owned();
            let me = rig.get("/me").await.ok().body["id"].as_str().unwrap().to_owned();
            let whose = if operation == "end_session" { "/me".to_owned() } else { format!("/users/{me}") };
            (Method::DELETE, format!("{whose}/sessions/{session}"), Value::Null)
        }
        "delete_user_token" => {
            let token = json!({ "name": "withdrawn", "days": 1 });
            let made = rig.ask(Method::POST, "/me/tokens", token).await.created();
            let me = rig.get("/me").await.ok().body["id"].as_str().unwrap().to_owned();
            let token = made.body["token"]["id"].as_str().unwrap();
            (Method::DELETE, format!("/users/{me}/tokens/{token}"), Value::Null)
        }
        "create_user" => (Method::POST, "/users".into(), json!({ "name": "made" })),
        "update_user" => (Method::PATCH, user("changed").await, json!({ "full_name": "x" })),
        "delete_user" => (Method::DELETE, user("deleted").await, Value::Null),
        "reset_password" => (Method::POST, format!("{}/one-time-password", user("reset").await), Value::Null),
        "create_group" => (Method::POST, "/groups".into(), json!({ "name": "made" })),
        "update_group" => (Method::PATCH, group("changed").await, json!({ "description": "x" })),
        "delete_group" => (Method::DELETE, group("deleted").await, Value::Null),
        "create_icon" => (Method::POST, "/icons?name=made".into(), Value::Null),
        "update_icon" => (Method::PATCH, icon("changed").await, json!({ "name": "x" })),
        "delete_icon" => (Method::DELETE, icon("deleted").await, Value::Null),
        "create_configuration" => {
            (Method::POST, "/connector-configurations".into(), simulated("made", "password"))
        }
        "update_configuration" => {
            let path = configuration(rig, simulated("changed", "password")).await;
            (Method::PATCH, path, json!({ "name": "x" }))
        }
        "delete_configuration" => {
            let path = configuration(rig, simulated("deleted", "password")).await;
            (Method::DELETE, path, Value::Null)
        }
        "set_webhook" | "delete_webhook" => {
            let path = "/webhook".to_owned();
            let body =
                json!({ "url": "https://192.0.2.1/", "events": ["done"], "secret": "a secret of this test" });
            if operation == "set_webhook" {
                return Some((Method::PUT, path, body));
            }
            rig.ask_with(Method::PUT, &path, body, &[("if-match", "*")]).await.ok();
            (Method::DELETE, path, Value::Null)
        }
        "update_settings" => (Method::PATCH, "/settings".into(), json!({ "audit_retention_days": 60 })),
        _ => return succeed_on_layers(rig, operation).await,
    })
}

async fn a_change_that_is_done_is_in_the_audit_history(rig: Rig) {
    rig.become_administrator().await;
    let mut changes: Vec<&Action> =
        Action::ALL.iter().filter(|action| action.kind() == ActionKind::Change).collect();
    // These end or change what the others ask with.
    changes.sort_by_key(|action| match action {
        Action::ChangePassword => 1,
        Action::LogOut => 2,
        _ => 0,
    });
    for action in changes {
        let case = succeed(&rig, action.name()).await;
        let (method, path, body) = case.unwrap_or_else(|| panic!("{} has no case here", action.name()));
        match action {
            Action::CreateIcon => rig.upload(&path, "image/png", png()).await.ok(),
            _ => rig.ask_with(method, &path, body, &[("if-match", "*")]).await.ok(),
        };
        let statement = server::db::Statement::new("SELECT action FROM audit ORDER BY id DESC LIMIT 1");
        let row = rig.app.db().optional(statement).await.unwrap().unwrap();
        assert_eq!(row.text("action").unwrap(), action.name());
    }
    // What is not in this list only administrators see.
    let kinds = server::db::Statement::new("SELECT DISTINCT object_kind AS kind FROM audit_objects");
    for row in rig.app.db().all(kinds).await.unwrap() {
        let kind = row.text("kind").unwrap();
        assert!(server::app::audit::READ_WITH.iter().any(|(known, _)| *known == kind), "{kind}");
    }
}
