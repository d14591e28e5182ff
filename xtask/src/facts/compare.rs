//! One release against its sources.

use std::path::Path;

use anyhow::{Context as _, Result};
use leaktrace_core::go::facts::same::CONSTANTS;
use leaktrace_core::go::facts::{Bubble, Cleanups, FinalizerState, FuncId, LabelsFormat, Queue, Release};
use leaktrace_core::go::traceback::STANDARD_LIBRARY;

use super::Fact;
use super::constants::Evaluator;
use super::layout::Layouts;
use super::source::{Package, text};
use super::writing;

/// Everything that is stated of `release`, with what the toolchain at `root` says.
pub(super) fn all(root: &Path, release: &Release) -> Result<Vec<Fact>> {
    let runtime = Layouts::new(Package::read(root, "runtime")?);
    let mut facts = Vec::new();
    facts.extend(schedt(release, &runtime).context("runtime.schedt")?);
    facts.extend(moduledata(release, &runtime).context("runtime.moduledata")?);
    facts.push(func_ids(root, release));
    facts.extend(specials(release, &runtime).context("runtime.special")?);
    facts.extend(queues(release, &runtime).context("queues of finalizers and cleanups")?);
    facts.push(bubble(release, &runtime).context("bubbles of testing/synctest")?);
    facts.extend(programs(root, release));
    facts.extend(constants(root));
    facts.extend(writing::all(root, &release.traceback));
    facts.push(standard_library(root)?);
    Ok(facts)
}

fn schedt(release: &Release, runtime: &Layouts) -> Result<Vec<Fact>> {
    let layout = runtime.of("schedt")?;
    let counts = ["gFree.stack.size", "gFree.noStack.size", "gFree.n"];
    let counts: Vec<u64> = counts.iter().filter_map(|path| layout.fields.get(*path)).copied().collect();
    let stated = &release.schedt;
    Ok(vec![
        Fact::of("schedt.lock", &stated.lock, &layout.field("lock")?),
        Fact::of("schedt.ngsys", &stated.ngsys, &layout.field("ngsys")?),
        Fact::of("schedt.gFree", &stated.gfree_counts, &counts),
        Fact::of(
            "schedt.goroutinesCreated",
            &stated.goroutines_created,
            &layout.fields.get("goroutinesCreated"),
        ),
    ])
}

fn moduledata(release: &Release, runtime: &Layouts) -> Result<Vec<Fact>> {
    let layout = runtime.of("moduledata")?;
    let stated = &release.moduledata;
    let fields = [
        ("types", stated.types),
        ("etypes", stated.etypes),
        ("rodata", stated.rodata),
        ("gofunc", stated.gofunc),
        ("textsectmap", stated.textsectmap),
        ("pluginpath", stated.pluginpath),
        ("next", stated.next),
    ];
    let facts = fields
        .into_iter()
        .map(|(name, stated)| Ok(Fact::of(&format!("moduledata.{name}"), &stated, &layout.field(name)?)));
    facts.collect()
}

/// The numbering as lists of names, written alike.
fn func_ids(root: &Path, release: &Release) -> Fact {
    let stated = release.func_ids.iter().map(|id| match id {
        FuncId::DebugCall => "debugcallv2".to_owned(),
        FuncId::RunFinalizers if !release.func_ids.contains(&FuncId::RunCleanups) => "runfinq".to_owned(),
        other => format!("{other:?}").to_lowercase(),
    });
    let stated: Vec<String> = stated.collect();
    let (new, old) = (text(root, "internal/abi/symtab.go"), text(root, "runtime/symtab.go"));
    let text = if new.contains("FuncID_abort") { new } else { old };
    let is_id = |line: &str| ["FuncID", "funcID"].iter().any(|prefix| line.trim_start().starts_with(prefix));
    let lines = text
        .lines()
        .skip_while(|line| !(is_id(line) && line.contains("iota")))
        .take_while(|line| *line != ")");
    let names = lines.filter(|line| is_id(line)).filter_map(|line| {
        let name = line.split_whitespace().next()?;
        Some(name["FuncID".len()..].replace('_', "").to_lowercase())
    });
    let source: Vec<String> = names.collect();
    Fact::of("FuncID", &stated, &source)
}

fn specials(release: &Release, runtime: &Layouts) -> Result<Vec<Fact>> {
    let stated = release.collector.specials;
    let evaluator = Evaluator::new(runtime);
    let cleanup = evaluator.constant("_KindSpecialCleanup").ok();
    let mut facts = vec![
        Fact::of("_KindSpecialProfile", &stated.profile, &evaluator.constant("_KindSpecialProfile")?),
        Fact::of("_KindSpecialCleanup", &stated.cleanup, &cleanup),
    ];
    if cleanup.is_some() {
        let words = (runtime.of("specialCleanup")?.field("id")? - runtime.of("special")?.size) / 8;
        facts.push(Fact::of("words of specialCleanup", &stated.cleanup_words, &words));
    }
    Ok(facts)
}

