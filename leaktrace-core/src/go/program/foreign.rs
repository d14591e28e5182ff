//! What a file is that has no Go runtime in it that can be read.

use super::ProgramError;
use crate::binary::elf::Elf;
use crate::go::buildinfo::{BuildInfo, BuildInfoError};

/// How much of a file's beginning and end is searched for a packer's mark.
const MARKED: usize = 4096;
/// How much of a file is searched for the name of a library that it needs. It is in the first segment.
const MAX_NEEDED: usize = 8 << 20;

/// Whether a file says that it is a Go program, in a place that is quickly found: what most tools leave there. What says
/// so need not be one that can be [inspected](super::Program::inspect).
pub fn says_go(elf: &Elf<'_>) -> bool {
    let has_table = [".gopclntab", ".data.rel.ro.gopclntab"].iter().any(|name| elf.section(name).is_some());
    has_table || !matches!(BuildInfo::read(elf), Err(BuildInfoError::NotFound))
}

/// What a program without a Go function table is.
pub(super) fn foreign(elf: &Elf<'_>) -> ProgramError {
    if is_packed(elf.data()) {
        ProgramError::Packed
    } else if is_gccgo(elf) {
        ProgramError::Gccgo
    } else if ["tinygo_startTask", "tinygo_launch", "tinygo_scanCurrentStack"]
        .iter()
        .any(|name| elf.symbol(name).is_some())
    {
        ProgramError::TinyGo
    } else {
        ProgramError::NotGo
    }
}

/// gccgo's own section and symbol, or the name of the library that its programs need.
fn is_gccgo(elf: &Elf<'_>) -> bool {
    elf.section(".go_export").is_some()
        || elf.symbol("__go_go").is_some()
        || names_libgo(elf.data().get(..MAX_NEEDED).unwrap_or(elf.data()))
}

/// Whether one of the strings that end with a zero is that library's name, such as `libgo.so.21`.
fn names_libgo(data: &[u8]) -> bool {
    const BEGINS: &[u8] = b"\0libgo.so.";
    let mut rests = (0..data.len()).filter_map(|at| data[at..].strip_prefix(BEGINS));
    rests.any(|rest| {
        let digits = rest.iter().take_while(|byte| byte.is_ascii_digit()).count();
        digits > 0 && rest.get(digits) == Some(&0)
    })
}

/// UPX leaves `UPX!` after the program headers and at the end of the file.
fn is_packed(data: &[u8]) -> bool {
    let beginning = data.get(..MARKED).unwrap_or(data);
    let end = data.get(data.len().saturating_sub(MARKED)..).unwrap_or_default();
    [beginning, end].iter().any(|part| part.windows(4).any(|four| four == b"UPX!"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::binary::elf::tests::tiny_elf;

    #[test]
    fn a_c_program_does_not_say_that_it_is_go() {
        let says = |data: &[u8]| says_go(&Elf::parse(&tiny_elf(data)).unwrap());
        assert!(!says(b"int main(void) { return 0; }"));
    }

    #[test]
    fn who_only_speaks_of_libgo_does_not_need_it() {
        assert!(names_libgo(b"\0libc.so.6\0libgo.so.21\0"));
        for other in ["libgo.so.21\0", "\0libgo.so.\0", "\0libgo.so.21 or another\0", "\0libgo.so.21"] {
            assert!(!names_libgo(other.as_bytes()), "{other:?}");
        }
    }
}
