//! Kinds of derived ids.

/// Kinds of ids derived from the tenant, a kind and a code, a UID or another id. The kind names are part of these ids
/// and never change.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum IdKind {
    /// [`ModalityId`](crate::ids::ModalityId).
    Modality,
    /// [`ProcedureId`](crate::ids::ProcedureId).
    Procedure,
    /// [`PacsEndpointId`](crate::ids::PacsEndpointId).
    PacsEndpoint,
    /// [`TemplateId`](crate::ids::TemplateId).
    Template,
    /// [`AiModelId`](crate::ids::AiModelId).
    AiModel,
    /// [`ReadingProfileId`](crate::ids::ReadingProfileId).
    ReadingProfile,
    /// [`CaseloadId`](crate::ids::CaseloadId).
    Caseload,
    /// [`StudyId`](crate::ids::StudyId).
    Study,
}

crate::wire_enum! {
    IdKind: Modality = "ImagingModality", Procedure = "ImagingProcedure", PacsEndpoint = "PACSEndpoint",
        Template = "RadiologyReportTemplate", AiModel = "ImagingAIModel",
        ReadingProfile = "RadiologyReadingProfile", Caseload = "RadiologistCaseload",
        Study = "ImagingStudy";
}

impl IdKind {
    /// Returns whether a text starts with a kind name and a colon, like the names that ids are derived from. An order
    /// id is derived from its accession number alone, in the same tenant: such a number could give the order the id of
    /// another resource.
    pub fn begins(text: &str) -> bool {
        let named = text.split_once(':').map(|(before, _)| before);
        named.is_some_and(|name| Self::ALL.iter().any(|kind| kind.to_string() == name))
    }
}
