//! What the kernel tells in `/proc`: of this machine, and what processor time and memory its processes have taken.
use nix::unistd::{SysconfVar, sysconf};
use std::fs;
use std::time::Duration;

/// Processor time that the processes have taken so far; none where one of them is not this machine's.
pub(super) fn processor_time(processes: &[i32]) -> Option<Duration> {
    let ticks_per_second = u64::try_from(sysconf(SysconfVar::CLK_TCK).ok()??).ok()?;
    let mut ticks = 0;
    for process in processes {
        let stat = fs::read_to_string(format!("/proc/{process}/stat")).ok()?;
        // The name stands in parentheses, and may hold anything; user and system time are the 12th and 13th field after it.
        let mut fields = stat.rsplit_once(')')?.1.split_whitespace().skip(11);
        ticks += fields.next()?.parse::<u64>().ok()? + fields.next()?.parse::<u64>().ok()?;
    }
    Some(Duration::from_millis(ticks * 1_000 / ticks_per_second.max(1)))
}

/// The most memory that a process has had, in bytes.
pub(super) fn peak_memory(process: u32) -> Option<u64> {
    bytes(&format!("/proc/{process}/status"), "VmHWM")
}

/// A size among the fields of a file.
pub(super) fn bytes(path: &str, name: &str) -> Option<u64> {
    Some(field(path, name)?.strip_suffix(" kB")?.parse::<u64>().ok()? * 1_024)
}

/// The first value of a field of a file whose lines are `name: value`.
pub(super) fn field(path: &str, name: &str) -> Option<String> {
    let text = fs::read_to_string(path).ok()?;
    let (_, value) = text.lines().filter_map(|line| line.split_once(':')).find(|(found, _)| found.trim() == name)?;
    Some(value.trim().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_kernel_tells_of_this_process() {
        let own = std::process::id();
        assert!(peak_memory(own).is_some_and(|bytes| bytes > 1_000_000));
        assert!(processor_time(&[i32::try_from(own).unwrap()]).is_some());
        assert_eq!(processor_time(&[-1]), None);
    }
}
