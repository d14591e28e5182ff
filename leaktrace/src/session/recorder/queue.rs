//! A queue that is bounded by the bytes that wait in it, and between whose ends nobody waits for room.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{self, Receiver, Sender};

/// What an item takes beside its content, in bytes.
const EACH: usize = 512;

/// Where items are put in.
#[derive(Debug)]
pub(super) struct Input<T> {
    to: Sender<(T, usize)>,
    waiting: Arc<AtomicUsize>,
    most: usize,
}

/// Where they come out.
#[derive(Debug)]
pub(super) struct Outcome<T> {
    from: Receiver<(T, usize)>,
    waiting: Arc<AtomicUsize>,
    /// The size of the item that was taken last: it is still being worked on.
    in_hand: usize,
}

/// A queue that is full when more than `most` bytes wait in it.
pub(super) fn queue<T>(most: usize) -> (Input<T>, Outcome<T>) {
    let ((to, from), waiting) = (mpsc::channel(), Arc::<AtomicUsize>::default());
    (Input { to, waiting: Arc::clone(&waiting), most }, Outcome { from, waiting, in_hand: 0 })
}

impl<T> Input<T> {
    /// Whether nothing more is taken for now.
    pub(super) fn is_full(&self) -> bool {
        self.waiting.load(Ordering::Relaxed) > self.most
    }

    /// Puts in an item of so many bytes unless the queue is full; whether it did.
    pub(super) fn offer(&self, item: T, bytes: usize) -> bool {
        let has_room = !self.is_full();
        if has_room {
            self.insist(item, bytes);
        }
        has_room
    }

    /// Puts in an item even if the queue is full.
    pub(super) fn insist(&self, item: T, bytes: usize) {
        let size = bytes + EACH;
        self.waiting.fetch_add(size, Ordering::Relaxed);
        // Whoever takes them out has ended and says why elsewhere.
        _ = self.to.send((item, size));
    }
}

impl<T> Outcome<T> {
    /// The next item, once there is one; `None` when there will be none. The one before it has been worked on.
    pub(super) fn take(&mut self) -> Option<T> {
        self.waiting.fetch_sub(std::mem::take(&mut self.in_hand), Ordering::Relaxed);
        let (item, size) = self.from.recv().ok()?;
        self.in_hand = size;
        Some(item)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_waits_is_bounded_whatever_it_is() {
        let (input, mut outcome) = queue(10_000);
        let taken = (0..100).filter(|number| input.offer(*number, 4000)).count();
        assert_eq!(taken, 3, "12,000 bytes and some wait");
        assert_eq!(outcome.take(), Some(0));
        assert!(input.is_full(), "it is being worked on");
        assert_eq!(outcome.take(), Some(1));
        assert!(input.offer(100, 0) && (0..100_000).filter(|_| input.offer(101, 0)).count() < 20);
        input.insist(102, 1 << 20);
        drop(input);
        let rest: Vec<i32> = std::iter::from_fn(|| outcome.take()).collect();
        assert_eq!((rest[..2].to_vec(), rest.last()), (vec![2, 100], Some(&102)));
    }

    #[test]
    fn nothing_piles_up_for_one_that_has_ended() {
        let (input, outcome) = queue(10_000);
        drop(outcome);
        assert!((0..100).filter(|number| input.offer(*number, 4000)).count() <= 3);
    }
}
