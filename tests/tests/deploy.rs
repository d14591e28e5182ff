//! What is in `deploy`: rules and dashboard are understood by Prometheus and ask for what there is, and what is there twice
//! is the same both times.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use leaktrace_core::node::metric_names;
use leaktrace_tests::packages::Package;
use leaktrace_tests::privilege::skip;
use serde_json::{Value, json};

const RULES: &str = "prometheus/leaktrace.rules.yml";
const RULES_TEST: &str = "prometheus/leaktrace.rules.test.yml";
const OPERATORS_RULES: &str = "kubernetes/overlays/prometheus-operator/prometheusrule.yaml";
const DASHBOARD: &str = "grafana/leaktrace.json";
const UNIT: &str = "systemd/leaktrace-agent.service";
const CHART: &str = "helm/leaktrace/Chart.yaml";
const RENDERED: &str = "helm/leaktrace/rendered.yaml";
/// What the Kustomize base and the chart both have.
const MANIFESTS: [&str; 4] = ["networkpolicy", "serviceaccount", "service", "daemonset"];

#[test]
fn the_rules_do_what_their_tests_say() {
    let Some(promtool) = promtool() else { return };
    for (check, file) in [("check", RULES), ("test", RULES_TEST)] {
        assert_runs(Command::new(&promtool).args([check, "rules"]).arg(path(file)));
    }
}

#[test]
fn prometheus_understands_what_the_dashboard_asks() {
    let Some(promtool) = promtool() else { return };
    // The variables of the dashboard stand in strings, where any text may be.
    let as_rule = |expression: &String| json!({"record": "dashboard:expression", "expr": expression});
    let rules: Vec<Value> = expressions().iter().map(as_rule).collect();
    assert!(rules.len() > 20, "{} expressions", rules.len());
    let folder = tempfile::tempdir().expect("a folder can be made");
    let file = folder.path().join("dashboard.yml");
    let groups = json!({"groups": [{"name": "dashboard", "rules": rules}]});
    // What is JSON is YAML as well.
    fs::write(&file, groups.to_string()).expect("it can be written");
    assert_runs(Command::new(promtool).args(["check", "rules", "--lint=none"]).arg(file));
}

#[test]
fn what_is_asked_for_is_exported_or_recorded() {
    let exported: BTreeSet<String> = metric_names().collect();
    let unknown: Vec<String> = metrics_used().difference(&exported).cloned().collect();
    assert!(unknown.is_empty(), "the agent exports no {unknown:?}");

    let (asking, recorded) = (asking(), recorded());
    let used = asking.iter().flat_map(|text| names(text)).filter(|name| is_recorded(name));
    let missing: BTreeSet<String> = used.filter(|name| !recorded.contains(name)).collect();
    assert!(missing.is_empty(), "no rule records {missing:?}");
}

#[test]
fn nothing_is_recorded_in_vain() {
    let asking = asking();
    let all: Vec<String> = asking.iter().flat_map(|text| names(text)).collect();
    for name in recorded() {
        let uses = all.iter().filter(|used| **used == name).count();
        assert!(uses > 1, "{name} is used by no other rule and not in the dashboard");
    }
}

#[test]
fn the_operators_rules_are_the_same() {
    let operators = read(OPERATORS_RULES);
    let (head, _) = operators.split_once("\nspec:\n").expect("it has a spec");
    let rules = read(RULES);
    let (_, groups) = rules.split_once("\ngroups:\n").expect("the rules are in groups");
    let indented =
        groups.lines().map(|line| if line.is_empty() { "\n".to_owned() } else { format!("  {line}\n") });
    let expected = format!("{head}\nspec:\n  groups:\n{}", indented.collect::<String>());
    if std::env::var_os("LEAKTRACE_BLESS").is_some() {
        fs::write(path(OPERATORS_RULES), &expected).expect("it can be written");
        return;
    }
    assert_eq!(operators, expected, "bless with LEAKTRACE_BLESS=1");
}

#[test]
fn the_chart_has_what_the_base_has() {
    let rendered = read(RENDERED);
    let documents: Vec<&str> = rendered.split("---\n").filter(|document| !document.is_empty()).collect();
    assert_eq!(documents.len(), MANIFESTS.len(), "{RENDERED} has a document for each manifest");
    for (manifest, document) in MANIFESTS.into_iter().zip(documents) {
        let base = read(&format!("kubernetes/base/{manifest}.yaml"));
        assert_eq!(without_comments(document), without_comments(&base), "{manifest}");
    }
}

#[test]
fn the_chart_may_ask_the_api_server_for_no_more_than_the_overlay() {
    let template =
        read("helm/leaktrace/templates/rbac.yaml").replace("{{ .Release.Namespace }}", "leaktrace");
    let mut lines = without_comments(&template);
    lines.retain(|line| !line.starts_with("{{"));
    let overlay = read("kubernetes/overlays/names-by-api/rbac.yaml");
    assert_eq!(lines, without_comments(&overlay));
    let (_, rules) = overlay.split_once("\nrules:\n").expect("it has rules");
    let (rules, _) = rules.split_once("---").expect("the binding follows");
    let words: Vec<&str> = rules.split_whitespace().collect();
    assert_eq!(words, ["-", "apiGroups:", "-", "\"\"", "resources:", "-", "pods", "verbs:", "-", "list"]);
}

