//! Who is let in, which may change while the server runs.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};

use super::guard::Guard;
use super::{Listen, StartError};
use crate::agent::tls::Identity;

/// The guard of a server, and how it shows who it is. Clones are the same.
#[derive(Clone, Debug)]
pub struct Doors {
    guard: Arc<Mutex<Arc<Guard>>>,
    identity: Arc<Mutex<Option<Identity>>>,
    address: Option<SocketAddr>,
}

impl Doors {
    pub(super) fn new(guard: Guard, listen: &Listen) -> Self {
        Self {
            guard: Arc::new(Mutex::new(Arc::new(guard))),
            identity: Arc::new(Mutex::new(listen.identity.clone())),
            address: listen.tcp,
        }
    }

    /// Lets in whoever `guard` does, from the next request on; not if that is everybody by mistake. The next connection is
    /// shown `identity`; whether there is one stays as it was.
    pub fn change(&self, guard: Guard, identity: Option<Identity>) -> Result<(), StartError> {
        check(&guard, self.address)?;
        *self.guard.lock().unwrap_or_else(PoisonError::into_inner) = Arc::new(guard);
        let mut before = self.identity.lock().unwrap_or_else(PoisonError::into_inner);
        if before.is_some() && identity.is_some() {
            *before = identity;
        }
        Ok(())
    }

    /// What TLS begins with, if it does.
    pub(super) fn identity(&self) -> Option<Identity> {
        self.identity.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(super) fn guard(&self) -> Arc<Guard> {
        Arc::clone(&self.guard.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// Whether a server may listen on this address with that guard.
pub(super) fn check(guard: &Guard, address: Option<SocketAddr>) -> Result<(), StartError> {
    let is_outside = |address: &SocketAddr| !address.ip().to_canonical().is_loopback();
    match address.filter(is_outside) {
        Some(address) if !guard.is_for_everybody() => Err(StartError::Unguarded(address)),
        Some(_) | None => Ok(()),
    }
}
