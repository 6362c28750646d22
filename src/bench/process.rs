//! What processes of this machine have taken: processor time and memory, as the kernel tells.
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
    let status = fs::read_to_string(format!("/proc/{process}/status")).ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    Some(line.trim().strip_suffix(" kB")?.parse::<u64>().ok()? * 1_024)
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
