//! Who is let in, which may change while the server runs.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};

use super::StartError;
use super::guard::Guard;

/// The guard of a server. Clones are the same.
#[derive(Clone, Debug)]
pub struct Doors {
    guard: Arc<Mutex<Arc<Guard>>>,
    address: Option<SocketAddr>,
}

impl Doors {
    pub(super) fn new(guard: Guard, address: Option<SocketAddr>) -> Self {
        Self { guard: Arc::new(Mutex::new(Arc::new(guard))), address }
    }

    /// Lets in whoever `guard` does, from the next request on; not if that is everybody by mistake.
    pub fn change(&self, guard: Guard) -> Result<(), StartError> {
        check(&guard, self.address)?;
        *self.guard.lock().unwrap_or_else(PoisonError::into_inner) = Arc::new(guard);
        Ok(())
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
