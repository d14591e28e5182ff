//! Why the agent does not begin.

use crate::agent::black_box::FolderError;
use crate::agent::http::{StartError, TokenError};

/// What to do about a server that does not start.
pub(super) fn hint(cause: &(dyn std::error::Error + 'static)) -> Option<&'static str> {
    if let Some(error) = cause.downcast_ref::<TokenError>() {
        return Some(match error {
            TokenError::CannotRead { .. } => "check that the file exists and that you may read it",
            TokenError::NoToken { .. } => "write a token into it, such as what `openssl rand -hex 32` prints",
        });
    }
    if let Some(error) = cause.downcast_ref::<FolderError>() {
        return Some(match error {
            FolderError::Io { .. } => {
                "give --black-box a directory that you may write to, or one that can be made in its parent"
            }
            FolderError::Open { .. } => {
                "make it yours alone: `chown` it to the user of the agent, and `chmod 700` it"
            }
        });
    }
    cause.downcast_ref::<StartError>().map(|error| match error {
        StartError::Unguarded(_) => {
            "give --token-file FILE, or --allow-unauthenticated if everybody who can reach that address may ask"
        }
        StartError::Nowhere => "give --listen ADDRESS:PORT or --listen-unix PATH",
        StartError::Address { .. } => "if another process listens there, choose another port with --listen",
        StartError::File { .. } => "check that you may write to that folder and that nobody listens there",
        StartError::Thread(_) => "check the limits on threads and descriptors (`ulimit -a`, pids.max)",
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::diagnose::{Exit, diagnose};
    use crate::process::Procfs;
    use crate::process::limits::Limits;
    use crate::process::privileges::Privileges;

    #[test]
    fn whoever_would_let_everybody_ask_is_told_how_not_to() {
        let address = "0.0.0.0:9464".parse().unwrap();
        let privileges = Privileges::of_this_process(&Procfs::system());
        let told = diagnose(&StartError::Unguarded(address).into(), &privileges, &Limits::of_this_process());
        assert_eq!(told.exit, Exit::Usage);
        assert!(told.hint.unwrap().starts_with("give --token-file FILE"), "{}", told.message);
    }
}
