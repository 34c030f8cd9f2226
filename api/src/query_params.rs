//! Strict query parsing: an unknown or duplicate parameter is rejected, so that a typo is never silently ignored.

use roentgen_domain::Timestamp;
use roentgen_domain::ids::TenantId;
use roentgen_domain::time::ParsedTime;
use roentgen_store::loader::AsOf;
use uuid::Uuid;

use crate::identity::Caller;
use crate::nearest;
use crate::pagination::{Cursors, Page};
use crate::problem::Problem;
use crate::validation::is_blank;

/// Maximum length of a search text, in characters.
const MAX_SEARCH_CHARS: usize = 128;

/// Query string, from which an endpoint takes one parameter after the other.
#[derive(Debug)]
pub(crate) struct StrictQuery {
    pairs: Vec<(String, String)>,
    /// Names of the parameters that the endpoint has asked for.
    known: Vec<&'static str>,
}

impl StrictQuery {
    /// Parses a query and checks `tenant_id`, which every endpoint accepts.
    pub(crate) fn parse(raw: Option<&str>, caller: &Caller) -> Result<Self, Problem> {
        let mut query = Self::open(raw)?;
        let tenant = query.take("tenant_id")?;
        let tenant = tenant
            .map(|tenant| parse_uuid("tenant_id", &tenant))
            .transpose()?;
        caller.require_tenant(tenant)?;
        Ok(query)
    }

    /// Parses the query of a request without a caller.
    pub(crate) fn open(raw: Option<&str>) -> Result<Self, Problem> {
        let pairs = serde_urlencoded::from_str(raw.unwrap_or_default())
            .map_err(|_| Problem::query("query string must be form-urlencoded"))?;
        let known = Vec::new();
        Ok(Self { pairs, known })
    }

    /// Takes a parameter out of the query; a duplicate is rejected.
    pub(crate) fn take(&mut self, name: &'static str) -> Result<Option<String>, Problem> {
        self.known.push(name);
        let Some(place) = self.pairs.iter().position(|(pair, _)| pair == name) else {
            return Ok(None);
        };
        let (_, value) = self.pairs.swap_remove(place);
        if self.pairs.iter().any(|(pair, _)| pair == name) {
            return Err(Problem::parameter(name, "duplicate parameter"));
        }
        Ok(Some(value))
    }

    /// Takes a parameter that has a fixed set of values.
    pub(crate) fn take_enum<T>(
        &mut self,
        name: &'static str,
        parse: impl FnOnce(&str) -> Option<T>,
        words: &str,
    ) -> Result<Option<T>, Problem> {
        self.take_parsed(name, |text| {
            parse(text).ok_or(format!("must be one of {words}"))
        })
    }

    /// Takes a parameter and parses it.
    pub(crate) fn take_parsed<T, E: std::fmt::Display>(
        &mut self,
        name: &'static str,
        parse: impl FnOnce(&str) -> Result<T, E>,
    ) -> Result<Option<T>, Problem> {
        let Some(value) = self.take(name)? else {
            return Ok(None);
        };
        parse(&value)
            .map(Some)
            .map_err(|error| Problem::parameter(name, error))
    }

    /// Takes a parameter that is optional in a body, too: a blank value counts as absent.
    pub(crate) fn take_optional<T, E: std::fmt::Display>(
        &mut self,
        name: &'static str,
        parse: impl FnOnce(&str) -> Result<T, E>,
    ) -> Result<Option<T>, Problem> {
        let parsed = self.take_parsed(name, |text| {
            if is_blank(text) {
                Ok(None)
            } else {
                parse(text).map(Some)
            }
        })?;
        Ok(parsed.flatten())
    }

    pub(crate) fn take_uuid<T: From<Uuid>>(
        &mut self,
        name: &'static str,
    ) -> Result<Option<T>, Problem> {
        let id = self.take(name)?;
        let id = id.map(|text| parse_uuid(name, &text)).transpose()?;
        Ok(id.map(T::from))
    }

    pub(crate) fn take_bool(&mut self, name: &'static str) -> Result<Option<bool>, Problem> {
        self.take_parsed(name, |text| {
            text.parse::<bool>().map_err(|_| "must be true or false")
        })
    }

