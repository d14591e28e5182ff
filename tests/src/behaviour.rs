//! The behaviours of the programs in `targets`: their names, and what their sources say of where they leak.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, ensure};

use crate::go::Program;
use crate::process::Place;

/// One behaviour.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Behaviour {
    /// The program that has it.
    pub program: Program,
    /// The argument that asks for it.
    pub name: String,
    /// The file that describes it: `articles/nil_channel.go`.
    pub file: String,
    /// The lines of `go` statements that leak.
    pub leaks: Vec<u32>,
    /// The functions with `go` statements that leak and are not ours.
    pub foreign_leaks: Vec<String>,
    /// The lines at which what leaks stays.
    pub stuck: Vec<u32>,
    /// The lines from which `go` statements that are not ours were reached.
    pub from: Vec<u32>,
}

impl Behaviour {
    /// Every behaviour of a program, by name.
    pub fn all(program: Program) -> Result<Vec<Self>> {
        let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("targets").join(program.as_str());
        let mut all = Vec::new();
        for path in go_files(&directory)? {
            let source =
                fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))?;
            let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
            all.extend(described_in(program, &format!("{}/{name}", program.as_str()), &source));
        }
        ensure!(!all.is_empty(), "{} has no behaviours", program.as_str());
        Ok(all)
    }

    /// Whether goroutines that this `go` statement starts leak.
    pub fn is_leak(&self, created_by: &Place) -> bool {
        self.has(&self.leaks, created_by) || self.foreign_leaks.contains(&created_by.function)
    }

    /// Whether this is where what leaks stays.
    pub fn is_stuck(&self, place: &Place) -> bool {
        self.has(&self.stuck, place)
    }

    /// Whether a `go` statement that is not ours was reached from here.
    pub fn is_from(&self, place: &Place) -> bool {
        self.has(&self.from, place)
    }

    fn has(&self, lines: &[u32], place: &Place) -> bool {
        place.file.ends_with(&self.file) && lines.contains(&place.line)
    }
}

fn go_files(directory: &Path) -> Result<Vec<PathBuf>> {
    let entries = fs::read_dir(directory).with_context(|| format!("cannot read {}", directory.display()))?;
    let mut files: Vec<PathBuf> = entries.map(|entry| Ok(entry?.path())).collect::<Result<_>>()?;
    files.retain(|file| file.extension().is_some_and(|extension| extension == "go"));
    files.sort();
    Ok(files)
}

fn described_in(program: Program, file: &str, source: &str) -> Vec<Behaviour> {
    let names = source.lines().filter_map(registered_name);
    let lines_with = |mark: &str| {
        let numbered = (1..).zip(source.lines());
        numbered.filter(|(_, text)| text.ends_with(mark)).map(|(line, _)| line).collect::<Vec<u32>>()
    };
    let foreign = source.lines().filter_map(|line| line.strip_prefix("// leaks: "));
    let foreign_leaks: Vec<String> = foreign.map(str::to_owned).collect();
    let describe = |name: &str| Behaviour {
        program,
        name: name.to_owned(),
        file: file.to_owned(),
        leaks: lines_with("// leaks"),
        foreign_leaks: foreign_leaks.clone(),
        stuck: lines_with("// stuck"),
        from: lines_with("// from"),
    };
    names.map(describe).collect()
}

/// The name in `behaviour.Register("name", …`.
fn registered_name(line: &str) -> Option<&str> {
    line.trim_start().strip_prefix("behaviour.Register(\"")?.split('"').next()
}

#[cfg(test)]
mod tests {
    use super::*;

    const SOURCE: &str = "package main

// leaks: net/http.(*Transport).dialConn
func init() {
\tbehaviour.Register(\"one\", func() { go wait() }) // leaks
\tbehaviour.Register(\"two\", func() {})
}

func wait() {
\tselect {} // stuck
}
";

    fn place(function: &str, file: &str, line: u32) -> Place {
        Place { function: function.to_owned(), file: file.to_owned(), line }
    }

    #[test]
    fn the_marks_say_where_it_leaks() {
        let all = described_in(Program::Articles, "articles/one.go", SOURCE);
        assert_eq!(all.iter().map(|one| one.name.as_str()).collect::<Vec<_>>(), ["one", "two"]);
        let one = &all[0];
        assert!(one.is_leak(&place("main.init.0.func1", "leaktrace.test/targets/articles/one.go", 5)));
        assert!(!one.is_leak(&place("main.init.0.func1", "leaktrace.test/targets/articles/one.go", 6)));
        assert!(one.is_leak(&place("net/http.(*Transport).dialConn", "net/http/transport.go", 1)));
        assert!(one.is_stuck(&place("main.wait", "leaktrace.test/targets/articles/one.go", 10)));
    }

    #[test]
    fn what_must_not_leak_has_no_marks_and_what_must_has() {
        for (program, leaks) in [
            (Program::Articles, true),
            (Program::Reachable, true),
            (Program::Fixed, false),
            (Program::Healthy, false),
        ] {
            for one in Behaviour::all(program).unwrap() {
                let marked = !one.leaks.is_empty() || !one.foreign_leaks.is_empty();
                assert_eq!(marked, leaks, "{} {}", program.as_str(), one.name);
            }
        }
    }

    #[test]
    fn of_the_libraries_the_names_say_what_leaks() {
        let all = Behaviour::all(Program::Libraries).unwrap();
        for one in &all {
            let marked = !one.leaks.is_empty() || !one.foreign_leaks.is_empty();
            assert_eq!(
                (marked, !marked),
                (one.name.ends_with("_leak"), one.name.ends_with("_ok")),
                "{}",
                one.name
            );
        }
        let leaking = all.iter().filter(|one| one.name.ends_with("_leak")).count();
        assert!(leaking >= 20 && all.len() - leaking >= 20, "{leaking} of {}", all.len());
    }

    #[test]
    fn every_article_has_a_fixed_twin() {
        let fixed = Behaviour::all(Program::Fixed).unwrap();
        for article in Behaviour::all(Program::Articles).unwrap() {
            assert!(fixed.iter().any(|twin| twin.name == article.name), "{}", article.name);
        }
    }
}
