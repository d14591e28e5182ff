//! Which frames and goroutines Go shows to people: the rules of its own traceback, so that what we print reads
//! like what users know from `debug=2` and panics.
//!
//! Source: Go `src/runtime/traceback.go` (`showfuncinfo`, `isExportedRuntime`, `isSystemGoroutine`), go1.19 to
//! go1.27.

use crate::go::pclntab::FuncId;

/// Whether Go's traceback prints a frame of `function`.
///
/// `callee` is the function that it calls, shown or not; `None` if it is the innermost.
pub fn is_shown(function: &str, id: FuncId, callee: Option<FuncId>) -> bool {
    if id == FuncId::Wrapper && !callee.is_some_and(panics) {
        return false;
    }
    if matches!(id, FuncId::RunFinalizers | FuncId::RunCleanups) {
        return true;
    }
    if function == "runtime.gopanic" {
        return callee.is_some();
    }
    function.contains('.') && (!function.starts_with("runtime.") || is_exported_by_runtime(function))
}

/// Whether a goroutine that was started with `function` is the runtime's own, which Go neither counts nor prints.
pub fn is_started_by_runtime(function: &str, id: FuncId) -> bool {
    !matches!(id, FuncId::RuntimeMain | FuncId::Corostart | FuncId::HandleAsyncEvent)
        && function.starts_with("runtime.")
}

/// Whether `function` belongs to Go's standard library, told by the first element of its import path: those of
/// other packages have a dot in it, or are `main`, or are named by their module.
pub fn is_standard_library(function: &str) -> bool {
    let path_end = function.rfind('/').map_or(0, |slash| slash + 1);
    let package_end = function[path_end..].find('.').map_or(function.len(), |dot| path_end + dot);
    let package = &function[..package_end];
    let first = package.split_once('/').map_or(package, |(first, _)| first);
    STANDARD_LIBRARY.binary_search(&first).is_ok()
}

/// The wrapper of a method that panics is shown, or the panic would seem to come from nowhere.
const fn panics(id: FuncId) -> bool {
    matches!(id, FuncId::Gopanic | FuncId::Sigpanic | FuncId::Panicwrap)
}

/// An exported function, or an exported method of an exported type, of package `runtime`.
fn is_exported_by_runtime(function: &str) -> bool {
    let Some(name) = function.strip_prefix("runtime.") else { return false };
    let (receiver, name) = name.rsplit_once('.').unwrap_or(("", name));
    let receiver = receiver.strip_prefix("(*").and_then(|r| r.strip_suffix(')')).unwrap_or(receiver);
    let exported = |name: &str| name.starts_with(|first: char| first.is_ascii_uppercase());
    exported(name) && (receiver.is_empty() || exported(receiver))
}

/// The first elements of the import paths of the standard library, Go 1.19 to 1.27.
const STANDARD_LIBRARY: [&str; 55] = [
    "archive",
    "arena",
    "bufio",
    "builtin",
    "bytes",
    "cmd",
    "cmp",
    "compress",
    "container",
    "context",
    "crypto",
    "database",
    "debug",
    "embed",
    "encoding",
    "errors",
    "expvar",
    "flag",
    "fmt",
    "go",
    "hash",
    "html",
    "image",
    "index",
    "internal",
    "io",
    "iter",
    "log",
    "maps",
    "math",
    "mime",
    "net",
    "os",
    "path",
    "plugin",
    "reflect",
    "regexp",
    "runtime",
    "simd",
    "slices",
    "sort",
    "strconv",
    "strings",
    "structs",
    "sync",
    "syscall",
    "testing",
    "text",
    "time",
    "unicode",
    "unique",
    "unsafe",
    "uuid",
    "vendor",
    "weak",
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_are_hidden_as_go_hides_them() {
        let innermost = |function| is_shown(function, FuncId::Normal, None);
        assert!(innermost("main.main"));
        assert!(innermost("sync.runtime_SemacquireMutex"));
        assert!(innermost("runtime.Gosched"));
        assert!(innermost("runtime.(*Func).Entry"));
        assert!(!innermost("runtime.gopark"));
        assert!(!innermost("runtime.(*mheap).Free"));
        assert!(!innermost("_rt0_amd64_linux"));
        assert!(!is_shown("runtime.gopanic", FuncId::Gopanic, None));
        assert!(is_shown("runtime.gopanic", FuncId::Gopanic, Some(FuncId::Normal)));
        assert!(!is_shown("main.spawn.gowrap1", FuncId::Wrapper, Some(FuncId::Normal)));
        assert!(is_shown("main.(*T).m", FuncId::Wrapper, Some(FuncId::Panicwrap)));
    }

    #[test]
    fn the_programs_goroutines_are_told_from_the_runtimes() {
        assert!(is_started_by_runtime("runtime.forcegchelper", FuncId::Normal));
        assert!(!is_started_by_runtime("runtime.main", FuncId::RuntimeMain));
        assert!(!is_started_by_runtime("runtime.corostart", FuncId::Corostart));
        assert!(!is_started_by_runtime("os/signal.loop", FuncId::Normal));
    }

    #[test]
    fn the_standard_library_is_known_by_its_import_paths() {
        assert!(STANDARD_LIBRARY.is_sorted());
        for function in ["net/http.(*persistConn).readLoop", "sync.(*Mutex).Lock", "internal/poll.(*FD).Read"]
        {
            assert!(is_standard_library(function), "{function}");
        }
        for function in ["main.main", "example.com/net.Dial", "shop/order.(*Worker).process", ""] {
            assert!(!is_standard_library(function), "{function}");
        }
    }
}
