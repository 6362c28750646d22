//! What installs Tallybook says the same as the rest of the repository. Its form is checked by `make check-deploy`.
use std::fs;
use std::path::{Component, Path, PathBuf};

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
    let mut copied = copied(&dockerfile);
    copied.sort_unstable();
    assert_eq!(kept, copied);
}

/// What goes into the image's build.
fn copied(dockerfile: &str) -> Vec<&str> {
    let copies = lines(dockerfile, "COPY ").into_iter().filter(|words| !words.starts_with("--from"));
    copies.flat_map(|words| words.rsplit_once(' ').unwrap().0.split(' ')).collect()
}

/// Every file that sources below `folder` include, but for those of tests.
fn included(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            included(&path, found);
        } else if path.extension().is_some_and(|end| end == "rs") && path.file_name().unwrap() != "tests.rs" {
            let text = fs::read_to_string(&path).unwrap();
            let product = text.split("#[cfg(test)]\nmod tests {").next().unwrap();
            for macro_call in ["include_str!(\"", "include_bytes!(\""] {
                let names = product.split(macro_call).skip(1).map(|rest| rest.split('"').next().unwrap());
                found.extend(names.map(|name| folder.join(name)));
            }
        }
    }
}

/// A path without its `..`.
fn plain(path: &Path) -> PathBuf {
    path.components().fold(PathBuf::new(), |mut plain, component| {
        if component == Component::ParentDir {
            plain.pop();
        } else {
            plain.push(component);
        }
        plain
    })
}

#[test]
fn whatever_the_build_needs_goes_into_it() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let dockerfile = file("Dockerfile");
    let is_copied = |path: &Path| copied(&dockerfile).into_iter().any(|copied| path.starts_with(root.join(copied)));
    let mut files = Vec::new();
    included(&root.join("src"), &mut files);
    assert!(files.iter().any(|file| !plain(file).starts_with(root.join("src"))), "what lies outside of src is found");
    let manifest: toml::Table = file("Cargo.toml").parse().unwrap();
    for (kind, folder) in [("bin", "src/bin"), ("test", "tests"), ("bench", "benches"), ("example", "examples")] {
        for target in manifest.get(kind).and_then(|targets| targets.as_array()).into_iter().flatten() {
            let path = target.get("path").map(|path| root.join(path.as_str().unwrap()));
            files.push(path.unwrap_or_else(|| root.join(folder).join(format!("{}.rs", target["name"].as_str().unwrap()))));
        }
    }
    for file in files.iter().map(|file| plain(file)) {
        assert!(file.is_file() && is_copied(&file), "{} is not copied into the image's build", file.display());
    }
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
fn what_composes_and_who_applies_name_what_fits() {
    let (compose, dockerfile, manifest) = (file("compose.yaml"), file("Dockerfile"), file("deploy/kubernetes/tallybook.yaml"));
    let server = lines(&compose, "image: postgres:")[0].split('.').next().unwrap();
    assert!(dockerfile.contains(&format!(" postgresql-{server} ")), "a backup needs programs that are not older than the server");
    // The folder has a secret that is none, too.
    assert!(lines(&manifest, "# Tallybook on Kubernetes")[0].ends_with("-f deploy/kubernetes/tallybook.yaml"));
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
