//! The readers of an engine, which tenants share, and the scope of what a read finds.

use roentgen_domain::ids::TenantId;

use crate::fair::{FairShare, Limits};

/// Maximum number of waiting reads per tenant: as many as there can be followers of the log, which all read when it
/// grows.
const WAITING: usize = 4096;

/// The tenants whose data a lookup by id finds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scope {
    /// One tenant's data. An id of another tenant is not found, like an unknown id.
    Tenant(TenantId),
    /// All tenants' data: for the projector, `verify` and operators.
    AllTenants,
}

impl Scope {
    /// Returns the only tenant whose data is found, or `None` for all tenants.
    pub const fn tenant(self) -> Option<TenantId> {
        match self {
            Self::Tenant(tenant) => Some(tenant),
            Self::AllTenants => None,
        }
    }
}

/// The readers of an engine, shared fairly among tenants.
#[derive(Debug, Clone)]
pub struct Readers {
    /// Readers of the log.
    pub log: FairShare,
    /// Readers of the read models.
    pub models: FairShare,
}

/// Number of connections reserved for the system's reads, in addition to those that tenants share.
pub(crate) const SYSTEM_READERS: u32 = 2;

impl Readers {
    /// Creates one pool of shares for the log and the read models.
    pub(crate) fn pooled(shared: usize, reserve: usize) -> Self {
        let log = FairShare::new("readers", limits(shared, reserve));
        Self {
            models: log.clone(),
            log,
        }
    }

    /// Creates separate pools of shares for the log and the read models.
    pub(crate) fn apart(shared: usize, reserve: usize) -> Self {
        Self {
            log: FairShare::new("log_readers", limits(shared, reserve)),
            models: FairShare::new("model_readers", limits(shared, reserve)),
        }
    }
}

const fn limits(shared: usize, reserve: usize) -> Limits {
    Limits {
        shared,
        reserve,
        little: 1,
        waiting: WAITING,
    }
}
