//! An ordered set that also tells the place of a value: pieces of bounded size, so that nothing walks through all of it.
//! Used by `lane`; the standard library's ordered set can't count what is before a value without visiting it.

/// A piece is split at this size: with 10,000 values a place costs two searches and a sum of some 150 numbers.
const FULL: usize = 128;

/// No piece is empty, and all of a piece is below all of the next.
#[derive(Debug)]
pub(super) struct Ranked<T> {
    pieces: Vec<Vec<T>>,
    len: usize,
}

impl<T> Default for Ranked<T> {
    fn default() -> Self {
        Self { pieces: Vec::new(), len: 0 }
    }
}

impl<T: Ord> Ranked<T> {
    pub(super) fn len(&self) -> usize {
        self.len
    }

    pub(super) fn first(&self) -> Option<&T> {
        self.pieces.first().and_then(|piece| piece.first())
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &T> {
        self.pieces.iter().flatten()
    }

    /// The piece that has the value, or that it belongs into.
    fn piece(&self, value: &T) -> usize {
        self.pieces.partition_point(|piece| piece.last().is_some_and(|last| last < value))
    }

    /// Puts a value in; one that is there already stays once.
    pub(super) fn insert(&mut self, value: T) {
        let at = self.piece(&value).min(self.pieces.len().saturating_sub(1));
        let Some(piece) = self.pieces.get_mut(at) else {
            self.pieces.push(vec![value]);
            self.len = 1;
            return;
        };
        let Err(place) = piece.binary_search(&value) else { return };
        piece.insert(place, value);
        self.len += 1;
        if piece.len() >= FULL {
            let upper = piece.split_off(FULL / 2);
            self.pieces.insert(at + 1, upper);
        }
    }

    pub(super) fn remove(&mut self, value: &T) {
        let at = self.piece(value);
        let Some(piece) = self.pieces.get_mut(at) else { return };
        let Ok(place) = piece.binary_search(value) else { return };
        piece.remove(place);
        self.len -= 1;
        if piece.is_empty() {
            self.pieces.remove(at);
        }
    }

    /// Returns how many values are below this one, which need not be in the set.
    pub(super) fn below(&self, value: &T) -> usize {
        let at = self.piece(value);
        let before: usize = self.pieces[..at].iter().map(Vec::len).sum();
        before + self.pieces.get(at).map_or(0, |piece| piece.partition_point(|other| other < value))
    }
}
