//! What systemd, Kubernetes and cron are given: the files of `deploy/schedule/`, with the program's place filled in.

/// Where the files say that the program is.
pub const BINARY: &str = "/usr/bin/tallybook";
/// The container image that they name.
pub const IMAGE: &str = concat!("tallybook:", env!("CARGO_PKG_VERSION"));

/// A scheduler that is given files.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Scheduler {
    /// A service and a timer of systemd
    Systemd,
    /// A job that Kubernetes starts
    Kubernetes,
    /// A file for /etc/cron.d
    Cron,
}

/// A file, and what it is called where it is put.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct File {
    /// Its path.
    pub path: &'static str,
    /// What is in it.
    pub text: String,
}

/// The files of a scheduler, for a program at `binary`, or in the container `image`.
pub fn files(scheduler: Scheduler, binary: &str, image: &str) -> Vec<File> {
    let templates: &[(&'static str, &str)] = match scheduler {
        Scheduler::Systemd => &[
            ("/etc/systemd/system/tallybook-fold.service", include_str!("../../deploy/schedule/tallybook-fold.service")),
            ("/etc/systemd/system/tallybook-fold.timer", include_str!("../../deploy/schedule/tallybook-fold.timer")),
        ],
        Scheduler::Kubernetes => &[("fold-cronjob.yaml", include_str!("../../deploy/schedule/fold-cronjob.yaml"))],
        Scheduler::Cron => &[("/etc/cron.d/tallybook-fold", include_str!("../../deploy/schedule/tallybook-fold.cron"))],
    };
    let filled = |text: &str| text.replace(BINARY, binary).replace(IMAGE, image);
    templates.iter().map(|(path, text)| File { path, text: filled(text) }).collect()
}
