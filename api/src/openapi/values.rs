//! Schemas of the values that request bodies and parameters consist of, with the bounds that the server checks.

use roentgen_domain::text::{MAX_NAME_CHARS, MAX_TEXT_BYTES};
use roentgen_domain::{
    ai_model, ai_task, order, pacs_endpoint, report, report_template, study, worklist_item,
};
use roentgen_projections::timeline;
use serde_json::Value;
use utoipa::openapi::RefOr;
use utoipa::openapi::schema::{
    AnyOfBuilder, KnownFormat, ObjectBuilder, Schema, SchemaFormat, SchemaType, Type,
};
use utoipa::{PartialSchema, ToSchema};

use crate::render;

/// Defines types without values that name a schema: they stand for a member in `value_type`.
macro_rules! values {
    ($($(#[doc = $doc:literal])+ $name:ident = $schema:expr;)+) => {$(
        $(#[doc = $doc])+
        #[derive(Debug)]
        pub(crate) struct $name;

        impl PartialSchema for $name {
            fn schema() -> RefOr<Schema> {
                $schema.description(Some(concat!($($doc),+).trim())).into()
            }
        }

        impl ToSchema for $name {}
    )+

        /// Returns all schemas by name: `routes!` collects those of bodies, but not those of parameters.
        pub(super) fn schemas() -> Vec<(String, RefOr<Schema>)> {
            vec![$(($name::name().into_owned(), $name::schema())),+]
        }
    };
}

/// Pattern of a text that is not blank.
const NOT_BLANK: &str = r"\S";

fn text(least: usize, most: usize) -> ObjectBuilder {
    ObjectBuilder::new()
        .schema_type(SchemaType::Type(Type::String))
        .min_length(Some(least))
        .max_length(Some(most))
}

fn number(least: i64, most: i64) -> ObjectBuilder {
    ObjectBuilder::new()
        .schema_type(SchemaType::Type(Type::Integer))
        .minimum(Some(least))
        .maximum(Some(most))
}

fn known(format: KnownFormat) -> ObjectBuilder {
    text(1, 64).format(Some(SchemaFormat::KnownFormat(format)))
}

fn any_of<const N: usize>(alternatives: [ObjectBuilder; N]) -> AnyOfBuilder {
    let alternatives = alternatives.into_iter();
    alternatives.fold(AnyOfBuilder::new(), AnyOfBuilder::item)
}

/// A text that a header can carry (RFC 9110, section 5.5), not blank.
pub(crate) fn header_text() -> ObjectBuilder {
    let sign = r"\x00-\x1F\x7F-\x9F";
    let pattern = format!(r"^[^{sign}]*[^\s{sign}][^{sign}]*$");
    text(1, MAX_TEXT_BYTES).pattern(Some(pattern))
}

/// A header's name (RFC 9110, section 5.6.2: a token).
pub(crate) fn header_name() -> ObjectBuilder {
    text(1, MAX_TEXT_BYTES).pattern(Some("^[A-Za-z0-9!#$%&'*+.^_`|~-]+$"))
}

/// A wire name of an enum, in its usual case.
pub(crate) fn one_of<T: ToString>(values: &[T]) -> ObjectBuilder {
    let names = values.iter().map(|value| Value::from(value.to_string()));
    ObjectBuilder::new()
        .schema_type(SchemaType::Type(Type::String))
        .enum_values(Some(names))
}

fn item_status_filters() -> Vec<String> {
    let statuses = worklist_item::Status::ALL.iter().map(ToString::to_string);
    statuses.chain(["all".to_owned()]).collect()
}

fn any_text() -> ObjectBuilder {
    ObjectBuilder::new().schema_type(SchemaType::Type(Type::String))
}

/// A value, or an empty text, which stands for none.
fn or_empty(value: ObjectBuilder) -> AnyOfBuilder {
    any_of([value, text(0, 0)])
}

fn modality_code() -> ObjectBuilder {
    text(2, 16).pattern(Some("^[A-Za-z0-9_]+$"))
}

fn uid() -> ObjectBuilder {
    text(1, 64).pattern(Some(r"^(0|[1-9][0-9]*)(\.(0|[1-9][0-9]*))*$"))
}

fn accession_number() -> ObjectBuilder {
    let sign = r"\\\x00-\x1F\x7F-\x9F";
    let pattern = format!(r"^[^{sign}]*[^\s{sign}][^{sign}]*$");
    text(1, 16).pattern(Some(pattern))
}

/// Start of an HTTP URL, up to the end of its authority (`HttpUrl` of the domain).
const AUTHORITY: &str = r"^[Hh][Tt][Tt][Pp][Ss]?://[!$-.0-9;=A-\[\]_a-{}~][!$-.0-;=A-\[\]_a-{}~]*";

fn http_url() -> ObjectBuilder {
    let pattern = format!(r"{AUTHORITY}([/?#][!#-;=?-\[\]_a-{{}}~]*)?$");
    text(8, 2_048).pattern(Some(pattern))
}

fn viewer_url() -> ObjectBuilder {
    let rest = r"[!#-;=?-\[\]_a-z~]*";
    let token = format!(r"({rest}\{{token\}})?");
    let pattern = format!(r"{AUTHORITY}[/?#]{token}{rest}\{{study_instance_uid\}}{token}{rest}$");
    text(8, 2_048).pattern(Some(pattern))
}

values! {
    /// A UUID; an empty text stands for none.
    OptionalId = or_empty(known(KnownFormat::Uuid));
    /// A time with an offset (RFC 3339); an empty text stands for none.
    OptionalTime = or_empty(known(KnownFormat::DateTime));
    /// A date, YYYY-MM-DD; an empty text stands for none.
    OptionalDate = or_empty(known(KnownFormat::Date));
    /// A modality code; an empty text stands for none.
    OptionalModalityCode = or_empty(modality_code());
    /// An application entity title (PS3.5, VR AE): 1 to 16 ASCII characters without backslash; an empty text stands for none.
    OptionalAeTitle = or_empty(text(1, 16).pattern(Some(r"^[ -\[\]-~]*[!-\[\]-~][ -\[\]-~]*$")));
    /// A host name or address; an empty text stands for none.
    OptionalHost = or_empty(text(1, 253).pattern(Some(r"^[A-Za-z0-9.:_\[\]-]+$")));
    /// A URL with the scheme http or https; an empty text stands for none.
    OptionalHttpUrl = or_empty(http_url());
    /// A URL that opens a study: it has `{study_instance_uid}`, and `{token}` if it carries the token; an empty text stands
    /// for none.
    OptionalViewerUrl = or_empty(viewer_url());
    /// A DICOM UID (PS3.5, section 9.1); an empty text stands for none.
    OptionalUid = or_empty(uid());
    /// An accession number; an empty text stands for none.
    OptionalAccessionNumber = or_empty(accession_number());
    /// Sex (FHIR), or DICOM's F, M, O or U; an empty text stands for none.
    OptionalSex = or_empty(one_of(&["female", "male", "other", "unknown", "F", "M", "O", "U"]));
    /// Priority; an empty text stands for none.
    OptionalPriority = or_empty(one_of(order::Priority::ALL));
    /// Kind of an addendum; an empty text stands for none.
    OptionalAddendumKind = or_empty(one_of(report::AddendumKind::ALL));
    /// A name or label: 1 to 256 characters, not blank.
    Name = text(1, MAX_NAME_CHARS).pattern(Some(NOT_BLANK));
    /// A name or label of at most 256 characters.
    Label = text(0, MAX_NAME_CHARS);
    /// A text that is not blank, at most 64 KiB of UTF-8.
    Prose = text(1, MAX_TEXT_BYTES).pattern(Some(NOT_BLANK));
    /// A text in a query that is not blank; the length of the URL is limited.
    QueryText = text(1, usize::MAX).max_length(None::<usize>).pattern(Some(NOT_BLANK));
    /// A text of at most 64 KiB of UTF-8.
    Note = text(0, MAX_TEXT_BYTES);
    /// A modality code: 2 to 16 characters from A-Z, 0-9 and _, in any case.
    ModalityCode = modality_code();
    /// A code of the catalog: 1 to 64 characters from A-Z, 0-9, _, - and ., in any case.
    CatalogCode = text(1, 64).pattern(Some("^[A-Za-z0-9_.-]+$"));
    /// A section code: 1 to 64 characters from a-z, 0-9 and _, in any case.
    SectionCode = text(1, 64).pattern(Some("^[A-Za-z0-9_]+$"));
    /// A DICOM UID (PS3.5, section 9.1): numbers without leading zeros, separated by dots.
    Uid = uid();
    /// An accession number: a DICOM Short String of 1 to 16 characters without backslash.
    AccessionNumber = accession_number();
    /// A time with an offset (RFC 3339), such as 2026-01-31T08:15:00Z.
    Time = known(KnownFormat::DateTime);
    /// A time with an offset (RFC 3339), or a date.
    TimeOrDate = any_of([known(KnownFormat::DateTime), known(KnownFormat::Date)]);
    /// A log position, a time with an offset (RFC 3339), or a date.
    AsOf = any_of([number(0, i64::MAX), known(KnownFormat::DateTime), known(KnownFormat::Date)]);
    /// A position of the log.
    LogPosition = number(0, i64::MAX);
    /// The cursor of the next page, from the header `Link`.
    Cursor = text(1, 1_024);
    /// A text to search for, at most 128 characters.
    Search = text(0, 128);
    /// Names of event types, separated by commas; a name that no event has matches none.
    EventTypes = any_text();
    /// A score from 0 to 1.
    Score = ObjectBuilder::new()
        .schema_type(SchemaType::Type(Type::Number))
        .minimum(Some(0))
        .maximum(Some(1));
    /// The type of a stream; a name that no stream has matches none.
    StreamType = any_text();
    /// How long to wait for events, in seconds.
    WaitSeconds = number(0, 60);
    /// A URL with the scheme http or https; its host is a name or an address, in brackets if it is of IPv6.
    HttpUrl = http_url();
    /// A TCP port.
    Port = number(1, 65_535);
    /// A number of minutes, at most a day.
    DurationMinutes = number(1, 1_440);
    /// A number of cases that a radiologist may hold.
    MaxCases = number(1, 100);
    /// A number of milliseconds that a call may take.
    CallTimeoutMs = number(1, 3_600_000);
    /// A number of attempts.
    MaxAttempts = number(1, 100);
    /// A number of 32 bits, such as a DICOM Integer String holds.
    Integer = number(i64::from(i32::MIN), i64::from(i32::MAX));
    /// A count, from 0.
    Count = number(0, i64::from(i32::MAX));
    /// A page size.
    Limit = number(1, 500);
    /// A page size of the log.
    LogLimit = number(1, 5_000);
    /// Priority.
    Priority = one_of(order::Priority::ALL);
    /// Status of an order.
    OrderStatus = one_of(order::Status::ALL);
    /// Status of a study.
    StudyStatus = one_of(study::Status::ALL);
    /// State of a study's link to an order.
    OrderLinkStatus = one_of(study::OrderLinkStatus::ALL);
    /// Status of a worklist item that a caller may ask for.
    RequestedItemStatus = one_of(worklist_item::RequestedStatus::ALL);
    /// Status of worklist items, or `all`; without it, only open items are listed.
    ItemStatusFilter = one_of(&item_status_filters());
    /// Status of a worklist item.
    ItemStatus = one_of(worklist_item::Status::ALL);
    /// A reason why a worklist item needs attention.
    Attention = one_of(worklist_item::Attention::ALL);
    /// PHI state: open, sealed (caller lacks permission), erased (key destroyed) or unreadable (stored data is corrupt).
    PhiState = one_of(render::PhiState::ALL);
    /// Whether a critical result was communicated.
    CriticalCommunicationStatus = one_of(report::CriticalCommunication::ALL);
    /// Kind of an addendum.
    AddendumKind = one_of(report::AddendumKind::ALL);
    /// Kind of a timeline entry.
    TimelineKind = one_of(timeline::EntryKind::ALL);
    /// Critical results that a list shows.
    CriticalResultFilter = one_of(&["open", "overdue", "communicated", "all"]);
    /// Status of a report.
    ReportStatus = one_of(report::Status::ALL);
    /// Means of a communication.
    CommunicationMethod = one_of(report::Method::ALL);
    /// Decision on an AI suggestion.
    SuggestionDecision = one_of(report::Decision::ALL);
    /// Type of a template.
    TemplateType = one_of(report_template::TemplateType::ALL);
    /// Protocol of a PACS endpoint.
    PacsProtocol = one_of(pacs_endpoint::Protocol::ALL);
    /// Type of an AI task.
    AiTaskType = one_of(ai_model::TaskType::ALL);
    /// Status of an AI task.
    AiTaskStatusName = one_of(ai_task::Status::ALL);
    /// Type of an AI output.
    AiOutputType = one_of(ai_task::OutputType::ALL);
}
