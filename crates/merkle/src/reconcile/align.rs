//! Two sequences of fingerprints brought into line.

use alloc::vec::Vec;

/// How many places of one fingerprint are considered. Honest fingerprints seldom repeat; a peer
/// that repeats one for ever costs no more than this.
const CANDIDATES: usize = 16;

/// A longest common subsequence of two sequences, as ascending pairs of places.
///
/// By Hunt and Szymanski (CACM 20:5, 1977): every pair of equal elements is a point, and the
/// longest strictly increasing chain of points is found by patience sorting, in O((n + r) log n)
/// for r such pairs. Fingerprints hardly repeat, so r is about n; where they do by chance, the
/// chain steps over the false pairs, because they contradict the true ones around them.
pub(crate) fn align<T: Ord + Copy>(theirs: &[T], ours: &[T]) -> Vec<(usize, usize)> {
    let mut places: Vec<(T, usize)> = ours.iter().copied().zip(0..).collect();
    places.sort_unstable();

    // For each chain length the point it ends at, the one furthest left; and each point's
    // predecessor.
    let mut ends: Vec<usize> = Vec::new();
    let mut points: Vec<Point> = Vec::new();
    for (their, element) in theirs.iter().enumerate() {
        let from = places.partition_point(|(other, _)| other < element);
        let equal = places[from..]
            .iter()
            .take_while(|(other, _)| other == element);
        let candidates = equal.take(CANDIDATES).count();
        // Descending, so that no chain takes two points of one element.
        for (_, our) in places[from..from + candidates].iter().rev() {
            let length = ends.partition_point(|end| points[*end].our < *our);
            let before = length.checked_sub(1).map(|last| ends[last]);
            points.push(Point {
                their,
                our: *our,
                before,
            });
            match ends.get_mut(length) {
                Some(end) => *end = points.len() - 1,
                None => ends.push(points.len() - 1),
            }
        }
    }

    let mut pairs = Vec::with_capacity(ends.len());
    let mut at = ends.last().copied();
    while let Some(point) = at.map(|at| &points[at]) {
        pairs.push((point.their, point.our));
        at = point.before;
    }
    pairs.reverse();
    pairs
}

/// A pair of equal elements.
struct Point {
    their: usize,
    our: usize,
    /// The point before it in the longest chain that ends here.
    before: Option<usize>,
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// The length of a longest common subsequence, by the textbook table.
    fn longest(a: &[u8], b: &[u8]) -> usize {
        let mut row = alloc::vec![0; b.len() + 1];
        for x in a {
            let mut diagonal = 0;
            for (at, y) in b.iter().enumerate() {
                let up = row[at + 1];
                row[at + 1] = if x == y {
                    diagonal + 1
                } else {
                    up.max(row[at])
                };
                diagonal = up;
            }
        }
        row[b.len()]
    }

    proptest! {
        #[test]
        fn the_pairs_are_a_longest_common_subsequence(
            a in prop::collection::vec(0..20u8, 0..60),
            b in prop::collection::vec(0..20u8, 0..60),
        ) {
            let pairs = align(&a, &b);
            prop_assert!(pairs.iter().all(|(i, j)| a[*i] == b[*j]));
            prop_assert!(pairs.is_sorted_by(|x, y| x.0 < y.0 && x.1 < y.1));
            prop_assert_eq!(pairs.len(), longest(&a, &b));
        }
    }

    #[test]
    fn a_chance_repetition_does_not_derail_the_chain() {
        assert_eq!(align(b"abcdx", b"xabcd"), [(0, 1), (1, 2), (2, 3), (3, 4)]);
    }

    #[test]
    fn endless_repetition_is_cheap() {
        let pairs = align(&[7; 10_000], &[7; 10_000]);
        assert_eq!(pairs.len(), CANDIDATES);
    }
}