#[test]
fn variables_in_manifests_are_options() {
    let help = leaktrace_tests::leaktrace::command("agent --help").output().expect("it runs");
    let help = String::from_utf8_lossy(&help.stdout).into_owned();
    for file in
        ["kubernetes/overlays/names-by-api/kustomization.yaml", "helm/leaktrace/templates/daemonset.yaml"]
    {
        let text = read(file);
        let variables: Vec<&str> = text.split("LEAKTRACE_AGENT_").skip(1).collect();
        assert!(!variables.is_empty(), "{file}");
        for variable in variables {
            let name = variable.lines().next().expect("a name").to_lowercase().replace('_', "-");
            assert!(help.contains(&format!("--{name} <")), "{name} of {file} is not in the help");
        }
    }
}

#[test]
fn the_chart_has_our_version() {
    let chart = read(CHART);
    for key in ["version", "appVersion"] {
        let line = format!("{key}: {}", env!("CARGO_PKG_VERSION"));
        assert!(chart.lines().any(|other| other == line), "{CHART} has no line {line:?}");
    }
}

#[test]
fn systemd_understands_the_unit() {
    if Command::new("systemd-analyze").arg("--version").output().is_err() {
        return skip("there is no systemd-analyze");
    }
    let folder = tempfile::tempdir().expect("a folder can be made");
    let unit = folder.path().join("leaktrace-agent.service");
    // It also looks whether the program is there.
    let text = read(UNIT).replace("/usr/bin/leaktrace ", "/bin/true ");
    fs::write(&unit, text).expect("it can be written");
    let said = assert_runs(Command::new("systemd-analyze").arg("verify").arg(&unit));
    assert!(!said.contains("leaktrace-agent"), "{said}");
}

#[test]
fn the_unit_starts_the_agent_with_what_it_understands() {
    let unit = read(UNIT);
    let line =
        unit.lines().find_map(|line| line.strip_prefix("ExecStart=/usr/bin/leaktrace ")).expect("it has one");
    let help = leaktrace_tests::leaktrace::command("agent --help").output().expect("it runs");
    let help = String::from_utf8_lossy(&help.stdout).into_owned();
    for option in line.split(' ').filter(|word| word.starts_with("--")) {
        assert!(help.contains(&format!("{option} <")), "{option} is not in the help:\n{help}");
    }
    for setting in ["Type=notify", "WatchdogSec=60s", "ExecReload=/bin/kill -HUP $MAINPID"] {
        assert!(unit.lines().any(|line| line == setting), "{setting}");
    }
}

/// The names of the agent's metrics that rules and dashboard ask for.
fn metrics_used() -> BTreeSet<String> {
    let texts = asking();
    let all = texts.iter().flat_map(|text| names(text));
    all.filter(|name| name.starts_with("leaktrace_") && !name.contains(':')).collect()
}

/// The names under which rules record something.
fn recorded() -> BTreeSet<String> {
    let rules = read(RULES);
    let records = rules.lines().filter_map(|line| line.trim().strip_prefix("- record: "));
    records.map(str::to_owned).collect()
}

fn is_recorded(name: &str) -> bool {
    name.starts_with("leaktrace:") || name.contains(":leaktrace_")
}

/// All that asks Prometheus for something.
fn asking() -> Vec<String> {
    let mut texts = expressions();
    let rules = read(RULES);
    texts.extend(rules.lines().filter(|line| !line.trim().starts_with('#')).map(str::to_owned));
    texts
}

/// What the dashboard asks for, in panels and in variables.
fn expressions() -> Vec<String> {
    let dashboard: Value = serde_json::from_str(&read(DASHBOARD)).expect("the dashboard is JSON");
    let mut all = Vec::new();
    collect(&dashboard, "expr", &mut all);
    let mut variables = Vec::new();
    collect(&dashboard["templating"], "definition", &mut variables);
    let of_values = |query: &String| {
        let inside = query.strip_prefix("label_values(")?.strip_suffix(')')?;
        inside.rsplit_once(',').map(|(series, _)| series.to_owned())
    };
    all.extend(variables.iter().filter_map(of_values));
    all
}

/// The texts under `key`, wherever it is.
fn collect(value: &Value, key: &str, into: &mut Vec<String>) {
    match value {
        Value::Object(members) => {
            into.extend(members.get(key).and_then(Value::as_str).map(str::to_owned));
            for member in members.values() {
                collect(member, key, into);
            }
        }
        Value::Array(elements) => {
            for element in elements {
                collect(element, key, into);
            }
        }
        _ => {}
    }
}

/// The words of `text` that could name a metric.
fn names(text: &str) -> impl Iterator<Item = String> {
    text.split(|c: char| !(c.is_ascii_alphanumeric() || c == '_' || c == ':')).map(str::to_owned)
}

/// The lines that say something, without quotes around words that need none.
fn without_comments(manifest: &str) -> Vec<String> {
    let lines = manifest.lines().filter(|line| !line.trim().is_empty() && !line.trim().starts_with('#'));
    lines.map(|line| line.replace('"', "")).collect()
}

/// `promtool`, of the package that has Prometheus, which is not installed for it.
fn promtool() -> Option<PathBuf> {
    match Package::Debian("prometheus").fetch(&mut |what| eprintln!("{what}")) {
        Ok(folder) => Some(folder.join("usr/bin/promtool")),
        Err(error) => {
            skip(&format!("no promtool: {error:#}"));
            None
        }
    }
}

/// What `command` wrote; it has to succeed.
#[track_caller]
fn assert_runs(command: &mut Command) -> String {
    let output = command.output().expect("it can be started");
    let said =
        [output.stdout, output.stderr].map(|text| String::from_utf8_lossy(&text).into_owned()).concat();
    assert!(output.status.success(), "{command:?}: {}\n{said}", output.status);
    said
}

fn read(file: &str) -> String {
    fs::read_to_string(path(file)).unwrap_or_else(|error| panic!("deploy/{file}: {error}"))
}

fn path(file: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).with_file_name("deploy").join(file)
}
