//! Roles, permissions and the role table of the contract (section 2).

use serde::{Deserialize, Serialize};

/// Role in a token.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// Orders examinations and reads their results.
    Clinician,
    /// Operates the scanners.
    Technologist,
    /// Reads studies and reports them.
    Radiologist,
    /// Computes AI results.
    AiWorker,
    /// EHR, RIS or gateway.
    Integration,
    /// Reads everything, changes nothing.
    Auditor,
    /// Administers a tenant.
    Admin,
    /// Operates the platform; belongs to no tenant and sees nothing clinical.
    Operator,
}

roentgen_domain::wire_enum! {
    Role: Clinician = "clinician", Technologist = "technologist", Radiologist = "radiologist",
        AiWorker = "ai_worker", Integration = "integration", Auditor = "auditor", Admin = "admin",
        Operator = "operator";
}

/// Permission: a row of the role table.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Permission {
    /// Read orders and the catalog.
    ReadOrders,
    /// Create orders.
    CreateOrders,
    /// Cancel orders.
    CancelOrders,
    /// Schedule, start and complete orders.
    ProgressOrders,
    /// Read studies, series and instances.
    ReadStudies,
    /// Read the PHI of studies.
    ReadStudyPhi,
    /// Sync and change studies, series and instances.
    SyncStudies,
    /// Launch the viewer.
    LaunchViewer,
    /// Write the catalog.
    WriteCatalog,
    /// Read the AI models of the catalog.
    ReadAiModels,
    /// Read AI tasks and outputs.
    ReadAiResults,
    /// Request and cancel AI tasks.
    RequestAiTasks,
    /// Update the status of AI tasks and add outputs.
    WriteAiResults,
    /// Change the reading locations in the caller's own profile.
    WriteOwnProfile,
    /// Read the worklist and raised critical results.
    ReadWorklist,
    /// Create, cancel and reprioritise worklist items; release and assign cases on behalf of radiologists.
    ManageWorklist,
    /// Claim cases.
    ClaimCases,
    /// Release the caller's own cases; admins, any case.
    ReleaseCases,
    /// Start and complete the caller's own cases; admins, any case.
    WorkOnCases,
    /// Contribute triage scores from sources other than catalog AI models.
    ContributeTriage,
    /// Read reports, released content only.
    ReadReports,
    /// Read drafts and AI content.
    ReadDrafts,
    /// Write, sign and cancel reports, add addenda, log communications, review AI suggestions.
    WriteReports,
    /// Read the event feed.
    ReadFeed,
    /// Read PHI in the event feed.
    ReadFeedPhi,
    /// Operate the platform: projections, and metrics unless they are open.
    OperatePlatform,
}

impl Permission {
    /// All permissions.
    pub const ALL: &'static [Self] = &[
        Self::ReadOrders,
        Self::CreateOrders,
        Self::CancelOrders,
        Self::ProgressOrders,
        Self::ReadStudies,
        Self::ReadStudyPhi,
        Self::SyncStudies,
        Self::LaunchViewer,
        Self::WriteCatalog,
        Self::ReadAiModels,
        Self::ReadAiResults,
        Self::RequestAiTasks,
        Self::WriteAiResults,
        Self::WriteOwnProfile,
        Self::ReadWorklist,
        Self::ManageWorklist,
        Self::ClaimCases,
        Self::ReleaseCases,
        Self::WorkOnCases,
        Self::ContributeTriage,
        Self::ReadReports,
        Self::ReadDrafts,
        Self::WriteReports,
        Self::ReadFeed,
        Self::ReadFeedPhi,
        Self::OperatePlatform,
    ];

    /// Returns the roles that have the permission.
    pub const fn roles(self) -> &'static [Role] {
        use Role::{
            Admin, AiWorker, Auditor, Clinician, Integration, Operator, Radiologist, Technologist,
        };
        match self {
            Self::ReadStudies => &[
                Clinician,
                Technologist,
                Radiologist,
                AiWorker,
                Integration,
                Auditor,
                Admin,
            ],
            Self::LaunchViewer => &[Clinician, Technologist, Radiologist, Admin],
            Self::ReadOrders | Self::ReadStudyPhi | Self::ReadReports => &[
                Clinician,
                Technologist,
                Radiologist,
                Integration,
                Auditor,
                Admin,
            ],
            Self::CreateOrders | Self::CancelOrders => {
                &[Clinician, Radiologist, Integration, Admin]
            }
            Self::ProgressOrders | Self::SyncStudies | Self::ManageWorklist => {
                &[Technologist, Integration, Admin]
            }
            Self::WriteCatalog => &[Admin],
            Self::ReadAiModels => &[
                Clinician,
                Technologist,
                Radiologist,
                AiWorker,
                Integration,
                Auditor,
                Admin,
            ],
            Self::ReadAiResults => &[Radiologist, AiWorker, Integration, Auditor, Admin],
            Self::RequestAiTasks => &[Radiologist, Integration, Admin],
            Self::WriteAiResults => &[AiWorker, Integration, Admin],
            Self::WriteOwnProfile | Self::ClaimCases => &[Radiologist],
            Self::ReadWorklist => &[Technologist, Radiologist, Integration, Auditor, Admin],
            Self::ReleaseCases | Self::WorkOnCases => &[Radiologist, Admin],
            Self::ContributeTriage => &[Integration, Admin],
            Self::ReadDrafts => &[Radiologist, Auditor, Admin],
            Self::WriteReports => &[Radiologist],
            Self::ReadFeed => &[Integration, Auditor, Admin, Operator],
            Self::ReadFeedPhi => &[Integration, Auditor, Admin],
            Self::OperatePlatform => &[Operator],
        }
    }

    /// Returns whether one of `roles` has the permission.
    pub fn is_granted_to(self, roles: &[Role]) -> bool {
        roles.iter().any(|role| self.roles().contains(role))
    }
}

/// Access that a route requires.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RouteAccess {
    /// No token required.
    Public,
    /// One of these permissions; the handler may require a specific one, depending on the body.
    AnyOf(&'static [Permission]),
}

impl RouteAccess {
    /// Returns whether a caller with these roles may reach the handler.
    pub fn allows(self, roles: &[Role]) -> bool {
        match self {
            Self::Public => true,
            Self::AnyOf(capabilities) => capabilities
                .iter()
                .any(|permission| permission.is_granted_to(roles)),
        }
    }
}
