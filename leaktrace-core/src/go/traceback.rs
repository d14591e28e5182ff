//! Which frames and goroutines Go shows to people: the rules of its own traceback, so that what we print reads
//! like what users know from `debug=2` and panics.
//!
//! Source: Go `src/runtime/traceback.go` (`showfuncinfo`, `isExportedRuntime`, `isSystemGoroutine`), go1.19 to
//! go1.27.

use crate::go::facts::Traceback;
use crate::go::pclntab::FuncId;

/// What a function means to a traceback.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum FunctionKind {
    /// Nothing special.
    #[default]
    Normal,
    /// Made by the compiler to call another one; not shown, unless what it calls is a panic.
    Wrapper,
    /// `runtime.gopanic`, `runtime.sigpanic` or `runtime.panicwrap`: what they interrupt is shown.
    Panic,
    /// `runtime.runFinalizers` or `runtime.runCleanups`: shown although they are the runtime's (Go 1.25+).
    Cleanup,
    /// `runtime.goexit`: the end of every stack.
    Goexit,
    /// Not Go code.
    Foreign,
    /// No function: it stands at the outer end of a stack for the frames that are missing there.
    Cut,
}

impl FunctionKind {
    /// Every kind, in the order of their numbers in files.
    pub const ALL: [Self; 7] =
        [Self::Normal, Self::Wrapper, Self::Panic, Self::Cleanup, Self::Goexit, Self::Foreign, Self::Cut];
}

impl From<FuncId> for FunctionKind {
    fn from(id: FuncId) -> Self {
        match id {
            FuncId::Wrapper => Self::Wrapper,
            FuncId::Gopanic | FuncId::Sigpanic | FuncId::Panicwrap => Self::Panic,
            FuncId::RunFinalizers | FuncId::RunCleanups => Self::Cleanup,
            FuncId::Goexit => Self::Goexit,
            FuncId::Normal
            | FuncId::Abort
            | FuncId::AsmCgocall
            | FuncId::AsyncPreempt
            | FuncId::Cgocallback
            | FuncId::Corostart
            | FuncId::DebugCall
            | FuncId::GcBgMarkWorker
            | FuncId::Gogo
            | FuncId::HandleAsyncEvent
            | FuncId::Mcall
            | FuncId::Morestack
            | FuncId::Mstart
            | FuncId::Rt0Go
            | FuncId::RuntimeMain
            | FuncId::Systemstack
            | FuncId::SystemstackSwitch
            | FuncId::Other => Self::Normal,
        }
    }
}

/// Whether a traceback that is written in this way prints a frame of the Go function with this name.
///
/// `callee` is what it calls, shown or not; `first` says that nothing of the stack has been shown so far.
pub fn is_shown(
    rules: &Traceback,
    function: &str,
    kind: FunctionKind,
    callee: FunctionKind,
    first: bool,
) -> bool {
    match kind {
        // The wrapper of a method that panics is shown, or the panic would seem to come from nowhere.
        FunctionKind::Wrapper if callee != FunctionKind::Panic => return false,
        FunctionKind::Cleanup if rules.shows_cleanups => return true,
        _ => {}
    }
    if function == "runtime.gopanic" && !first {
        return true;
    }
    function.contains('.') && function.strip_prefix("runtime.").is_none_or(|name| is_exported(rules, name))
}

/// Whether a goroutine that was started with `function` is the runtime's own, which Go neither counts nor prints.
pub(crate) fn is_started_by_runtime(function: &str, id: FuncId) -> bool {
    !matches!(id, FuncId::RuntimeMain | FuncId::Corostart | FuncId::HandleAsyncEvent)
        && function.starts_with("runtime.")
}

/// The innermost of `frames`, which go outwards, that is the program's own code: `name` tells whose function it is.
pub(crate) fn innermost_own<F>(
    frames: impl IntoIterator<Item = F>,
    name: impl Fn(&F) -> Option<&str>,
) -> Option<F> {
    // What stands for missing frames is nobody's.
    let is_cut = |function: &str| function.starts_with("...");
    let is_own =
        |frame: &F| name(frame).is_some_and(|function| !is_standard_library(function) && !is_cut(function));
    frames.into_iter().find(is_own)
}

/// Whether `function` belongs to Go's standard library, told by the first element of its import path: those of
/// other packages have a dot in it, or are `main`, or are named by their module.
pub(crate) fn is_standard_library(function: &str) -> bool {
    let path_end = function.rfind('/').map_or(0, |slash| slash + 1);
    let package_end = function[path_end..].find('.').map_or(function.len(), |dot| path_end + dot);
    let package = &function[..package_end];
    let first = package.split_once('/').map_or(package, |(first, _)| first);
    STANDARD_LIBRARY.binary_search(&first).is_ok()
}

/// Whether what the runtime calls so is exported, and where that counts the type whose method it is as well.
fn is_exported(rules: &Traceback, name: &str) -> bool {
    let starts_upper = |name: &str| name.starts_with(|first: char| first.is_ascii_uppercase());
    if !rules.wants_exported_types {
        return starts_upper(name);
    }
    let (receiver, name) = name.rsplit_once('.').unwrap_or(("", name));
    let receiver = receiver.strip_prefix("(*").and_then(|r| r.strip_suffix(')')).unwrap_or(receiver);
    starts_upper(name) && (receiver.is_empty() || starts_upper(receiver))
}

/// The first elements of the import paths of the standard library, in any supported release (`src/` of the toolchain).
pub const STANDARD_LIBRARY: [&str; 55] = [
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
    use crate::go::version::GoVersion;

    const NORMAL: FunctionKind = FunctionKind::Normal;

    fn rules(minor: u16) -> &'static Traceback {
        Traceback::of(Some(GoVersion::new(1, minor)))
    }

    #[test]
    fn runtime_functions_are_hidden_unless_exported() {
        let shown = |minor, function| is_shown(rules(minor), function, NORMAL, NORMAL, true);
        assert!(shown(27, "main.main"));
        assert!(shown(27, "sync.runtime_SemacquireMutex"));
        assert!(shown(27, "runtime.Gosched"));
        assert!(shown(27, "runtime.(*Frames).Next"));
        assert!(!shown(22, "runtime.(*Frames).Next"));
        assert!(shown(27, "runtime/debug.Stack"));
        assert!(!shown(27, "runtime.gopark"));
        assert!(!shown(27, "runtime.(*mheap).Free"));
        assert!(!shown(27, "_rt0_amd64_linux"));
    }

    #[test]
    fn panics_and_wrappers_depend_on_their_neighbours() {
        let panics = FunctionKind::from(FuncId::Gopanic);
        let gopanic = |first| is_shown(rules(27), "runtime.gopanic", panics, NORMAL, first);
        assert!(!gopanic(true));
        assert!(gopanic(false));
        let wrapper =
            |callee: FuncId| is_shown(rules(27), "main.(*T).m", FuncId::Wrapper.into(), callee.into(), false);
        assert!(!wrapper(FuncId::Normal));
        assert!(wrapper(FuncId::Panicwrap));
    }

    #[test]
    fn what_runs_cleanups_is_shown_since_go_1_25() {
        let shown = |minor| {
            is_shown(rules(minor), "runtime.runFinalizers", FuncId::RunFinalizers.into(), NORMAL, false)
        };
        assert!(shown(25) && !shown(24));
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
