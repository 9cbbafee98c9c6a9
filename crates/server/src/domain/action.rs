//! Everything that can be asked of the server, and what it needs.
//!
//! An action is named as its operation in the OpenAPI document. Tests walk both: an endpoint without an action, an
//! action without an endpoint, or one whose answer to a role differs from this table fails them.

use super::role::{Permission, Role, Roles};

macro_rules! actions {
    ($($(#[$doc:meta])* $variant:ident $name:literal $kind:ident $permission:expr;)*) => {
        /// Something that can be asked of the server.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
        pub enum Action {
            $($(#[$doc])* $variant,)*
        }

        impl Action {
            /// Every action.
            pub const ALL: &'static [Action] = &[$(Action::$variant,)*];

            /// The operation's name in the OpenAPI document.
            pub fn name(self) -> &'static str {
                match self { $(Action::$variant => $name,)* }
            }

            /// What it needs.
            pub fn permission(self) -> Permission {
                match self { $(Action::$variant => $permission,)* }
            }

            /// Whether it changes anything, and so leaves a row in the audit history.
            pub fn kind(self) -> ActionKind {
                match self { $(Action::$variant => ActionKind::$kind,)* }
            }
        }
    };
}

/// Whether an action changes anything.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ActionKind {
    /// It only looks.
    Read,
    /// It changes something that an administrator sees.
    Change,
}

use Permission::{Administer, Any, Anyone, Look, ManageLayers, Own};

/// Image templates and assignments.
const TEMPLATES: Permission = Any(&[Role::ManageImageTemplates]);
/// Published images.
const IMAGES: Permission = Any(&[Role::PublishLayeredImages]);
/// Who manages layers of any kind.
const LAYERS: &[Role] = &[Role::ManageOsLayers, Role::ManagePlatformLayers, Role::ManageAppLayers];
/// Who manages any layers or templates.
const MANAGE: &[Role] =
    &[Role::ManageOsLayers, Role::ManagePlatformLayers, Role::ManageAppLayers, Role::ManageImageTemplates];

actions! {
    /// Begin a session.
    LogIn "log_in" Change Anyone;
    /// See who one is.
    Me "me" Read Own;
    /// End one's session.
    LogOut "log_out" Change Own;
    /// Set one's own password.
    ChangePassword "change_password" Change Own;
    /// List one's API tokens.
    ListTokens "list_tokens" Read Own;
    /// Make an API token for oneself.
    CreateToken "create_token" Change Own;
    /// Withdraw one of one's API tokens.
    DeleteToken "delete_token" Change Own;
    /// List one's sessions.
    ListSessions "list_sessions" Read Own;
    /// End one of one's sessions.
    EndSession "end_session" Change Own;
    /// List users.
    ListUsers "list_users" Read Administer;
    /// See a user.
    GetUser "get_user" Read Administer;
    /// Make a user.
    CreateUser "create_user" Change Administer;
    /// Change a user.
    UpdateUser "update_user" Change Administer;
    /// Remove a user.
    DeleteUser "delete_user" Change Administer;
    /// Give a user a one-time password.
    ResetPassword "reset_password" Change Administer;
    /// List the API tokens of a user.
    ListUserTokens "list_user_tokens" Read Administer;
    /// Withdraw an API token of a user.
    DeleteUserToken "delete_user_token" Change Administer;
    /// List the sessions of a user.
    ListUserSessions "list_user_sessions" Read Administer;
    /// End a session of a user.
    EndUserSession "end_user_session" Change Administer;
    /// List groups.
    ListGroups "list_groups" Read Administer;
    /// See a group.
    GetGroup "get_group" Read Administer;
    /// Make a group.
    CreateGroup "create_group" Change Administer;
    /// Change a group.
    UpdateGroup "update_group" Change Administer;
    /// Remove a group.
    DeleteGroup "delete_group" Change Administer;
    /// Read the audit history.
    ListAudit "list_audit" Read Look;
    /// Make an OS layer from a disk.
    CreateOsLayer "create_os_layer" Change Any(&[Role::ManageOsLayers]);
    /// Make an app layer.
    CreateAppLayer "create_app_layer" Change Any(&[Role::ManageAppLayers]);
    /// Make a platform layer.
    CreatePlatformLayer "create_platform_layer" Change Any(&[Role::ManagePlatformLayers]);
    /// Make a new version of a layer; the role of its kind is needed.
    CreateVersion "create_version" Change ManageLayers;
    /// Finalize a version; the role of its kind is needed.
    FinalizeVersion "finalize_version" Change ManageLayers;
    /// Delete a version; the role of its kind is needed.
    DeleteVersion "delete_version" Change ManageLayers;
    /// Publish templates.
    PublishTemplates "publish_templates" Change Any(&[Role::PublishLayeredImages]);
    /// Give back the room of what nothing in the store uses.
    CollectGarbage "collect_garbage" Change Administer;
    /// See which layers a folder on a share holds.
    ListExportedLayers "list_exported_layers" Read Any(MANAGE);
    /// Export layer versions to a folder on a share.
    ExportLayers "export_layers" Change Any(LAYERS);
    /// Import layer versions from a folder on a share.
    ImportLayers "import_layers" Change ManageLayers;
    /// See what the layers of a template claim together.
    TemplateConflicts "template_conflicts" Read Look;
    /// Compare two versions.
    DiffVersions "diff_versions" Read Look;
    /// Compare two image templates.
    DiffTemplates "diff_templates" Read Look;
    /// Compare two published images.
    DiffImages "diff_images" Read Look;
    /// See what is recorded of a version in the store.
    VersionReport "version_report" Read Look;
    /// List tasks.
    ListTasks "list_tasks" Read Look;
    /// See a task.
    GetTask "get_task" Read Look;
    /// Read a task's log.
    ListTaskLog "list_task_log" Read Look;
    /// Ask a task to stop; its owner and administrators may.
    StopTask "stop_task" Change Look;
    /// Ask several tasks to stop: one's own, or for administrators any.
    StopTasks "stop_tasks" Change Look;
    /// List icons.
    ListIcons "list_icons" Read Look;
    /// See an icon.
    GetIcon "get_icon" Read Look;
    /// See the picture of an icon.
    GetIconImage "get_icon_image" Read Look;
    /// Upload an icon.
    CreateIcon "create_icon" Change Any(MANAGE);
    /// Give an icon another name.
    UpdateIcon "update_icon" Change Any(MANAGE);
    /// Remove an icon.
    DeleteIcon "delete_icon" Change Any(MANAGE);
    /// List kinds of connectors.
    ListConnectors "list_connectors" Read Look;
    /// See a kind of connector.
    GetConnector "get_connector" Read Look;
    /// See whether a platform accepts credentials that are not saved.
    CheckCredentials "check_credentials" Read Any(MANAGE);
    /// Try a connector whose values are not saved.
    TestConnector "test_connector" Read Any(MANAGE);
    /// List what can be chosen with values that are not saved.
    BrowseConnector "browse_connector" Read Any(MANAGE);
    /// List connector configurations.
    ListConfigurations "list_configurations" Read Look;
    /// See a connector configuration.
    GetConfiguration "get_configuration" Read Look;
    /// Make a connector configuration.
    CreateConfiguration "create_configuration" Change Any(MANAGE);
    /// Change a connector configuration.
    UpdateConfiguration "update_configuration" Change Any(MANAGE);
    /// Remove a connector configuration.
    DeleteConfiguration "delete_configuration" Change Administer;
    /// See whether the platform of a configuration accepts its credentials.
    CheckConfiguration "check_configuration" Read Any(MANAGE);
    /// Try a connector configuration.
    TestConfiguration "test_configuration" Read Any(MANAGE);
    /// List what can be chosen on the platform of a configuration.
    BrowseConfiguration "browse_configuration" Read Any(MANAGE);
    /// Read the settings.
    GetSettings "get_settings" Read Administer;
    /// Examine the deployment.
    ExamineServer "examine_server" Read Administer;
    /// Change settings.
    UpdateSettings "update_settings" Change Administer;
    /// See the webhook.
    GetWebhook "get_webhook" Read Administer;
    /// Set the webhook.
    SetWebhook "set_webhook" Change Administer;
    /// Take the webhook away.
    DeleteWebhook "delete_webhook" Change Administer;
    /// Post something to the webhook.
    TestWebhook "test_webhook" Read Administer;
    /// List layers.
    ListLayers "list_layers" Read Look;
    /// See a layer.
    GetLayer "get_layer" Read Look;
    /// Change a layer.
    UpdateLayer "update_layer" Change ManageLayers;
    /// See what uses a layer.
    LayerUsers "layer_users" Read Look;
    /// List the versions of a layer.
    ListVersions "list_versions" Read Look;
    /// See a version.
    GetVersion "get_version" Read Look;
    /// Change a version.
    UpdateVersion "update_version" Change ManageLayers;
    /// See what uses a version.
    VersionUsers "version_users" Read Look;
    /// Find what a reference names.
    Resolve "resolve" Read Look;
    /// List image templates.
    ListTemplates "list_templates" Read Look;
    /// See an image template.
    GetTemplate "get_template" Read Look;
    /// Make an image template.
    CreateTemplate "create_template" Change TEMPLATES;
    /// Change an image template.
    UpdateTemplate "update_template" Change TEMPLATES;
    /// Remove an image template.
    DeleteTemplate "delete_template" Change TEMPLATES;
    /// Make a template like another.
    CloneTemplate "clone_template" Change TEMPLATES;
    /// Get an image template as a file.
    ExportTemplate "export_template" Read Look;
    /// Make an image template from a file.
    ImportTemplate "import_template" Change TEMPLATES;
    /// List the revisions of an image template.
    ListRevisions "list_revisions" Read Look;
    /// See a revision of an image template.
    GetRevision "get_revision" Read Look;
    /// Compare two revisions of an image template.
    CompareRevisions "compare_revisions" Read Look;
    /// Make an image template what it was in an earlier revision.
    RestoreRevision "restore_revision" Change TEMPLATES;
    /// List the templates that a layer is assigned to.
    ListAssignments "list_assignments" Read Look;
    /// Assign a version to templates.
    AddAssignments "add_assignments" Change TEMPLATES;
    /// Move templates from older versions of a layer to this one.
    UpdateAssignments "update_assignments" Change TEMPLATES;
    /// Take a version out of templates.
    RemoveAssignments "remove_assignments" Change TEMPLATES;
    /// List published images.
    ListImages "list_images" Read Look;
    /// See a published image.
    GetImage "get_image" Read Look;
    /// Remove the record of a published image.
    DeleteImage "delete_image" Change IMAGES;
}

impl Action {
    /// Whether somebody with these roles may do it.
    pub fn allowed(self, roles: &Roles) -> bool {
        roles.allow(self.permission())
    }

    /// The roles that may do it, as a sentence for who may not.
    pub fn needs(self) -> String {
        let roles: Vec<&str> = Role::ALL
            .into_iter()
            .filter(|role| self.allowed(&Roles::from_iter([*role])))
            .map(Role::as_str)
            .collect();
        match roles.as_slice() {
            [] => "This needs a role that nobody can have.".to_owned(),
            [one] => format!("This needs the role {one}."),
            several => format!("This needs one of the roles {}.", several.join(", ")),
        }
    }
}
