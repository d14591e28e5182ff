//! Why the agent does not begin.

use crate::agent::black_box::FolderError;
use crate::agent::http::{StartError, TokenError};
use crate::agent::settings::SettingsError;
use crate::agent::tls::TlsError;
use crate::cli::layers::LayerError;

/// What to do about an agent that does not start.
pub(super) fn hint(cause: &(dyn std::error::Error + 'static)) -> Option<&'static str> {
    if let Some(error) = cause.downcast_ref::<TokenError>() {
        return Some(match error {
            TokenError::CannotRead { .. } => "check that the file exists and that you may read it",
            TokenError::NoToken { .. } => "write a token into it, such as what `openssl rand -hex 32` prints",
        });
    }
    if let Some(error) = cause.downcast_ref::<TlsError>() {
        return Some(error.hint());
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
    if let Some(error) = cause.downcast_ref::<SettingsError>() {
        return Some(of_settings(error));
    }
    if let Some(error) = cause.downcast_ref::<LayerError>() {
        return Some(of_layer(error));
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

const fn of_settings(error: &SettingsError) -> &'static str {
    match error {
        SettingsError::CannotRead { .. } => "check that the file exists, is text, and that you may read it",
        SettingsError::TooLong { .. } => "give the file with the agent's settings: it has a line for each",
        SettingsError::Layer(error) => of_layer(error),
    }
}

const fn of_layer(error: &LayerError) -> &'static str {
    match error {
        LayerError::NotToml(_) => "write it as `max-cpu = \"1%\"`, a line for each setting",
        LayerError::UnknownKey { .. } => {
            "settings have the names of the options: see `leaktrace agent --help`"
        }
        LayerError::WrongType { .. } => "quote what is text: `max-cpu = \"1%\"`",
        LayerError::NotYesOrNo { .. } => "set it to true or false, or do not set it",
        LayerError::Invalid { .. } => "see `leaktrace agent --help` for what it may be",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::diagnose::{Exit, diagnose};
    use crate::process::Procfs;
    use crate::process::limits::Limits;
    use crate::process::privileges::Privileges;

    #[test]
    fn whoever_misspells_a_setting_is_told_what_there_is() {
        let typed = ["leaktrace", "agent"].map(Into::into);
        let error = crate::cli::layers::resolve(&typed, &[], Some("max-cup = '1%'")).unwrap_err();
        let error = anyhow::Error::from(error).context("cannot use the settings of /etc/a.toml");
        let privileges = Privileges::of_this_process(&Procfs::system());
        let told = diagnose(&error, &privileges, &Limits::of_this_process());
        assert!(told.message.contains("/etc/a.toml: a key of the config file"), "{}", told.message);
        assert!(told.hint.unwrap().contains("agent --help"));
    }

    #[test]
    fn whoever_would_let_everybody_ask_is_told_how_not_to() {
        let address = "0.0.0.0:9464".parse().unwrap();
        let privileges = Privileges::of_this_process(&Procfs::system());
        let told = diagnose(&StartError::Unguarded(address).into(), &privileges, &Limits::of_this_process());
        assert_eq!(told.exit, Exit::Usage);
        assert!(told.hint.unwrap().starts_with("give --token-file FILE"), "{}", told.message);
    }
}
