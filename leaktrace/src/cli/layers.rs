//! Settings of the agent that are not typed: from the environment and from a file, by the names of the options. What is typed
//! goes before what the environment says, and that before the file.
//!
//! They become words behind those that were typed, so that each is read and checked as if it had been.

use std::collections::BTreeSet;
use std::ffi::{OsStr, OsString};
use std::path::PathBuf;

use clap::parser::ValueSource;
use clap::{Arg, ArgAction, ArgMatches, Args as _, CommandFactory as _, FromArgMatches as _};
use leaktrace_core::base::escape;
use strsim::jaro_winkler;
use thiserror::Error;
use toml::{Table, Value};

use super::Args;
use super::agent::Agent;

/// What all variables begin with.
const PREFIX: &str = "LEAKTRACE_AGENT_";

/// What Kubernetes says of a Service called `leaktrace-agent` in variables that begin so as well.
const OF_KUBERNETES: [&str; 2] = ["SERVICE_", "PORT"];

/// Names that are less alike than this are not taken for each other. As clap does it.
const ALIKE: f64 = 0.7;

/// What is wrong with the settings.
#[derive(Debug, Error)]
pub enum LayerError {
    /// The file is not TOML.
    #[error("the config file is not TOML: {0}")]
    NotToml(String),
    /// There is no such setting.
    #[error("{source_name} has no meaning here: {key}{}", nearest.as_ref().map(|name| format!(" (did you mean {name}?)")).unwrap_or_default())]
    UnknownKey {
        /// Where it is.
        source_name: &'static str,
        /// What it is called.
        key: String,
        /// What may be meant.
        nearest: Option<String>,
    },
    /// A setting has a value of another type.
    #[error("{key} in the config file is {found}; expected {expected}")]
    WrongType {
        /// What it is called.
        key: String,
        /// What there is.
        found: &'static str,
        /// What there should be.
        expected: &'static str,
    },
    /// A variable is to be yes or no.
    #[error("{key} is {value:?}; expected true or false")]
    NotYesOrNo {
        /// The variable.
        key: String,
        /// Its value.
        value: String,
    },
    /// A value is refused, as it would be if it were typed.
    #[error("{source_name}: {what}")]
    Invalid {
        /// Where it is.
        source_name: &'static str,
        /// What is wrong.
        what: String,
    },
}

/// A setting that is not typed.
#[derive(Debug, PartialEq, Eq)]
struct Setting {
    name: String,
    /// None where it is a flag that is not set.
    words: Vec<OsString>,
}

/// Which file has settings, if any.
pub fn config_file(
    typed: &[OsString],
    environment: &[(OsString, OsString)],
) -> Result<Option<PathBuf>, LayerError> {
    resolve(typed, environment, None).map(|agent| agent.config)
}

/// What all of them mean together.
pub fn resolve(
    typed: &[OsString],
    environment: &[(OsString, OsString)],
    file: Option<&str>,
) -> Result<Agent, LayerError> {
    let mut words = typed.to_vec();
    let mut agent = parsed("the command line", &words)?;
    let mut decided = agent.1;
    let layers = [
        ("the environment", of_environment(environment)?),
        ("the config file", file.map(of_file).transpose()?.unwrap_or_default()),
    ];
    for (source_name, settings) in layers {
        let is_open = |setting: &&Setting| !exclusive(&setting.name).any(|name| decided.contains(&name));
        let fresh: Vec<&Setting> = settings.iter().filter(is_open).collect();
        words.extend(fresh.iter().flat_map(|setting| setting.words.clone()));
        agent = parsed(source_name, &words)?;
        decided.extend(fresh.iter().map(|setting| setting.name.clone()));
    }
    Ok(agent.0)
}

/// What these words mean, and which options are among them.
fn parsed(source_name: &'static str, words: &[OsString]) -> Result<(Agent, BTreeSet<String>), LayerError> {
    let invalid = |what: String| {
        let first = what.lines().next().unwrap_or_default();
        let what = escape::line(first.trim_start_matches("error: ")).into_owned();
        LayerError::Invalid { source_name, what }
    };
    let matches = Args::command().try_get_matches_from(words).map_err(|error| invalid(error.to_string()))?;
    let none = || invalid("the agent is not what is asked for".to_owned());
    let matches = matches.subcommand_matches("agent").ok_or_else(none)?;
    let agent = Agent::from_arg_matches(matches).map_err(|error| invalid(error.to_string()))?;
    Ok((agent, options().iter().filter(|option| is_typed(matches, option)).map(name).collect()))
}

fn is_typed(matches: &ArgMatches, option: &Arg) -> bool {
    matches.value_source(option.get_id().as_str()) == Some(ValueSource::CommandLine)
}

/// All options of the agent.
fn options() -> Vec<Arg> {
    let command = Agent::augment_args(clap::Command::new("agent"));
    command.get_arguments().filter(|option| option.get_long().is_some()).cloned().collect()
}

fn name(option: &Arg) -> String {
    option.get_long().unwrap_or_default().to_owned()
}

