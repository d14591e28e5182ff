use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;
use crate::base::memory::Pieces;
use crate::base::num::Avma;

const LO: u64 = 0x1_0000;
const HI: u64 = 0x2_0000;

#[derive(Default)]
struct Code(BTreeMap<u64, FrameRule>);

impl Code {
    fn with(mut self, pc: u64, delta: u32, traits: &[FrameTraits]) -> Self {
        let traits = traits.iter().fold(FrameTraits::default(), |all, one| all.with(*one, true));
        self.0.insert(pc, FrameRule { delta: Some(delta), traits });
        self
    }
}

impl FrameRules for Code {
    fn rule(&self, pc: Pc) -> Option<FrameRule> {
        self.0.get(&pc.0).copied()
    }
}

/// A stack whose word at `HI - 8 * n` is the `n`th last of `words`.
fn stack(words: &[u64]) -> (Vec<u8>, u64) {
    let bytes: Vec<u8> = words.iter().flat_map(|word| word.to_le_bytes()).collect();
    let sp = HI - bytes.len() as u64;
    (bytes, sp)
}

fn walk(arch: Arch, code: &Code, standing: Standing, bytes: &[u8], limit: usize) -> (Vec<u64>, StackEnd) {
    let memory = Pieces::new().with(Avma(HI - bytes.len() as u64), bytes);
    let (mut more, mut budget, mut out) = (Vec::new(), DeepBudget(1 << 20), Vec::new());
    // A first window of two words, so that both ways of reading are walked.
    let first = &bytes[..bytes.len().min(16)];
    let range = (Avma(standing.sp.max(LO)), Avma(HI));
    let mut words = StackWords::new(&memory, range, first, &mut more, &mut budget);
    let end = Unwinder::new(arch).walk(code, &standing, &mut words, limit, &mut out);
    (out.into_iter().map(|pc| pc.0).collect(), end)
}

fn amd64(code: &Code, pc: u64, words: &[u64]) -> (Vec<u64>, StackEnd) {
    let (bytes, sp) = stack(words);
    let standing = Standing { pc: Pc(pc), sp, lr: 0, in_syscall: false };
    walk(Arch::Amd64, code, standing, &bytes, MAX_FRAMES)
}

fn code() -> Code {
    Code::default()
        .with(0x100, 8, &[])
        .with(0x200, 16, &[])
        .with(0x300, 0, &[FrameTraits::AT_ENTRY])
        .with(0x400, 8, &[FrameTraits::INJECTED])
        .with(0x500, 0, &[FrameTraits::WRITES_SP])
        .with(0x900, 0, &[FrameTraits::OUTERMOST, FrameTraits::GOEXIT])
}

#[test]
fn frames_follow_the_sizes_of_the_tables_to_goexit() {
    let words = [7, 0x200, 7, 7, 0x900, 0];
    assert_eq!(amd64(&code(), 0x100, &words), (vec![0x100, 0x200], StackEnd::Outermost));
}

#[test]
fn a_goroutine_that_has_not_begun_stands_at_its_entry_and_not_before_it() {
    let (pcs, end) = amd64(&code(), 0x300, &[0x900, 0]);
    assert_eq!((pcs, end), (vec![0x301], StackEnd::Outermost));
}

#[test]
fn an_interrupted_frame_is_shown_where_it_was_interrupted() {
    let words = [7, 0x200, 7, 7, 0x100, 7, 0x900];
    let (pcs, _) = amd64(&code(), 0x400, &words);
    assert_eq!(pcs, [0x400, 0x201, 0x100]);
}

#[test]
fn a_function_that_switches_stacks_ends_the_walk_unless_it_is_the_system_call_itself() {
    let words = [0x100, 7, 0x900];
    assert_eq!(amd64(&code(), 0x500, &words), (vec![0x500], StackEnd::Boundary));
    let (bytes, sp) = stack(&words);
    let standing = Standing { pc: Pc(0x500), sp, lr: 0, in_syscall: true };
    let walked = walk(Arch::Amd64, &code(), standing, &bytes, MAX_FRAMES);
    assert_eq!(walked, (vec![0x500, 0x100], StackEnd::Outermost));
    assert_eq!(amd64(&code(), 0x100, &[7, 0x500, 0x900]), (vec![0x100, 0x500], StackEnd::Boundary));
}

