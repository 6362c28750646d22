//! What systemd, Kubernetes and cron are given is what they take.
use crate::cli::{tallybook, transcript};
use serde_json::{Value, json};
use std::fs;
use std::process::Command;
use tallybook::schedule::files::{self, Scheduler};

const BINARY: &str = env!("CARGO_BIN_EXE_tallybook");

#[test]
fn systemd_finds_nothing_to_complain_of() {
    let directory = tempfile::tempdir().unwrap();
    let (mut paths, files) = (Vec::new(), files::files(Scheduler::Systemd, BINARY, files::IMAGE));
    for file in &files {
        let path = directory.path().join(file.path.rsplit('/').next().unwrap());
        fs::write(&path, &file.text).unwrap();
        paths.push(path);
    }
    let [service, timer] = &files[..] else { panic!("{files:?}") };
    for line in ["Type=oneshot", &format!("ExecStart={BINARY} fold"), "EnvironmentFile=/etc/tallybook/tallybook.env"] {
        assert!(service.text.lines().any(|l| l == line), "{line}");
    }
    assert!(timer.text.contains("\nUnit=tallybook-fold.service\n") && timer.text.contains("\n[Install]\n"));
    // Where systemd is not installed, what it would say of the form is said here.
    for text in files.iter().map(|file| &file.text) {
        for line in text.lines().filter(|line| !line.is_empty() && !line.starts_with('#')) {
            let is_section = line.starts_with('[') && line.ends_with(']');
            assert!(is_section || line.split_once('=').is_some_and(|(key, _)| key.chars().all(char::is_alphanumeric)), "{line}");
        }
    }
    if let Ok(verified) = Command::new("systemd-analyze").arg("verify").arg("--man=no").args(&paths).output() {
        let said = String::from_utf8_lossy(&verified.stderr).into_owned();
        assert!(verified.status.success() && !said.contains("tallybook-fold"), "{said}");
    }
}

#[test]
fn kubernetes_gets_a_cron_job_that_folds_as_nobody_in_particular() {
    let [file] = &files::files(Scheduler::Kubernetes, files::BINARY, "registry.example/tallybook:9")[..] else {
        panic!("one file")
    };
    let job: Value = serde_yaml_ng::from_str(&file.text).unwrap();
    assert_eq!((&job["apiVersion"], &job["kind"]), (&json!("batch/v1"), &json!("CronJob")));
    assert_eq!((&job["spec"]["schedule"], &job["spec"]["concurrencyPolicy"]), (&json!("* * * * *"), &json!("Forbid")));
    let pod = &job["spec"]["jobTemplate"]["spec"]["template"]["spec"];
    let container = &pod["containers"][0];
    assert_eq!((&container["image"], &container["args"]), (&json!("registry.example/tallybook:9"), &json!(["fold"])));
    assert_eq!(container["env"][0]["valueFrom"]["secretKeyRef"], json!({"name": "tallybook", "key": "DATABASE_URL"}));
    assert_eq!((&pod["restartPolicy"], &pod["securityContext"]["runAsNonRoot"]), (&json!("Never"), &json!(true)));
    assert_eq!(container["securityContext"]["capabilities"]["drop"], json!(["ALL"]));
}

#[test]
fn cron_gets_a_line_with_five_fields_a_user_and_a_command() {
    let printed = transcript(&mut tallybook("schedule print cron"));
    insta::assert_snapshot!(printed, @"
    # /etc/cron.d/tallybook-fold
    # Folds what is pending into the rollups, every minute. What it prints is mailed, and it prints only what went wrong.
    # /etc/tallybook/tallybook.env, which root and the user tallybook can read, has the line DATABASE_URL=postgres://...
    SHELL=/bin/sh
    * * * * * tallybook set -a; . /etc/tallybook/tallybook.env && exec /usr/bin/tallybook fold >/dev/null
    --- exit 0
    ");
    // cron would take a percent sign for the end of the command.
    assert!(!printed.contains('%'));
}

#[tokio::test]
async fn what_the_files_call_folds() {
    let database = tallybook::testing::database().await;
    sqlx::raw_sql(include_str!("../../../src/testing/one_task.sql")).execute(&database.pool).await.unwrap();
    let directory = tempfile::tempdir().unwrap();
    let environment = directory.path().join("tallybook.env");
    let url = sqlx::ConnectOptions::to_url_lossy(&database.options());
    fs::write(&environment, format!("DATABASE_URL='{url}'\n")).unwrap();
    let [file] = &files::files(Scheduler::Cron, BINARY, files::IMAGE)[..] else { panic!("one file") };
    let line = file.text.lines().last().unwrap().replace("/etc/tallybook/tallybook.env", environment.to_str().unwrap());
    let command = line.splitn(7, ' ').last().unwrap();
    let ran = Command::new("/bin/sh").args(["-c", command]).output().unwrap();
    assert!(ran.status.success() && ran.stdout.is_empty() && ran.stderr.is_empty(), "{ran:?}");
    let pending: bool = sqlx::query_scalar("select tallybook.is_pending()").fetch_one(&database.pool).await.unwrap();
    assert!(!pending);
}

#[test]
fn what_is_printed_is_what_lies_in_deploy() {
    for (scheduler, names) in [
        ("systemd", &["tallybook-fold.service", "tallybook-fold.timer"][..]),
        ("kubernetes", &["fold-cronjob.yaml"]),
        ("cron", &["tallybook-fold.cron"]),
    ] {
        let printed = transcript(&mut tallybook(&format!("schedule print {scheduler}")));
        for name in names {
            let text = fs::read_to_string(format!("{}/deploy/schedule/{name}", env!("CARGO_MANIFEST_DIR"))).unwrap();
            assert!(printed.contains(text.trim_end()), "{name}");
        }
    }
}