/// A setting, and those that it cannot be beside: who says one of them has decided about all.
fn exclusive(setting: &str) -> impl Iterator<Item = String> {
    let command = Agent::augment_args(clap::Command::new("agent"));
    let all = options();
    let conflicts = |one: &Arg| command.get_arg_conflicts_with(one).into_iter().map(name).collect::<Vec<_>>();
    let is_beside = |one: &&Arg| {
        let other = name(one);
        other == setting
            || conflicts(one).iter().any(|name| name == setting)
            || all.iter().any(|own| name(own) == setting && conflicts(own).contains(&other))
    };
    let found: Vec<String> = all.iter().filter(is_beside).map(name).collect();
    found.into_iter()
}

fn of_environment(variables: &[(OsString, OsString)]) -> Result<Vec<Setting>, LayerError> {
    let ours = variables.iter().filter_map(|(key, value)| Some((key.to_str()?.strip_prefix(PREFIX)?, value)));
    // A variable that is empty is one that is not set.
    let set = ours.filter(|(key, value)| !value.is_empty() && !is_of_kubernetes(key));
    let all = options();
    set.map(|(key, value)| {
        let option =
            all.iter().find(|option| variable(option) == key).ok_or_else(|| LayerError::UnknownKey {
                source_name: "a variable of the environment",
                key: escape::line(&format!("{PREFIX}{key}")).into_owned(),
                nearest: nearest(key, all.iter().map(variable)).map(|name| format!("{PREFIX}{name}")),
            })?;
        of_variable(option, key, value)
    })
    .collect()
}

/// How the variable of an option ends.
fn variable(option: &Arg) -> String {
    name(option).replace('-', "_").to_ascii_uppercase()
}

fn is_of_kubernetes(key: &str) -> bool {
    OF_KUBERNETES.iter().any(|prefix| key.starts_with(prefix))
}

fn of_variable(option: &Arg, key: &str, value: &OsStr) -> Result<Setting, LayerError> {
    let name = name(option);
    let words = match option.get_action() {
        ArgAction::SetTrue => {
            let text = value.to_string_lossy();
            let is_set = match text.to_ascii_lowercase().as_str() {
                "true" | "yes" | "on" | "1" => true,
                "false" | "no" | "off" | "0" => false,
                _ => {
                    let (key, value) = (format!("{PREFIX}{key}"), escape::line(&text).into_owned());
                    return Err(LayerError::NotYesOrNo { key, value });
                }
            };
            flag(&name, is_set)
        }
        ArgAction::Append => {
            let text = value.to_string_lossy();
            text.split(',').map(|one| word(&name, one.trim().as_ref())).collect()
        }
        _ => vec![word(&name, value)],
    };
    Ok(Setting { name, words })
}

fn of_file(text: &str) -> Result<Vec<Setting>, LayerError> {
    let table: Table =
        text.parse().map_err(|error: toml::de::Error| LayerError::NotToml(one_line(&error)))?;
    let all: Vec<Arg> = options().into_iter().filter(|option| name(option) != "config").collect();
    table
        .iter()
        .map(|(key, value)| {
            let option =
                all.iter().find(|option| name(option) == *key).ok_or_else(|| LayerError::UnknownKey {
                    source_name: "a key of the config file",
                    key: escape::line(key).into_owned(),
                    nearest: nearest(key, all.iter().map(name)),
                })?;
            of_entry(option, key, value)
        })
        .collect()
}

fn one_line(error: &toml::de::Error) -> String {
    let whole = error.to_string();
    // The first one says where; those after it draw that.
    let place = whole.lines().next().and_then(|line| line.rsplit_once(" at ")).map_or("", |(_, place)| place);
    escape::line(&format!("{place}: {}", error.message().replace('\n', " "))).into_owned()
}

fn of_entry(option: &Arg, key: &str, value: &Value) -> Result<Setting, LayerError> {
    let wrong = |expected| LayerError::WrongType { key: key.to_owned(), found: value.type_str(), expected };
    let text = |value: &Value| match value {
        Value::String(text) => Some(text.clone()),
        Value::Integer(number) => Some(number.to_string()),
        _ => None,
    };
    let words = match (option.get_action(), value) {
        (ArgAction::SetTrue, Value::Boolean(is_set)) => flag(key, *is_set),
        (ArgAction::SetTrue, _) => return Err(wrong("true or false")),
        (ArgAction::Append, Value::Array(values)) => {
            let texts: Option<Vec<String>> = values.iter().map(text).collect();
            let texts = texts.ok_or_else(|| wrong("a list of strings"))?;
            texts.iter().map(|text| word(key, text.as_ref())).collect()
        }
        (_, value) => {
            vec![word(key, text(value).ok_or_else(|| wrong("a string or a whole number"))?.as_ref())]
        }
    };
    Ok(Setting { name: key.to_owned(), words })
}

fn flag(name: &str, is_set: bool) -> Vec<OsString> {
    is_set.then(|| format!("--{name}").into()).into_iter().collect()
}

fn word(name: &str, value: &OsStr) -> OsString {
    let mut word = OsString::from(format!("--{name}="));
    word.push(value);
    word
}

/// The name that is most like `key`, if one is like it at all.
fn nearest(key: &str, names: impl Iterator<Item = String>) -> Option<String> {
    let alike = names.map(|name| (jaro_winkler(key, &name), name)).filter(|(alike, _)| *alike > ALIKE);
    alike.max_by(|(one, _), (other, _)| one.total_cmp(other)).map(|(_, name)| name)
}

#[cfg(test)]
mod tests;
