//! Whose code a function is: the user's own, or a library's.

use std::borrow::Cow;

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
        let name = unescaped(function);
        if self.prefixes.iter().any(|prefix| name.starts_with(prefix.as_str())) {
            return true;
        }
        if is_standard_library(function) {
            return false;
        }
        let package = unescaped(package(function));
        package == MAIN || self.module.as_deref().is_some_and(|module| is_below(&package, module))
    }
}

/// Whether a package is that of a module, or below it.
fn is_below(package: &str, module: &str) -> bool {
    package.strip_prefix(module).is_some_and(|rest| {
        // The package of a file `x_test.go` may be another one in the same folder.
        rest.is_empty() || rest.starts_with('/') || rest == "_test"
    })
}

/// The import path of the package that a function is in.
fn package(function: &str) -> &str {
    // Type arguments have paths of their own.
    let plain = function.split('[').next().unwrap_or_default();
    let path_end = plain.rfind('/').map_or(0, |slash| slash + 1);
    // Dots of the last element are escaped, so that the first one ends the path.
    let name = &plain[path_end..];
    let end = name.find('.').map_or(plain.len(), |dot| path_end + dot);
    &plain[..end]
}

/// A function's name with what the linker escapes in import paths as it is written: `%2e` is a dot.
///
/// Source: Go `src/cmd/internal/objabi/path.go` (`PathToPrefix`).
fn unescaped(function: &str) -> Cow<'_, str> {
    if function.contains('%') { Cow::Owned(function.replace("%2e", ".")) } else { Cow::Borrowed(function) }
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
        assert!(own.has("gopkg.in/yaml%2ev3.(*parser).parse") && !own.has("gopkg.in/yaml%2ev2.Unmarshal"));
    }
}
