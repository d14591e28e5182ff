//! What it means that the kernel does not let us trace.

use std::error::Error;
use std::io;

use super::{Exit, FROM_MEMORY, Meaning, permission};
use crate::kernel::features::Feature;
use crate::kernel::{AttachError, LoadError};
use crate::process::privileges::Privileges;

pub(super) fn meaning(cause: &(dyn Error + 'static), privileges: &Privileges) -> Option<Meaning> {
    if let Some(error) = cause.downcast_ref::<LoadError>() {
        return Some(of_load(error, privileges));
    }
    cause.downcast_ref::<AttachError>().map(|error| of_attach(error, privileges))
}

fn not_permitted(privileges: &Privileges) -> Meaning {
    Meaning::new(Exit::NotPermitted, format!("{}; {FROM_MEMORY}", permission(privileges)))
}

fn cannot() -> Meaning {
    Meaning::new(Exit::Kernel, format!("`leaktrace doctor` shows what is missing; {FROM_MEMORY}"))
}

fn of_load(error: &LoadError, privileges: &Privileges) -> Meaning {
    match error {
        LoadError::NotPermitted(_) => not_permitted(privileges),
        LoadError::Object(_) => {
            Meaning::new(Exit::Usage, "this build of leaktrace is broken: please report this")
        }
        LoadError::NoCpus(_) => {
            Meaning::new(Exit::Kernel, format!("{}; {FROM_MEMORY}", Feature::PossibleCpus.remedy()))
        }
        LoadError::Map(_) | LoadError::Program { .. } | LoadError::System(_) | LoadError::NoUprobeMulti => {
            cannot()
        }
    }
}

fn of_attach(error: &AttachError, privileges: &Privileges) -> Meaning {
    match error {
        AttachError::Exe(source)
        | AttachError::Taking(source)
        | AttachError::Thread(source)
        | AttachError::Multi { source, .. }
        | AttachError::Perf { source, .. } => of_io(source, privileges),
        AttachError::Load(error) => of_load(error, privileges),
        AttachError::UnknownTarget(_)
        | AttachError::Keeper(_)
        | AttachError::Late(_)
        | AttachError::Wait(_)
        | AttachError::NoFilter => cannot(),
    }
}

fn of_io(error: &io::Error, privileges: &Privileges) -> Meaning {
    let gone = error.raw_os_error() == Some(rustix::io::Errno::SRCH.raw_os_error());
    match error.kind() {
        io::ErrorKind::PermissionDenied => not_permitted(privileges),
        io::ErrorKind::NotFound => Meaning::plain(Exit::NoTarget),
        _ if gone => Meaning::plain(Exit::NoTarget),
        _ => cannot(),
    }
}
