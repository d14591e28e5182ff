//! Paths of Go source files as people read them: without the folder of the toolchain or of the module cache.

use crate::go::traceback;

/// Below it the module cache keeps each module at its version. Source: `go help goproxy`, `GOMODCACHE`.
const MODULE_CACHE: &str = "/pkg/mod/";

/// Below it a Go toolchain has the standard library.
const STANDARD_LIBRARY: &str = "/src/";

/// What is left of `file`, in which `function` is: `net/http/server.go`, `github.com/user/module@v1.2.3/file.go`, or a
/// program's own path as it is. `-trimpath` writes the same into a binary.
pub(super) fn short<'f>(function: Option<&str>, file: &'f str) -> &'f str {
    let is_standard = function.is_some_and(traceback::is_standard_library);
    let root = if is_standard { STANDARD_LIBRARY } else { MODULE_CACHE };
    file.rsplit_once(root).map_or(file, |(_, short)| short)
}

#[cfg(test)]
mod tests {
    use super::short;

    #[test]
    fn the_folders_of_toolchain_and_module_cache_are_left_out() {
        for (function, file, shown) in [
            ("net/http.(*conn).serve", "/usr/lib/go/src/net/http/server.go", "net/http/server.go"),
            ("net/http.(*conn).serve", "net/http/server.go", "net/http/server.go"),
            ("main.main", "/home/jo/src/shop/main.go", "/home/jo/src/shop/main.go"),
            (
                "example.com/a/b.F",
                "/root/go/pkg/mod/example.com/a@v1.2.3/b/f.go",
                "example.com/a@v1.2.3/b/f.go",
            ),
            ("net/http.(*conn).serve", "", ""),
        ] {
            assert_eq!(short(Some(function), file), shown);
        }
        assert_eq!(short(None, "/usr/lib/go/src/net/http/server.go"), "/usr/lib/go/src/net/http/server.go");
    }
}
