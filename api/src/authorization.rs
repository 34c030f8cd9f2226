//! Who may do what: the contract's role table (section 2), as one value.

use serde::{Deserialize, Serialize};

/// A role that a token may carry.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// Orders examinations and reads what came of them.
    Clinician,
    /// Runs the scanners.
    Technologist,
    /// Reads and reports.
    Radiologist,
    /// Computes AI results.
    AiWorker,
    /// An EHR, a RIS or a gateway.
    Integration,
    /// Reads everything, changes nothing.
    Auditor,
    /// Runs a tenant.
    Admin,
    /// Runs the platform; of no tenant, and nothing clinical.
    Operator,
}

roentgen_domain::wire_enum! {
    Role: Clinician = "clinician", Technologist = "technologist", Radiologist = "radiologist",
        AiWorker = "ai_worker", Integration = "integration", Auditor = "auditor", Admin = "admin",
        Operator = "operator";
}

/// A row of the table.
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
    /// Say how far an AI task is, and what came of it.
    WriteAiResults,
    /// Change where one reads, in the own reading profile.
    WriteOwnProfile,
    /// Read the worklist, and the critical results that were raised.
    ReadWorklist,
    /// Create, cancel, re-prioritise worklist items; take them back, assign them on behalf.
    ManageWorklist,
    /// Claim cases.
    ClaimCases,
    /// Release one's own cases, or as admin any.
    ReleaseCases,
    /// Begin and complete one's own cases, or as admin any.
    WorkOnCases,
    /// Score cases with what is no catalog model's.
    ContributeTriage,
    /// Read reports, released content only.
    ReadReports,
    /// Read drafts, and what the machine says.
    ReadDrafts,
    /// Write, sign and cancel reports, add to them, log communications, judge AI suggestions.
    WriteReports,
    /// Read the event feed.
    ReadFeed,
    /// Read PHI in the event feed.
    ReadFeedPhi,
    /// Run the platform: its projections, and metrics where they are not open.
    OperatePlatform,
}

impl Permission {
    /// Every row.
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

    /// The roles that have it.
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

    /// Whether one of `roles` has it.
    pub fn is_granted_to(self, roles: &[Role]) -> bool {
        roles.iter().any(|role| self.roles().contains(role))
    }
}

/// What a route asks of its caller.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RouteAccess {
    /// Nothing, not even a token.
    Public,
    /// One of these; the handler may ask for a certain one, depending on the body.
    AnyOf(&'static [Permission]),
}

impl RouteAccess {
    /// Whether a caller with these roles may go on to the handler.
    pub fn allows(self, roles: &[Role]) -> bool {
        match self {
            Self::Public => true,
            Self::AnyOf(capabilities) => capabilities
                .iter()
                .any(|permission| permission.is_granted_to(roles)),
        }
    }
}
