//! An answer that is made once for all who ask before something changes.

use std::cell::RefCell;
use std::sync::Arc;

use hyper::body::Bytes;

/// The last answer, and what it was made of.
#[derive(Debug)]
pub(super) struct Kept<T>(RefCell<Option<(Arc<T>, Bytes)>>);

impl<T> Default for Kept<T> {
    fn default() -> Self {
        Self(RefCell::new(None))
    }
}

impl<T> Kept<T> {
    /// The answer that `make` makes of `what`, or has made.
    pub(super) fn of(&self, what: Arc<T>, make: impl FnOnce(&Arc<T>) -> Vec<u8>) -> Bytes {
        // As long as it is kept, nothing else has its address.
        if let Some((before, bytes)) = &*self.0.borrow()
            && Arc::ptr_eq(before, &what)
        {
            return bytes.clone();
        }
        let bytes = Bytes::from(make(&what));
        *self.0.borrow_mut() = Some((what, bytes.clone()));
        bytes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_made_once_for_each_state() {
        let (kept, one) = (Kept::default(), Arc::new(1));
        assert_eq!(kept.of(Arc::clone(&one), |_| vec![1]), &[1][..]);
        assert_eq!(kept.of(one, |_| unreachable!("it is there")), &[1][..]);
        assert_eq!(kept.of(Arc::new(1), |_| vec![2]), &[2][..]);
    }
}