fn queues(release: &Release, runtime: &Layouts) -> Result<Vec<Fact>> {
    let block =
        |names: [&'static str; 2]| names.into_iter().find(|name| runtime.package.declared(name).is_some());
    let evaluator = Evaluator::new(runtime);
    let size = evaluator.constant("finBlockSize").or_else(|_| evaluator.constant("_FinBlockSize"))?;
    let blocks = runtime.of(block(["finBlock", "finblock"]).context("no blocks of finalizers")?)?;
    let finalizers = (
        size,
        [blocks.field("alllink")?, blocks.field("next")?],
        blocks.field("cnt")?,
        blocks.lengths["fin"],
    );
    let mut facts = vec![Fact::of("finBlock", &shape(&release.collector.finalizers), &finalizers)];
    let source = cleanups(runtime)?;
    let stated = release.collector.cleanups;
    let stated = stated.map(|Cleanups { all_in_lines, blocks }| (all_in_lines, shape(&blocks)));
    facts.push(Fact::of("gcCleanups", &stated, &source));
    Ok(facts)
}

/// Size, links, count and capacity.
fn shape(queue: &Queue) -> (usize, &'static [u32], u32, u32) {
    (queue.size, queue.links, queue.count, queue.capacity)
}

type Blocks = (u64, (i128, [u64; 1], u64, u64));

fn cleanups(runtime: &Layouts) -> Result<Option<Blocks>> {
    const LINE: u64 = 64;
    if runtime.package.declared("cleanupQueue").is_none() {
        return Ok(None);
    }
    let size = Evaluator::new(runtime).constant("cleanupBlockSize")?;
    let block = runtime.of("cleanupBlock")?;
    let blocks = (size, [block.field("alllink")?], block.field("n")?, block.lengths["cleanups"]);
    Ok(Some((runtime.of("cleanupQueue")?.field("all")? / LINE, blocks)))
}

fn bubble(release: &Release, runtime: &Layouts) -> Result<Fact> {
    let field = |of: &str, name: &str| runtime.of(of)?.field(name)?.try_into().context("a large struct");
    let declared = |name: &str| runtime.package.declared(name).is_some();
    let source = if declared("synctestBubble") {
        Some(Bubble::Id { id: field("synctestBubble", "id")? })
    } else if declared("synctestGroup") {
        Some(Bubble::RootGoid { root: field("synctestGroup", "root")? })
    } else {
        None
    };
    Ok(Fact::of("synctestBubble", &release.bubble, &source))
}

/// What is told by a variable, a type or an assignment that is there or not.
fn programs(root: &Path, release: &Release) -> Vec<Fact> {
    let has = |file: &str, what: &str| text(root, file).contains(what);
    let state = if has("runtime/mfinal.go", "var fingStatus") {
        FinalizerState::FingStatus
    } else {
        FinalizerState::Absent
    };
    let is_map = has("runtime/pprof/label.go", "type labelMap map[string]string");
    let is_slice = has("runtime/pprof/label.go", "List []")
        || has("runtime/pprof/label.go", "list []")
        || has("internal/runtime/pprof/label/labelset.go", "List []");
    let labels = match (is_map, is_slice) {
        (true, _) => LabelsFormat::Map,
        (false, true) => LabelsFormat::Slice,
        (false, false) => LabelsFormat::Unproved,
    };
    vec![
        Fact::of("fingStatus", &release.finalizer_state, &state),
        Fact::of("labelMap", &release.labels, &labels),
        Fact::of(
            "g.waiting of who waits for a lock",
            &release.lock_waits_are_linked,
            &has("runtime/sema.go", ".g.waiting = s"),
        ),
    ]
}

fn constants(root: &Path) -> Vec<Fact> {
    let mut files: Vec<(&str, Layouts)> = Vec::new();
    let mut facts = Vec::new();
    for constant in CONSTANTS {
        for file in constant.files {
            if !files.iter().any(|(known, _)| known == file) {
                files.push((file, Layouts::new(Package::of(&text(root, file.trim_start_matches("src/"))))));
            }
        }
        let names = [constant.name.to_owned(), format!("_{}", constant.name)];
        let stating = files.iter().filter(|(file, _)| constant.files.contains(file));
        let mut evaluators = stating.map(|(_, layouts)| Evaluator::new(layouts));
        let found =
            evaluators.find_map(|evaluator| names.iter().find_map(|name| evaluator.constant(name).ok()));
        let is_absent = found.is_none() && constant.came_later;
        let stated = if is_absent { None } else { Some(constant.value) };
        facts.push(Fact::of(constant.name, &stated, &found));
    }
    facts
}

/// No folder of the standard library is missing from our list of them.
fn standard_library(root: &Path) -> Result<Fact> {
    let entries = std::fs::read_dir(root.join("src"))?.collect::<std::io::Result<Vec<_>>>()?;
    let folders = entries.iter().filter(|entry| entry.path().is_dir());
    let names = folders.map(|entry| entry.file_name().to_string_lossy().into_owned());
    let mut missing: Vec<String> =
        names.filter(|name| name != "testdata" && !STANDARD_LIBRARY.contains(&name.as_str())).collect();
    missing.sort();
    Ok(Fact::of("folders of the standard library that are not listed", &[""; 0], &missing))
}
