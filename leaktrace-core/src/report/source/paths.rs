//! Where a source file may lie below a folder, going by the path that the binary has of it.

/// The most places that are tried for one file.
const MAX_CANDIDATES: usize = 32;

/// The paths below the folder of sources that the file may have, the likeliest first: that within its module if
/// `module` is the folder's, else ever shorter endings of `file`, so that the longest common one is found first.
/// Empty for a file of a dependency, which another folder has.
///
/// None of them leaves the folder.
pub fn candidates(file: &str, module: Option<&str>) -> Vec<String> {
    // The module cache and vendor folders of other modules name a version: `example.com/pool@v1.2.3/pool.go`.
    if file.contains('@') {
        return Vec::new();
    }
    let within = module.and_then(|module| file.strip_prefix(module)?.strip_prefix('/'));
    if let Some(within) = within {
        return Some(within.to_owned()).filter(|within| is_inside(within)).into_iter().collect();
    }
    let parts: Vec<&str> = file.split(['/', '\\']).filter(|part| !part.is_empty()).collect();
    let endings = (0..parts.len()).map(|skipped| parts[skipped..].join("/"));
    endings.filter(|ending| is_inside(ending)).take(MAX_CANDIDATES).collect()
}

fn is_inside(path: &str) -> bool {
    !path.is_empty() && path.split('/').all(|part| !part.is_empty() && part != "." && part != "..")
}

/// The path of the module that a `go.mod` describes.
pub fn module_path(go_mod: &str) -> Option<&str> {
    let line = go_mod.lines().find_map(|line| line.trim().strip_prefix("module"))?;
    let line = line.split("//").next().unwrap_or(line);
    // A space, or the end of the word was another.
    let name = line.strip_prefix([' ', '\t'])?.trim().trim_matches(['"', '`']);
    (!name.is_empty()).then_some(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_longest_ending_is_tried_first() {
        let all = candidates("/build/shop/order/worker.go", None);
        assert_eq!(
            all,
            ["build/shop/order/worker.go", "shop/order/worker.go", "order/worker.go", "worker.go"]
        );
    }

    #[test]
    fn a_trimmed_path_is_one_of_its_module() {
        let module = Some("example.com/shop");
        assert_eq!(candidates("example.com/shop/order/worker.go", module), ["order/worker.go"]);
        assert_eq!(candidates("example.com/shopping/x.go", module).len(), 3);
    }

    #[test]
    fn no_path_leads_out_of_the_folder_or_to_a_dependency() {
        assert_eq!(candidates("/go/pkg/mod/example.com/pool@v1.2.3/pool.go", None), [""; 0]);
        assert_eq!(candidates("../../etc/passwd", None), ["etc/passwd", "passwd"]);
        assert_eq!(candidates("m/../../etc/passwd", Some("m")), [""; 0]);
        assert_eq!(candidates(&"a/".repeat(9999), None).len(), MAX_CANDIDATES);
    }

    #[test]
    fn the_module_is_named_in_go_mod() {
        assert_eq!(module_path("// x\nmodule example.com/shop // y\n\ngo 1.24\n"), Some("example.com/shop"));
        assert_eq!(module_path("module \"a/b\"\n"), Some("a/b"));
        assert_eq!(module_path("modules x\ngo 1.24\n"), None);
    }
}
