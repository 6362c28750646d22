//! What installs Tallybook says the same as the rest of the repository. Its form is checked by `make check-deploy`.
use std::fs;
use std::path::Path;

fn file(path: &str) -> String {
    fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(path)).unwrap()
}

/// The rest of each line that begins with `word`.
fn lines<'a>(text: &'a str, word: &str) -> Vec<&'a str> {
    text.lines().filter_map(|line| line.trim_start().strip_prefix(word)).map(str::trim).collect()
}

#[test]
fn the_image_is_built_with_our_compiler_from_pinned_images_and_does_not_run_as_root() {
    let (dockerfile, toolchain) = (file("Dockerfile"), file("rust-toolchain.toml"));
    let channel = lines(&toolchain, "channel = ")[0].trim_matches('"').to_owned();
    let bases = lines(&dockerfile, "FROM ");
    assert!(bases[0].starts_with(&format!("rust:{channel}-")), "{bases:?}");
    for base in bases {
        let tag = base.split_once(':').unwrap().1;
        assert!(tag.starts_with(|c: char| c.is_ascii_digit()) && tag.contains('.'), "{base} is not pinned");
    }
    let user = lines(&dockerfile, "USER ");
    assert_eq!(user, ["10001:10001"]);
    assert_eq!(lines(&dockerfile, "HEALTHCHECK ").len(), 1);
    let manifest = file("deploy/kubernetes/tallybook.yaml");
    assert_eq!(lines(&manifest, "runAsUser: "), ["10001"]);
}

#[test]
fn only_what_the_build_needs_goes_into_it() {
    let ignored = file(".dockerignore");
    let mut kept: Vec<&str> = lines(&ignored, "!");
    assert_eq!(ignored.lines().find(|line| !line.starts_with('#')), Some("*"));
    kept.sort_unstable();
    let dockerfile = file("Dockerfile");
    let mut copied: Vec<&str> = lines(&dockerfile, "COPY ")
        .into_iter()
        .filter(|words| !words.starts_with("--from"))
        .flat_map(|words| words.rsplit_once(' ').unwrap().0.split(' '))
        .collect();
    copied.sort_unstable();
    assert_eq!(kept, copied);
}

#[test]
fn the_manifests_are_of_this_version_and_ask_what_the_service_answers() {
    let manifest = file("deploy/kubernetes/tallybook.yaml");
    assert_eq!(lines(&manifest, "image: "), [format!("tallybook:{}", env!("CARGO_PKG_VERSION"))]);
    let openapi = file("openapi.json");
    for probe in lines(&manifest, "httpGet: ") {
        let path = probe.split("path: ").nth(1).unwrap().split(',').next().unwrap();
        assert!(openapi.contains(&format!("\"{path}\"")), "{path} is no path of the API");
    }
}

#[test]
fn the_variables_that_they_set_exist() {
    let help = crate::cli::transcript(&mut crate::cli::tallybook("serve --help"));
    let texts = [
        file("deploy/debian/tallybook.env"),
        file("deploy/systemd/tallybook.service"),
        file("deploy/kubernetes/tallybook.yaml"),
        file("deploy/kubernetes/secret.example.yaml"),
        file("Dockerfile"),
        file("compose.yaml"),
    ];
    let words = texts.iter().flat_map(|text| text.split(|c: char| !(c.is_ascii_uppercase() || c == '_')));
    let mut found: Vec<&str> = words.filter(|word| word.starts_with("TALLYBOOK_") || word.starts_with("DATABASE_")).collect();
    found.sort_unstable();
    found.dedup();
    // Compose's own, for the file that holds the password.
    found.retain(|name| *name != "TALLYBOOK_DB_PASSWORD_FILE");
    assert!(found.len() >= 5, "{found:?}");
    for name in found {
        assert!(help.contains(&format!("[env: {name}")), "{name} is no variable of `tallybook serve`");
    }
}
