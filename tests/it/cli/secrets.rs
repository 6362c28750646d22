//! No password and no token is ever printed where nobody asked for it.
use super::{on, tallybook, transcript};
use tallybook::testing;

const BAD_URLS: [&str; 6] = [
    "postgres://app:hunter2@127.0.0.1:1/usage",
    "postgres://app:hunter2@127.0.0.1:99999/usage",
    "postgres://app:hun/hunter2@127.0.0.1/usage",
    "mysql://app:hunter2@127.0.0.1/usage",
    "postgres://app:hunter2@127.0.0.1:1/usage?passwrod=hunter2",
    "hunter2",
];

#[test]
fn a_password_is_not_told_however_much_is_logged() {
    for url in BAD_URLS {
        let mut by_variable = tallybook("status --log-level trace");
        by_variable.env("DATABASE_URL", url);
        let mut by_option = tallybook("--log-level trace --log-format json verify --database-url");
        by_option.arg(url);
        for mut command in [by_variable, by_option] {
            let told = transcript(&mut command);
            assert!(!told.contains("hunter2"), "{told}");
            assert!(told.contains("tallybook: ") && told.ends_with("--- exit 2\n"), "{told}");
        }
    }
}

#[test]
fn help_does_not_repeat_the_environment() {
    let mut command = tallybook("--help");
    let told = transcript(command.env("DATABASE_URL", "postgres://app:hunter2@127.0.0.1/usage"));
    assert!(told.contains("[env: DATABASE_URL]") && !told.contains("hunter2"), "{told}");
}

#[tokio::test]
async fn a_token_is_told_once_and_kept_nowhere() {
    let database = testing::database().await;
    let made = on(&database, "token create --name ci --scope ingest --all-workspaces --log-level trace").output().unwrap();
    let token = String::from_utf8(made.stdout).unwrap();
    let token = token.trim();
    assert!(token.starts_with("tally_") && !token.contains(char::is_whitespace), "{token}");
    assert!(!String::from_utf8(made.stderr).unwrap().contains(token));
    let list = transcript(&mut on(&database, "token list --json --log-level trace"));
    assert!(list.contains("\"ci\"") && !list.contains(token), "{list}");
}
