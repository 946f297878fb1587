//! Counts what a script's own pid namespace holds: its processes, with the memory that they use.

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

/// The list of processes, which shows those of the namespace that it was mounted in.
const PROCESSES: &str = "/proc";
/// Bytes of a process's `status` that are read; the lines that count stand far before.
const STATUS_BYTES_MAX: u64 = 8 << 10;
/// The number of the namespace's first process.
const FIRST: u32 = 1;

/// What one process uses.
#[derive(Debug, Default, PartialEq, Eq, Clone, Copy)]
struct Member {
    memory_bytes: u64,
    group: u32,
}

/// What all of them use, the first process left out.
#[derive(Debug, Default, PartialEq, Eq, Clone, Copy)]
pub(super) struct Count {
    /// One more than what is allowed stands for any number of them.
    pub(super) processes: usize,
    pub(super) memory_bytes: u64,
    /// How many have left the process group that was asked about.
    pub(super) strays: usize,
}

/// Counts up to one process more than `most`: what multiplies is not waited for. A process that ends meanwhile counts
/// or does not.
pub(super) fn count(group: u32, most: usize) -> io::Result<Count> {
    let entries = std::fs::read_dir(PROCESSES)?.flatten();
    let pids = entries.filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok());
    let pids: Vec<u32> = pids.filter(|pid| *pid != FIRST).take(most + 1).collect();
    let mut count = Count { processes: pids.len(), ..Count::default() };
    if pids.len() > most {
        return Ok(count);
    }
    for pid in pids {
        let member = read(pid);
        count.memory_bytes = count.memory_bytes.saturating_add(member.memory_bytes);
        count.strays += usize::from(member.group != group);
    }
    Ok(count)
}

fn read(pid: u32) -> Member {
    let mut text = String::new();
    let opened = File::open(Path::new(PROCESSES).join(pid.to_string()).join("status"));
    let read = opened.and_then(|file| file.take(STATUS_BYTES_MAX).read_to_string(&mut text));
    if read.is_ok() { member(&text) } else { Member::default() }
}

/// Reads a process's `status`: what it has written to for itself, and what it shares in memory with others.
fn member(status: &str) -> Member {
    let mut member = Member::default();
    for line in status.lines() {
        let Some((key, value)) = line.split_once(':') else { continue };
        let number = |text: Option<&str>| text.and_then(|text| text.parse::<u64>().ok()).unwrap_or(0);
        match key {
            "RssAnon" | "RssShmem" => member.memory_bytes += number(value.split_whitespace().next()) << 10,
            "NSpgid" => {
                member.group = u32::try_from(number(value.split_whitespace().last())).unwrap_or(0);
            }
            _ => {}
        }
    }
    member
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_memory_and_the_group_of_a_process_are_read_from_its_status() {
        let status = "Name:\tsh\nNSpgid:\t4711\t7\nVmRSS:\t 900 kB\nRssAnon:\t     100 kB\nRssFile:\t 700 kB\nRssShmem:\t  20 kB\n";
        assert_eq!(member(status), Member { memory_bytes: 120 << 10, group: 7 });
        assert_eq!(member("Name:\tkernel thread\n"), Member::default());
        assert_eq!(member("RssAnon:\tnonsense\nNSpgid:\n"), Member::default());
    }

    #[test]
    fn a_count_ends_one_above_the_limit() {
        assert_eq!(count(0, 0).unwrap().processes, 1);
        assert!(count(0, usize::MAX - 1).unwrap().processes > 0);
    }
}
