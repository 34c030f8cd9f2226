//! The query, strictly: an unknown or repeated parameter is refused, so that a typo is never dropped in silence.

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

/// The longest text to search for, in characters.
const MAX_SEARCH_CHARS: usize = 128;

/// A query that has not been read whole yet.
#[derive(Debug)]
pub(crate) struct StrictQuery {
    pairs: Vec<(String, String)>,
    /// The parameters that the endpoint has asked for.
    known: Vec<&'static str>,
}

impl StrictQuery {
    /// Takes a query apart, and out of it the `tenant_id` that every endpoint knows.
    pub(crate) fn parse(raw: Option<&str>, caller: &Caller) -> Result<Self, Problem> {
        let mut query = Self::open(raw)?;
        let tenant = query.take("tenant_id")?;
        let tenant = tenant
            .map(|tenant| parse_uuid("tenant_id", &tenant))
            .transpose()?;
        caller.require_tenant(tenant)?;
        Ok(query)
    }

    /// A query of somebody who is no caller.
    pub(crate) fn open(raw: Option<&str>) -> Result<Self, Problem> {
        let pairs = serde_urlencoded::from_str(raw.unwrap_or_default())
            .map_err(|_| Problem::query("query string must be form-urlencoded"))?;
        let known = Vec::new();
        Ok(Self { pairs, known })
    }

    /// A parameter, out of the query.
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

    /// A parameter that is one of a closed set of words.
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

    /// A parameter that has to parse.
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

    /// The same of one that is optional in a body, too: a blank one is none.
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

    /// A whole number.
    pub(crate) fn take_number(&mut self, name: &'static str) -> Result<Option<u64>, Problem> {
        self.take_parsed(name, |text| {
            text.parse::<u64>().map_err(|_| "must be an integer")
        })
    }

    /// A text without NUL, for a filter.
    pub(crate) fn take_text(&mut self, name: &'static str) -> Result<Option<String>, Problem> {
        self.take_parsed(name, |text| {
            if text.contains('\0') {
                Err("must not contain U+0000")
            } else {
                Ok(text.to_owned())
            }
        })
    }

    /// A text to search for, which is compared with every name there is.
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

    /// The first moment that a bound covers: a time, or a date's first millisecond.
    pub(crate) fn take_from(&mut self, name: &'static str) -> Result<Option<Timestamp>, Problem> {
        self.take_parsed(name, |text| time_or_date(text, "T00:00:00Z"))
    }

    /// The last moment that a bound covers: a time, or a date's last millisecond.
    pub(crate) fn take_to(&mut self, name: &'static str) -> Result<Option<Timestamp>, Problem> {
        self.take_parsed(name, |text| time_or_date(text, "T23:59:59.999Z"))
    }

    /// `as_of`: a time or a position.
    pub(crate) fn take_as_of(&mut self) -> Result<AsOf, Problem> {
        let as_of = self.take_parsed("as_of", |text| match text.parse::<u64>() {
            Ok(position) => Ok(AsOf::Position(position)),
            Err(_) => time_or_date(text, "T23:59:59.999Z").map(AsOf::Time),
        })?;
        Ok(as_of.unwrap_or(AsOf::Now))
    }

    /// `limit` and `cursor`. What identifies the list is in the cursor: another list's is refused.
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

    /// Refuses what is left, once everything that is known was asked for. The name that was sent is not repeated: it
    /// could be PHI.
    pub(crate) fn finish(self) -> Result<(), Problem> {
        match self.pairs.first() {
            None => Ok(()),
            Some((name, _)) => {
                let hint = nearest::hint(name, &self.known);
                Err(Problem::query(format!("a parameter {hint}")))
            }
        }
    }
}

/// A UUID in path or query.
pub(crate) fn parse_uuid(name: &str, value: &str) -> Result<Uuid, Problem> {
    Uuid::parse_str(value).map_err(|_| Problem::parameter(name, "must be a UUID"))
}

/// A bound of a search. One beyond what can be held, such as the 9999-12-31 of an open end, is the nearest that can.
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
