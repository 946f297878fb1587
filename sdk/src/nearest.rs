//! The nearest right word for a misspelt one.

/// Further than this many edits apart, a suggestion is more confusing than none.
const EDITS_MAX: usize = 3;

/// The candidate nearest to `found`, if one is near enough to be what was meant.
pub fn nearest<'a>(found: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let found_lower = found.to_lowercase();
    candidates
        .into_iter()
        .map(|candidate| (edits(&found_lower, &candidate.to_lowercase()), candidate))
        .filter(|(distance, candidate)| *distance <= EDITS_MAX && *distance < candidate.chars().count())
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, candidate)| candidate)
}

/// Insertions, deletions, replacements and swaps of neighbours between two words.
fn edits(left: &str, right: &str) -> usize {
    let (left, right): (Vec<char>, Vec<char>) = (left.chars().collect(), right.chars().collect());
    let mut rows = vec![(0..=right.len()).collect::<Vec<usize>>()];
    for i in 1..=left.len() {
        let mut row = vec![i];
        for j in 1..=right.len() {
            let replace = rows[i - 1][j - 1] + usize::from(left[i - 1] != right[j - 1]);
            let mut best = replace.min(rows[i - 1][j] + 1).min(row[j - 1] + 1);
            if i > 1 && j > 1 && left[i - 1] == right[j - 2] && left[i - 2] == right[j - 1] {
                best = best.min(rows[i - 2][j - 2] + 1);
            }
            row.push(best);
        }
        rows.push(row);
    }
    rows[left.len()][right.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearest_word_is_offered_only_when_it_is_near() {
        let keys = ["state", "action", "description", "payload"];
        assert_eq!(nearest("stat", keys), Some("state"));
        assert_eq!(nearest("acton", keys), Some("action"));
        assert_eq!(nearest("STATE", keys), Some("state"));
        assert_eq!(nearest("desciption", keys), Some("description"));
        assert_eq!(nearest("zebra", keys), None);
        assert_eq!(nearest("role", ["roel", "rolex"]), Some("roel"));
    }
}
