//! The document that clients are generated from: OpenAPI 3.0.3, with nothing that a client need not know.

use serde_json::{Map, Value, json};

/// What the server alone checks: a client that checked it as well would refuse in other words.
const CHECKED_BY_SERVER: [&str; 10] = [
    "maxItems",
    "maxLength",
    "maximum",
    "minItems",
    "minLength",
    "minimum",
    "multipleOf",
    "pattern",
    "propertyNames",
    "uniqueItems",
];
/// Formats for which generated code would need libraries of their own; to a client they are text.
const TEXT: [&str; 2] = ["date-time", "uuid"];
/// How the names of schemas of pages begin; what follows is the name of their items' schema.
const PAGE: &str = "Page_";
/// How the names of schemas of changes end.
const CHANGE: &str = "Change";

/// The document for clients, made from `document`, which is OpenAPI 3.1.
///
/// - `type: [X, "null"]` and `oneOf` with `null` become `nullable`; a `const` becomes an `enum` of one.
/// - A `$ref` with a description beside it becomes an `allOf`; in 3.0 nothing may stand beside a `$ref`.
/// - In a change `null` means something else than nothing. What could be a typed `null` there is any value, because
///   generated code can leave a typed value out but not send `null`.
/// - Items of pages are the schema that they are a copy of.
/// - Operations that take a file instead of JSON are left out, and a picture in an answer is bytes.
pub fn derive(document: &Value) -> Value {
    let mut document = document.clone();
    document["openapi"] = json!("3.0.3");
    if let Some(license) = object(&mut document, "/info/license") {
        license.remove("identifier");
    }
    for (name, schema) in object(&mut document, "/components/schemas").into_iter().flatten() {
        if let (Some(item), Some(items)) =
            (name.strip_prefix(PAGE), schema.pointer_mut("/properties/items/items"))
        {
            *items = json!({ "$ref": format!("#/components/schemas/{item}") });
        }
        convert(schema);
        if name.ends_with(CHANGE) {
            open_nullable_references(schema);
        }
    }
    let paths = object(&mut document, "/paths").into_iter().flatten();
    for item in paths.filter_map(|(_, item)| item.as_object_mut()) {
        item.retain(|_, operation| takes_json(operation));
        for (_, operation) in item.iter_mut() {
            convert_operation(operation);
        }
    }
    document
}

/// Whether a body, if there is one, is JSON.
fn takes_json(operation: &Value) -> bool {
    operation["requestBody"]["content"]
        .as_object()
        .is_none_or(|content| content.len() == 1 && content.contains_key("application/json"))
}

fn convert_operation(operation: &mut Value) {
    let parameters = operation.get_mut("parameters").and_then(Value::as_array_mut);
    for schema in parameters.into_iter().flatten().filter_map(|parameter| parameter.get_mut("schema")) {
        convert(schema);
        // That it may be left out is said by `required`.
        if let Some(schema) = schema.as_object_mut() {
            schema.remove("nullable");
        }
    }
    convert_content(object(operation, "/requestBody/content"));
    let Some(responses) = object(operation, "/responses") else { return };
    // Answers to conditions that this client does not set.
    responses.remove("304");
    for (_, response) in responses {
        let Some(content) = object(response, "/content") else { continue };
        if content.keys().any(|media_type| media_type != "application/json") {
            let bytes = json!({ "schema": { "type": "string", "format": "binary" } });
            *content = Map::from_iter([("application/octet-stream".to_owned(), bytes)]);
        }
        convert_content(Some(content));
    }
}

fn convert_content(content: Option<&mut Map<String, Value>>) {
    for schema in content.into_iter().flatten().filter_map(|(_, body)| body.get_mut("schema")) {
        convert(schema);
    }
}

/// The object that lies there, if one does.
fn object<'v>(value: &'v mut Value, pointer: &str) -> Option<&'v mut Map<String, Value>> {
    value.pointer_mut(pointer).and_then(Value::as_object_mut)
}

/// Makes a schema, and all inside it, one of OpenAPI 3.0.
fn convert(schema: &mut Value) {
    let Some(object) = schema.as_object_mut() else { return };
    for name in CHECKED_BY_SERVER {
        object.remove(name);
    }
    if object.get("format").and_then(Value::as_str).is_some_and(|format| TEXT.contains(&format)) {
        object.remove("format");
    }
    if object.get("default").is_some_and(Value::is_null) {
        object.remove("default");
    }
    if let Some(only) = object.remove("const") {
        object.insert("enum".to_owned(), json!([only]));
    }
    take_null_out_of_type(object);
    take_null_out_of_one_of(object);
    if object.len() > 1
        && let Some(reference) = object.remove("$ref")
    {
        object.insert("allOf".to_owned(), json!([{ "$ref": reference }]));
    }
    for (name, inside) in object.iter_mut() {
        match name.as_str() {
            "properties" => {
                inside.as_object_mut().into_iter().flatten().for_each(|(_, schema)| convert(schema))
            }
            "allOf" | "anyOf" | "oneOf" => inside.as_array_mut().into_iter().flatten().for_each(convert),
            "items" | "additionalProperties" => convert(inside),
            _ => {}
        }
    }
}

