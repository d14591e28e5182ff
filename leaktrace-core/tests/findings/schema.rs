//! The SARIF that we write against the schema that OASIS publishes.

use leaktrace_core::judge::detect::Gate;
use leaktrace_core::schema::Report;
use serde_json::{Value, json};

use crate::{rendered, sample};

const SCHEMA: &str = include_str!("../fixtures/sarif/sarif-schema-2.1.0.json");

/// What is wrong with `log`, if anything is.
fn fault(log: &Value) -> Option<String> {
    let mut compiler = boon::Compiler::new();
    compiler.enable_format_assertions();
    let name = "https://leaktrace.example/sarif.json";
    compiler.add_resource(name, serde_json::from_str(SCHEMA).unwrap()).unwrap();
    let mut schemas = boon::Schemas::new();
    let schema = compiler.compile(name, &mut schemas).unwrap();
    schemas.validate(log, schema).err().map(|error| error.to_string())
}

fn log(report: &Report) -> Value {
    serde_json::from_str(&rendered("sarif", report, &Gate::default())).unwrap()
}

#[test]
fn what_we_write_is_sarif() {
    let mut report = sample::report();
    assert_eq!(fault(&log(&report)), None);
    // As little as can be known.
    for verdict in report.incidents.iter_mut().flat_map(|incident| &mut incident.verdicts) {
        verdict.created_by.file = None;
        verdict.created_by.function = None;
        verdict.blocked_at.clear();
        verdict.creation_stack.clear();
    }
    report.sources.clear();
    assert_eq!(fault(&log(&report)), None);
    report.incidents.clear();
    assert_eq!(fault(&log(&report)), None);
}

#[test]
fn the_schema_notices_what_is_not() {
    let mut wrong = log(&sample::report());
    wrong["runs"][0]["results"][0]["level"] = json!("fatal");
    assert!(fault(&wrong).is_some());
    let mut wrong = log(&sample::report());
    wrong["runs"][0]["results"][0]["place"] = json!({});
    assert!(fault(&wrong).is_some());
}
