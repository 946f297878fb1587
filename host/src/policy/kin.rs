//! Tells whether one process descends from another.

use rustix::process::Pid;

/// Generations that are looked at; a script's calls nest by a handful.
const GENERATIONS_MAX: usize = 64;

/// Whether `pid` is `ancestor` or one of its descendants. In a pid namespace that is everything in there, because its
/// first process inherits the orphans.
pub(super) fn descends(pid: Pid, ancestor: Pid) -> bool {
    let mut at = pid.as_raw_nonzero().get();
    for _ in 0..GENERATIONS_MAX {
        if at == ancestor.as_raw_nonzero().get() {
            return true;
        }
        let stat = std::fs::read_to_string(format!("/proc/{at}/stat")).unwrap_or_default();
        match parent(&stat) {
            Some(found @ 1..) => at = found,
            _ => return false,
        }
    }
    false
}

/// The parent in a process's `stat`. The name before it may hold anything, brackets and blanks too.
fn parent(stat: &str) -> Option<i32> {
    let (_, rest) = stat.rsplit_once(')')?;
    rest.split_whitespace().nth(1)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_parent_stands_behind_a_name_that_may_look_like_anything() {
        assert_eq!(parent("7 (a) b (c) S 4711 7 7 0"), Some(4711));
        assert_eq!(parent("7 (sh) S"), None);
        assert_eq!(parent(""), None);
    }

    #[test]
    fn a_child_descends_from_this_process_and_not_the_other_way_round() {
        let mut child = std::process::Command::new("/bin/sleep").arg("1000").spawn().unwrap();
        let own = rustix::process::getpid();
        let pid = Pid::from_child(&child);
        assert!(descends(pid, own) && descends(own, own));
        assert!(!descends(own, pid));
        child.kill().unwrap();
        child.wait().unwrap();
    }
}
