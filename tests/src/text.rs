//! Where the code of a process differs from its file: that is where probes are.

use std::fs::{self, File};
use std::io;
use std::os::unix::fs::FileExt as _;

/// The addresses at which the code in memory is not what the file says: a probe replaces the bytes of an instruction.
/// Neighbouring bytes count once.
pub fn patched_places(pid: u32) -> io::Result<Vec<u64>> {
    let exe = File::open(format!("/proc/{pid}/exe"))?;
    let memory = File::open(format!("/proc/{pid}/mem"))?;
    let main_file = fs::read_link(format!("/proc/{pid}/exe"))?;
    let mut places = Vec::new();
    for mapping in code_mappings(pid, &main_file.to_string_lossy())? {
        places.extend(compare(&memory, &exe, &mapping)?);
    }
    Ok(places)
}

fn compare(memory: &File, backing: &File, mapping: &Mapping) -> io::Result<Vec<u64>> {
    let (mut live, mut file) = (vec![0; mapping.length], vec![0; mapping.length]);
    memory.read_exact_at(&mut live, mapping.start)?;
    // The last page may go beyond the end of the file.
    let read = backing.read_at(&mut file, mapping.offset)?;
    Ok(differences(&live[..read], &file[..read]).map(|at| mapping.start + at).collect())
}

/// The same for every file of which a process has code, by its name.
pub fn altered_code(pid: u32) -> io::Result<Vec<(String, u64)>> {
    let memory = File::open(format!("/proc/{pid}/mem"))?;
    let maps = fs::read_to_string(format!("/proc/{pid}/maps"))?;
    let mut altered = Vec::new();
    for line in maps.lines().filter(|line| line.contains(" r-xp ")) {
        let Some((mapping, path)) = parse_mapping(line).zip(line.find('/').map(|at| &line[at..])) else {
            continue;
        };
        let end = mapping.start + mapping.length as u64;
        let backing = File::open(format!("/proc/{pid}/map_files/{:x}-{end:x}", mapping.start))?;
        let places = compare(&memory, &backing, &mapping)?;
        altered.extend(places.into_iter().map(|place| (path.to_owned(), place)));
    }
    Ok(altered)
}

/// Checks that there is no probe in the code of a process.
///
/// # Panics
/// When there is one, or the process is gone.
#[track_caller]
pub fn assert_untouched(pid: u32) {
    let places = patched_places(pid).expect("the process runs");
    assert!(places.is_empty(), "probes in the code at {places:#x?}");
}

struct Mapping {
    start: u64,
    length: usize,
    offset: u64,
}

fn code_mappings(pid: u32, file: &str) -> io::Result<Vec<Mapping>> {
    let maps = fs::read_to_string(format!("/proc/{pid}/maps"))?;
    let of_file = maps.lines().filter(|line| line.ends_with(file) && line.contains(" r-xp "));
    Ok(of_file.filter_map(parse_mapping).collect())
}

/// `00401000-004a1000 r-xp 00001000 fe:00 1234   /path`
fn parse_mapping(line: &str) -> Option<Mapping> {
    let mut words = line.split_whitespace();
    let (start, end) = words.next()?.split_once('-')?;
    let hex = |word: &str| u64::from_str_radix(word, 16).ok();
    let (start, end, offset) = (hex(start)?, hex(end)?, hex(words.nth(1)?)?);
    Some(Mapping { start, length: usize::try_from(end - start).ok()?, offset })
}

/// The starts of the runs in which the two differ.
fn differences<'b>(live: &'b [u8], file: &'b [u8]) -> impl Iterator<Item = u64> + 'b {
    let differs = move |at: usize| live[at] != file[at];
    (0..live.len()).filter(move |at| differs(*at) && (*at == 0 || !differs(at - 1))).map(|at| at as u64)
}

#[cfg(test)]
mod tests {
    use super::{differences, parse_mapping};

    #[test]
    fn a_run_of_different_bytes_is_one_place() {
        assert_eq!(differences(b"axxbcx", b"ayybcy").collect::<Vec<_>>(), [1, 5]);
        assert_eq!(differences(b"same", b"same").count(), 0);
    }

    #[test]
    fn a_line_of_maps_is_understood() {
        let mapping = parse_mapping("00401000-004a1000 r-xp 00001000 fe:00 1234   /a b").unwrap();
        assert_eq!((mapping.start, mapping.length, mapping.offset), (0x40_1000, 0xa_0000, 0x1000));
    }
}