    /// Takes an unsigned integer.
    pub(crate) fn take_number(&mut self, name: &'static str) -> Result<Option<u64>, Problem> {
        self.take_parsed(name, |text| {
            text.parse::<u64>().map_err(|_| "must be an integer")
        })
    }

    /// Takes a filter text, which must not contain NUL.
    pub(crate) fn take_text(&mut self, name: &'static str) -> Result<Option<String>, Problem> {
        self.take_parsed(name, |text| {
            if text.contains('\0') {
                Err("must not contain U+0000")
            } else {
                Ok(text.to_owned())
            }
        })
    }

    /// Takes a search text. Its length is limited, because it is compared with every name.
    pub(crate) fn take_search(&mut self, name: &'static str) -> Result<Option<String>, Problem> {
        let term = self.take_text(name)?;
        match &term {
            Some(text) if text.chars().count() > MAX_SEARCH_CHARS => {
                let detail = format!("must not be longer than {MAX_SEARCH_CHARS} characters");
                Err(Problem::parameter(name, detail))
            }
            Some(_) | None => Ok(term),
        }
    }

    /// Takes a lower bound: a time, or the first millisecond of a date.
    pub(crate) fn take_from(&mut self, name: &'static str) -> Result<Option<Timestamp>, Problem> {
        self.take_parsed(name, |text| time_or_date(text, "T00:00:00Z"))
    }

    /// Takes an upper bound: a time, or the last millisecond of a date.
    pub(crate) fn take_to(&mut self, name: &'static str) -> Result<Option<Timestamp>, Problem> {
        self.take_parsed(name, |text| time_or_date(text, "T23:59:59.999Z"))
    }

    /// Takes `as_of`: a time or a log position.
    pub(crate) fn take_as_of(&mut self) -> Result<AsOf, Problem> {
        let as_of = self.take_parsed("as_of", |text| match text.parse::<u64>() {
            Ok(position) => Ok(AsOf::Position(position)),
            Err(_) => time_or_date(text, "T23:59:59.999Z").map(AsOf::Time),
        })?;
        Ok(as_of.unwrap_or(AsOf::Now))
    }

    /// Takes `limit` and `cursor`. A cursor identifies its list; the cursor of another list is rejected.
    pub(crate) fn take_page(
        &mut self,
        cursors: &Cursors,
        tenant: TenantId,
        list: &str,
    ) -> Result<Page, Problem> {
        let limit = self.take_parsed("limit", |text| {
            text.parse::<u32>()
                .ok()
                .filter(|number| (1..=500).contains(number))
                .ok_or("must be 1 to 500")
        })?;
        let cursor = self.take("cursor")?;
        let after = cursor
            .map(|text| cursors.parse(&text, tenant, list))
            .transpose()?;
        Ok(Page {
            limit: limit.unwrap_or(50),
            after,
        })
    }

    /// Rejects parameters that the endpoint has not asked for. The detail does not repeat the name that was sent: it
    /// could be PHI.
    pub(crate) fn finish(self) -> Result<(), Problem> {
        match self.pairs.first() {
            None => Ok(()),
            Some((name, _)) => {
                let hint = nearest::hint(name, &self.known);
                Err(Problem::query(format!("unknown parameter; {hint}")))
            }
        }
    }
}

/// Parses a UUID in a path or query.
pub(crate) fn parse_uuid(name: &str, value: &str) -> Result<Uuid, Problem> {
    Uuid::parse_str(value).map_err(|_| Problem::parameter(name, "must be a UUID"))
}

/// Parses a bound of a search. A time that is out of range, such as 9999-12-31 for an open end, is clamped.
fn time_or_date(text: &str, time_of_day: &str) -> Result<Timestamp, &'static str> {
    let date = text.len() == 10;
    let time = if date {
        format!("{text}{time_of_day}")
    } else {
        text.to_owned()
    };
    ParsedTime::parse(&time)
        .map(ParsedTime::clamped)
        .map_err(|_| "must be an RFC 3339 time or a date, YYYY-MM-DD")
}
