//! Whose code a function is: the user's own, or a library's.

use super::symbolize::with_import_path;
use super::traceback::is_standard_library;

/// The package that every program begins in.
const MAIN: &str = "main";

/// What of a program is the user's own: package `main`, the packages of the main module, and what the user says is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Own {
    module: Option<String>,
    prefixes: Vec<String>,
}

impl Own {
    /// The code of `main_module`, as build information has it, and all functions whose names begin with one of `prefixes`.
    pub fn new(main_module: Option<&str>, prefixes: &[String]) -> Self {
        Self { module: main_module.map(str::to_owned), prefixes: prefixes.to_vec() }
    }

    /// Whether the function with this name is the user's own.
    pub fn has(&self, function: &str) -> bool {
        let name = with_import_path(function);
        if self.prefixes.iter().any(|prefix| name.starts_with(prefix.as_str())) {
            return true;
        }
        if is_standard_library(function) {
            return false;
        }
        let is_in = |path: &str, ends: &[&str]| {
            let rest = name.strip_prefix(path);
            rest.is_some_and(|rest| ends.iter().any(|end| rest.starts_with(end)))
        };
        // The package of a file `x_test.go` may be another one in the same folder.
        is_in(MAIN, &["."])
            || self.module.as_deref().is_some_and(|module| is_in(module, &[".", "/", "_test."]))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn own() -> Own {
        Own::new(Some("example.com/shop"), &["corp.example/lib/".to_owned()])
    }

    #[test]
    fn package_main_the_main_module_and_what_the_user_says_are_own() {
        for function in [
            "main.main",
            "main.(*Server).run.func1",
            "example.com/shop.Run",
            "example.com/shop/order.(*Worker).process",
            "example.com/shop_test.TestRun",
            "corp.example/lib/pool.New",
            "main.Map[...]",
            "main.Map[go.shape.*example.com/other/x.T]",
        ] {
            assert!(own().has(function), "{function}");
        }
    }

    #[test]
    fn libraries_are_not() {
        for function in [
            "net/http.(*Server).Serve",
            "example.com/shopping.Run",
            "example.com/other.Run",
            "corp.example/library.Run",
            "mainline.Run",
            "runtime.main",
            "",
        ] {
            assert!(!own().has(function), "{function}");
        }
        assert!(!Own::default().has("example.com/shop.Run") && Own::default().has("main.main"));
    }

    #[test]
    fn escaped_dots_are_dots() {
        let own = Own::new(Some("gopkg.in/yaml.v3"), &[]);
        assert!(own.has("gopkg.in/yaml.v3.(*parser).parse"), "as it is shown");
        assert!(own.has("gopkg.in/yaml%2ev3.(*parser).parse") && !own.has("gopkg.in/yaml%2ev2.Unmarshal"));
    }
}
