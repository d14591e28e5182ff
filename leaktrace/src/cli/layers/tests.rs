use super::*;
use crate::quantity::Overhead;

fn words(text: &str) -> Vec<OsString> {
    std::iter::once("leaktrace").chain(text.split_ascii_whitespace()).map(OsString::from).collect()
}

fn variables(pairs: &[(&str, &str)]) -> Vec<(OsString, OsString)> {
    pairs.iter().map(|(key, value)| (format!("{PREFIX}{key}").into(), value.into())).collect()
}

fn resolved(typed: &str, environment: &[(&str, &str)], file: &str) -> Result<Agent, String> {
    let environment = variables(environment);
    resolve(&words(typed), &environment, Some(file)).map_err(|error| error.to_string())
}

#[test]
fn what_is_typed_goes_before_the_environment_and_that_before_the_file() {
    let file = "exe = 'file'\nmax-series = 300\nmax-cpu = '3%'\nnode-profile = true";
    let agent = resolved("agent --exe typed", &[("EXE", "env"), ("MAX_SERIES", "200")], file).unwrap();
    assert_eq!((agent.exe.as_deref(), agent.max_series, agent.node_profile), (Some("typed"), 200, true));
    assert_eq!((agent.max_cpu, agent.max_processes), (Overhead(Some(0.03)), 1_000));
    let agent = resolved("agent -v", &[("NODE_PROFILE", "no"), ("EXE", "")], file).unwrap();
    assert_eq!((agent.exe.as_deref(), agent.node_profile), (Some("file"), false));
}

#[test]
fn who_says_where_to_listen_says_all_of_it() {
    let file = "listen = '127.0.0.1:1'";
    let agent = resolved("agent --listen-unix /run/a", &[("LISTEN", "127.0.0.1:2")], file).unwrap();
    assert_eq!(agent.listen_unix, Some(PathBuf::from("/run/a")));
    let agent = resolved("agent", &[("LISTEN_UNIX", "/run/b")], file).unwrap();
    assert_eq!(agent.listen_unix, Some(PathBuf::from("/run/b")));
    let both = resolved("agent", &[], "listen = '127.0.0.1:1'\nlisten-unix = '/run/c'").unwrap_err();
    assert!(both.starts_with("the config file: the argument '--listen"), "{both}");
}

#[test]
fn lists_are_lists() {
    let hosts =
        |environment: &[(&str, &str)], file: &str| resolved("agent", environment, file).unwrap().allowed_host;
    assert_eq!(
        hosts(&[("ALLOWED_HOST", "a.example, b.example")], "allowed-host = ['c']"),
        ["a.example", "b.example"]
    );
    assert_eq!(hosts(&[], "allowed-host = ['c', 'd']"), ["c", "d"]);
    assert_eq!(hosts(&[], "allowed-host = 'c'"), ["c"]);
}

#[test]
fn what_makes_no_sense_is_told_with_where_it_is() {
    let wrong = |environment: &[(&str, &str)], file: &str| resolved("agent", environment, file).unwrap_err();
    for (file, told) in [
        ("max-cup = '1%'", "a key of the config file has no meaning here: max-cup (did you mean max-cpu?)"),
        ("zzz = 1", "a key of the config file has no meaning here: zzz"),
        ("config = 'x'", "a key of the config file has no meaning here: config"),
        ("verbose = 1", "a key of the config file has no meaning here: verbose"),
        ("exe = ", "the config file is not TOML: line 1, column 7: "),
        ("exe = 1.5", "exe in the config file is float; expected a string or a whole number"),
        ("node-profile = 'yes'", "node-profile in the config file is string; expected true or false"),
        ("allowed-host = [1.5]", "allowed-host in the config file is array; expected a list of strings"),
        ("[agent]\nexe = 'a'", "a key of the config file has no meaning here: agent"),
        ("max-series = 1", "the config file: invalid value '1' for '--max-series <COUNT>'"),
        ("listen = \"x\\ny\"", "the config file: invalid value 'x"),
    ] {
        let found = wrong(&[], file);
        assert!(found.starts_with(told) && !found.contains('\n'), "{file:?}: {found}");
    }
    let unknown = wrong(&[("MAX_CUP", "1%")], "");
    let told = "LEAKTRACE_AGENT_MAX_CUP (did you mean LEAKTRACE_AGENT_MAX_CPU?)";
    assert!(unknown.ends_with(told), "{unknown}");
    assert!(wrong(&[("NODE_PROFILE", "maybe")], "").contains("LEAKTRACE_AGENT_NODE_PROFILE is \"maybe\""));
    assert!(wrong(&[("MAX_CPU", "much")], "").starts_with("the environment: invalid value 'much'"));
}

#[test]
fn what_kubernetes_says_of_a_service_is_no_setting() {
    let environment = [("PORT", "tcp://10.0.0.1:9464"), ("PORT_9464_TCP_ADDR", "x"), ("SERVICE_HOST", "x")];
    assert!(resolved("agent", &environment, "").is_ok());
    let clash = options().iter().map(variable).find(|name| is_of_kubernetes(name));
    assert_eq!(clash, None, "an option of that name could not be set by a variable");
}

#[test]
fn the_file_is_named_by_flag_or_variable() {
    let file = |typed: &str, environment: &[(&str, &str)]| {
        config_file(&words(typed), &variables(environment)).unwrap()
    };
    assert_eq!(file("agent", &[]), None);
    assert_eq!(file("agent", &[("CONFIG", "/etc/b")]), Some(PathBuf::from("/etc/b")));
    assert_eq!(file("agent --config /etc/a", &[("CONFIG", "/etc/b")]), Some(PathBuf::from("/etc/a")));
}
