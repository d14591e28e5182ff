//! The command lines that users copy out of the documents and the workflow are ones that the command line takes.

#![expect(clippy::unwrap_used, reason = "a document that cannot be read has failed the test")]

use std::fs;
use std::path::{Path, PathBuf};

use clap::Parser;
use leaktrace::cli::Args;
use yaml_rust2::{Yaml, YamlLoader};

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_owned()
}

fn workflow() -> Yaml {
    let text = fs::read_to_string(root().join("docs/ci/github-actions.yml")).unwrap();
    YamlLoader::load_from_str(&text).unwrap().remove(0)
}

/// The words of the leaktrace command in a line of a shell, if it has one: between quotes, after `sudo`, up to a
/// comment or a redirection.
fn leaktrace_command(line: &str) -> Option<Vec<String>> {
    let code = line.split(" #").next().unwrap_or_default().trim();
    let (_, quoted) = code.split_once("-exec '").unwrap_or_default();
    if let Some((wrapper, _)) = quoted.split_once('\'') {
        return Some(words(&format!("{wrapper} ./order.test -test.v")));
    }
    let command = code.strip_prefix("sudo ").unwrap_or(code);
    command.starts_with("leaktrace ").then(|| words(command))
}

/// What a shell would make of it, with 7 for what only it can know, and without `[what may be left out]`
/// and what the output is piped into.
fn words(command: &str) -> Vec<String> {
    let (given, _) = command.split_once(" [").unwrap_or((command, ""));
    let known = given.replace("\"$(cat service.pid)\"", "7").replace("PID", "7");
    let typed = known.split_whitespace().take_while(|word| *word != "|");
    typed.map(|word| word.trim_matches(['\'', '"']).to_owned()).collect()
}

#[track_caller]
fn accepted(line: &str) -> bool {
    let Some(words) = leaktrace_command(line) else { return false };
    if let Err(error) = Args::try_parse_from(&words) {
        panic!("{line}\n{words:?}\n{error}");
    }
    true
}

/// The lines that are code: indented by four blanks, or fenced.
fn code(markdown: &str) -> impl Iterator<Item = &str> {
    let mut is_fenced = false;
    markdown.lines().filter(move |line| {
        is_fenced ^= line.starts_with("```");
        is_fenced || line.starts_with("    ")
    })
}

#[test]
fn what_documents_show_can_be_typed() {
    let folder = fs::read_dir(root().join("docs")).unwrap().map(|entry| entry.unwrap().path());
    let documents = folder.filter(|path| path.extension().is_some_and(|ending| ending == "md"));
    let mut commands = 0;
    for document in documents.chain([root().join("README.md")]) {
        let text = fs::read_to_string(&document).unwrap();
        commands += code(&text).filter(|line| accepted(line)).count();
    }
    assert!(commands > 12, "only {commands} commands were found");
}

/// Every step of every job.
fn steps(workflow: &Yaml) -> Vec<&Yaml> {
    let jobs = workflow["jobs"].as_hash().unwrap().values();
    jobs.flat_map(|job| job["steps"].as_vec().unwrap()).collect()
}

#[test]
fn what_the_workflow_runs_can_be_typed() {
    let workflow = workflow();
    let scripts = steps(&workflow).into_iter().filter_map(|step| step["run"].as_str());
    let whole = scripts.map(|script| script.replace("\\\n", " ")).collect::<Vec<_>>().join("\n");
    let commands: Vec<&str> = whole.lines().filter(|line| accepted(line)).collect();
    assert_eq!(commands.len(), 2, "a run and a check: {commands:?}");
}

#[test]
fn the_workflow_is_one() {
    let workflow = workflow();
    assert!(workflow["name"].as_str().is_some() && workflow["on"].as_hash().is_some());
    assert_eq!(workflow["permissions"]["contents"].as_str(), Some("read"));
    for step in steps(&workflow) {
        let (uses, run) = (step["uses"].as_str(), step["run"].as_str());
        assert!(uses.is_some() != run.is_some(), "a step uses an action or runs a script: {step:?}");
        assert!(uses.is_none_or(|action| action.contains('@')), "an action has a version: {step:?}");
    }
    for job in workflow["jobs"].as_hash().unwrap().values() {
        assert!(job["runs-on"].as_str().is_some());
    }
}

#[test]
fn a_command_that_cannot_be_typed_is_noticed() {
    assert_eq!(leaktrace_command("cargo xtask demo"), None);
    assert!(accepted("sudo leaktrace --pid 7   # for ever"));
    for wrong in
        ["leaktrace check --pid 7 --fial-on likely", "go test -exec 'leaktrace run --fail-on never --' ./..."]
    {
        let words = leaktrace_command(wrong).unwrap();
        assert!(Args::try_parse_from(&words).is_err(), "{wrong}");
    }
}
