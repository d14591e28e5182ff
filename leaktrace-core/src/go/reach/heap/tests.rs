use super::*;
use crate::base::memory::Pieces;
use crate::go::reach::Limits;

const BASE: u64 = 0x00c0_0000_0000;

fn span(page: u64, pages: u64, elem: u64, used_for: Use) -> Span {
    Span { start: BASE + page * 8192, len: pages * 8192, elem, used_for, specials: Avma(0) }
}

fn heap(spans: &[Span]) -> Heap {
    let mut heap = Heap::default();
    for span in spans {
        heap.add(*span);
    }
    heap
}

/// A page with words by their offset.
fn page(words: &[(u64, u64)]) -> Vec<u8> {
    let mut bytes = vec![0; 8192];
    for &(offset, word) in words {
        let at = usize::try_from(offset).unwrap();
        bytes[at..at + 8].copy_from_slice(&word.to_le_bytes());
    }
    bytes
}

fn drain(heap: &mut Heap, memory: &Pieces<'_>) -> Drain {
    let mut drain = Drain::default();
    drain.run(heap, memory, &Limits::default()).unwrap();
    drain
}

#[test]
fn what_is_pointed_to_is_reached_and_what_follows_from_it() {
    let mut heap = heap(&[span(0, 1, 48, Use::Scan), span(1, 1, 96, Use::Scan), span(2, 1, 16, Use::NoScan)]);
    let second = BASE + 8192;
    // The first object points into the middle of another, which points to one without pointers.
    let memory = Pieces::new()
        .with(Avma(BASE), page(&[(40, second + 96 * 3 + 50), (48, second + 96 * 9)]))
        .with(Avma(second), page(&[(96 * 3 + 8, second + 8192 + 16 * 5)]));
    let targets = [second + 8192 + 16 * 5, second + 96 * 9].map(|at| heap.object_at(Avma(at)).unwrap());
    for target in targets {
        heap.watch(target);
    }
    heap.mark(BASE + 7);
    let drained = drain(&mut heap, &memory);
    assert_eq!(heap.take_hits(), [targets[0].base]);
    assert_eq!((heap.is_reached(targets[0]), heap.is_reached(targets[1])), (true, false));
    assert_eq!((heap.marked(), drained.unreadable), (3, 0));
}

#[test]
fn masked_objects_lead_on_by_one_word_or_none() {
    let mut heap = heap(&[span(0, 1, 96, Use::Scan)]);
    let object = |index: u64| BASE + index * 96;
    let memory = Pieces::new().with(
        Avma(BASE),
        page(&[(0, object(1)), (8, object(2)), (96, object(3)), (96 + 8, object(4)), (96 * 4, object(5))]),
    );
    for (index, mask) in [(1, Mask::Only(8)), (4, Mask::Opaque)] {
        let masked = heap.object_at(Avma(object(index))).unwrap();
        heap.mask(masked, mask);
    }
    heap.mark(object(0));
    drain(&mut heap, &memory);
    let reached: Vec<u64> = (0..6)
        .filter(|index| {
            let object = heap.object_at(Avma(object(*index))).unwrap();
            heap.is_reached(object)
        })
        .collect();
    assert_eq!(reached, [0, 1, 2, 4]);
}

#[test]
fn a_large_object_is_read_in_parts() {
    let pages = 1000;
    let mut heap = heap(&[span(0, pages, pages * 8192, Use::Scan), span(pages, 1, 8192, Use::Scan)]);
    let last = BASE + pages * 8192;
    let mut bytes = vec![0; usize::try_from(pages * 8192).unwrap()];
    bytes.last_chunk_mut::<8>().unwrap().copy_from_slice(&(last + 1).to_le_bytes());
    let memory = Pieces::new().with(Avma(BASE), bytes).with(Avma(last), page(&[]));
    heap.mark(BASE);
    let drained = drain(&mut heap, &memory);
    assert!(drained.bytes.len() <= 8 << 20, "{}", drained.bytes.len());
    assert_eq!((heap.marked(), drained.read), (2, (pages + 1) * 8192));
}

#[test]
fn what_cannot_be_read_is_counted() {
    let mut heap = heap(&[span(0, 1, 64, Use::Scan)]);
    heap.mark(BASE + 640);
    assert_eq!(drain(&mut heap, &Pieces::new()).unreadable, 64);
}

#[test]
fn a_span_in_the_place_of_another_is_another() {
    let mut heap = heap(&[span(0, 2, 64, Use::Scan)]);
    heap.mark(BASE + 64);
    heap.add(span(0, 1, 512, Use::Scan));
    let object = heap.object_at(Avma(BASE + 600)).unwrap();
    assert_eq!((object.base, heap.is_reached(object)), (BASE + 512, false));
}