fn take_null_out_of_type(schema: &mut Map<String, Value>) {
    let Some(types) = schema.get_mut("type").and_then(Value::as_array_mut) else { return };
    let before = types.len();
    types.retain(|one| one != "null");
    let nullable = types.len() < before;
    if let [only] = types.as_slice() {
        let only = only.clone();
        schema.insert("type".to_owned(), only);
    }
    if nullable {
        schema.insert("nullable".to_owned(), json!(true));
    }
}

fn take_null_out_of_one_of(schema: &mut Map<String, Value>) {
    let Some(choices) = schema.get_mut("oneOf").and_then(Value::as_array_mut) else { return };
    let before = choices.len();
    choices.retain(|one| *one != json!({ "type": "null" }));
    let nullable = choices.len() < before;
    if let [Value::Object(only)] = choices.as_slice() {
        let only = only.clone();
        schema.remove("oneOf");
        schema.extend(only);
    }
    if nullable {
        schema.insert("nullable".to_owned(), json!(true));
    }
}

/// Makes properties that are another schema or null any value.
fn open_nullable_references(change: &mut Value) {
    for (_, property) in object(change, "/properties").into_iter().flatten() {
        if property["nullable"] == true && property.get("allOf").is_some() {
            let description = property["description"].take();
            *property = json!({ "description": description });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn becomes(mut before: Value, after: Value) {
        convert(&mut before);
        assert_eq!(before, after);
    }

    #[test]
    fn what_may_be_null_is_nullable() {
        becomes(
            json!({ "type": ["integer", "null"], "minimum": 0, "maximum": 9 }),
            json!({ "type": "integer", "nullable": true }),
        );
        becomes(
            json!({ "oneOf": [{ "$ref": "#/x", "description": "An x." }, { "type": "null" }], "default": null }),
            json!({ "allOf": [{ "$ref": "#/x" }], "description": "An x.", "nullable": true }),
        );
        becomes(
            json!({ "oneOf": [{ "$ref": "#/x" }, { "$ref": "#/y" }] }),
            json!({ "oneOf": [{ "$ref": "#/x" }, { "$ref": "#/y" }] }),
        );
    }

    #[test]
    fn a_reference_stands_alone_or_in_all_of() {
        becomes(json!({ "$ref": "#/x" }), json!({ "$ref": "#/x" }));
        becomes(
            json!({ "type": "array", "items": { "$ref": "#/x", "description": "An x." } }),
            json!({ "type": "array", "items": { "allOf": [{ "$ref": "#/x" }], "description": "An x." } }),
        );
    }

    #[test]
    fn a_change_can_say_null() {
        let schema = json!({ "type": "object", "properties": {
            "share": { "oneOf": [{ "$ref": "#/x", "description": "Where." }, { "type": "null" }] },
            "name": { "type": ["string", "null"] },
        } });
        let document =
            json!({ "components": { "schemas": { "SettingsChange": schema, "Settings": schema } } });
        let derived = derive(&document);
        let schemas = &derived["components"]["schemas"];
        assert_eq!(schemas["SettingsChange"]["properties"]["share"], json!({ "description": "Where." }));
        assert_eq!(
            schemas["SettingsChange"]["properties"]["name"],
            json!({ "type": "string", "nullable": true })
        );
        assert_eq!(schemas["Settings"]["properties"]["share"]["allOf"], json!([{ "$ref": "#/x" }]));
    }

    #[test]
    fn files_are_bytes_in_answers_and_nothing_in_requests() {
        let file = json!({ "image/png": { "schema": { "$ref": "#/File" } } });
        let document = json!({ "paths": { "/icons": {
            "post": { "requestBody": { "content": file } },
            "get": { "responses": { "200": { "content": file }, "304": {} } },
        } } });
        let derived = derive(&document);
        let icons = derived["paths"]["/icons"].as_object().unwrap();
        assert!(!icons.contains_key("post"));
        let responses = icons["get"]["responses"].as_object().unwrap();
        assert_eq!(responses.keys().collect::<Vec<_>>(), ["200"]);
        assert_eq!(
            responses["200"]["content"],
            json!({ "application/octet-stream": { "schema": { "type": "string", "format": "binary" } } })
        );
    }
}