#[test]
fn a_call_of_nil_is_its_callers() {
    assert_eq!(amd64(&code(), 0, &[0x100, 7, 0x900]).0, [0x100]);
}

#[test]
fn arm64_finds_return_addresses_at_the_bottom_of_frames() {
    let (bytes, sp) = stack(&[0x200, 0x900, 7]);
    let standing = Standing { pc: Pc(0x100), sp, lr: 0, in_syscall: false };
    let walked = walk(Arch::Arm64, &code(), standing, &bytes, MAX_FRAMES);
    assert_eq!(walked, (vec![0x100, 0x200], StackEnd::Outermost));
}

#[test]
fn arm64_has_the_return_address_of_a_new_goroutine_in_a_register() {
    let (bytes, sp) = stack(&[0, 0]);
    let standing = Standing { pc: Pc(0x300), sp, lr: 0x900, in_syscall: false };
    let walked = walk(Arch::Arm64, &code(), standing, &bytes, MAX_FRAMES);
    assert_eq!(walked, (vec![0x301], StackEnd::Outermost));
}

#[test]
fn arm64_steps_over_the_link_register_that_a_signal_saved() {
    // The interrupted function is a leaf at 0x300: its caller is in the saved register.
    let (bytes, sp) = stack(&[0x300, 0x200, 0, 0x900, 0]);
    let standing = Standing { pc: Pc(0x400), sp, lr: 0, in_syscall: false };
    let (pcs, end) = walk(Arch::Arm64, &code(), standing, &bytes, MAX_FRAMES);
    assert_eq!((pcs, end), (vec![0x400, 0x301, 0x200], StackEnd::Outermost));
}

#[test]
fn too_many_frames_are_cut_and_bad_ones_break() {
    let words: Vec<u64> = [7, 0x100].repeat(100);
    let (bytes, sp) = stack(&words);
    let standing = Standing { pc: Pc(0x100), sp, lr: 0, in_syscall: false };
    let (pcs, end) = walk(Arch::Amd64, &code(), standing, &bytes, 10);
    assert_eq!((pcs.len(), end), (10, StackEnd::Cut(Pc(0x100))));
    assert_eq!(amd64(&code(), 0x100, &words).1, StackEnd::Broken(Pc(0)), "the stack has no end");
    assert_eq!(amd64(&code(), 0x100, &[7, 0xbad]), (vec![0x100], StackEnd::Broken(Pc(0xbad))));
    assert_eq!(amd64(&code(), 0xbad, &[7, 7]), (vec![], StackEnd::Broken(Pc(0xbad))));
}

proptest! {
    #[test]
    fn any_stack_and_any_tables_end(
        words in prop::collection::vec(prop::sample::select(vec![0, 0x100, 0x200, 0x300, 0x400, 0x500, 0x900]), 0..200),
        deltas in prop::collection::vec(prop::sample::select(vec![0_u32, 8, 16, 0x8000, u32::MAX]), 4),
        pc in prop::sample::select(vec![0_u64, 0x100, 0x200, 0x300, 0x400]),
        sp in prop::sample::select(vec![0, LO, HI - 800, HI - 8, HI, u64::MAX - 7]),
        arm64 in any::<bool>(),
    ) {
        let code = Code::default()
            .with(0x100, deltas[0], &[])
            .with(0x200, deltas[1], &[FrameTraits::INJECTED])
            .with(0x300, deltas[2], &[FrameTraits::AT_ENTRY])
            .with(0x400, deltas[3], &[]);
        let (bytes, _) = stack(&words);
        let standing = Standing { pc: Pc(pc), sp, lr: 0, in_syscall: false };
        let arch = if arm64 { Arch::Arm64 } else { Arch::Amd64 };
        let (pcs, _) = walk(arch, &code, standing, &bytes, MAX_FRAMES);
        prop_assert!(pcs.len() <= MAX_FRAMES);
    }
}
