//! Tells from what the system and a guest say whether the guest had no memory left (pure).

/// From this share of its address space on, a guest's next allocation of ordinary size fails.
pub(super) const PERCENT_FULL: u64 = 90;
/// How the languages that plugins are written in say that an allocation failed, and how this program does.
const LAST_WORDS: [&str; 3] = ["memory allocation of ", "std::bad_alloc", MEASURED];
/// What the outer half of a worker says of a guest that ended after it had used more than it may.
pub(crate) const MEASURED: &str = "the policy had used more memory than it may";

/// Whether a line that a guest wrote says so.
pub(super) fn is_told(line: &str) -> bool {
    LAST_WORDS.iter().any(|words| line.contains(words))
}

/// The share of its address space that a process uses, from its `status` and its `limits` under /proc.
pub(super) fn percent(status: &str, limits: &str) -> Option<u64> {
    let number = |text: &str| text.split_whitespace().next()?.parse::<u64>().ok();
    let used = status.lines().find_map(|line| line.strip_prefix("VmSize:")).and_then(number)? << 10;
    let most = limits.lines().find_map(|line| line.strip_prefix("Max address space")).and_then(number)?;
    (most > 0).then(|| used.saturating_mul(100) / most)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_share_is_what_is_used_of_what_is_allowed() {
        let limits = "Limit                     Soft Limit           Hard Limit           Units\nMax address space         1048576              1048576              bytes\n";
        assert_eq!(percent("Name:\tx\nVmSize:\t     960 kB\n", limits), Some(93));
        assert_eq!(percent("VmSize:\t 960 kB\n", &limits.replace("1048576 ", "unlimited ")), None);
        assert_eq!(percent("Name:\tzombie\n", limits), None);
    }

    #[test]
    fn the_last_words_of_rust_and_of_c_are_known() {
        assert!(is_told("memory allocation of 1048576 bytes failed"));
        assert!(is_told("terminate called after throwing an instance of 'std::bad_alloc'"));
        assert!(!is_told("allocation of places: 3"));
    }
}
