//! What commands may do with files, and what they may not. Each table is tried on both ways of
//! resolving paths.

use std::fs;
use std::os::unix::fs::{PermissionsExt as _, symlink};

use hopline_wire::event::Encoding;
use rustix::fs::FileType;
use tempfile::TempDir;

use super::*;

/// A root with a project `app`, and things beside it that must stay out of reach.
struct Fixture {
    folder: TempDir,
    workspace: Workspace,
}

impl Fixture {
    fn new(resolver: Resolver) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path().join("root");
        let app = root.join("app");
        fs::create_dir_all(app.join("src/deep")).unwrap();
        fs::create_dir_all(root.join("other")).unwrap();
        fs::write(root.join("other/secret"), "other's").unwrap();
        fs::write(folder.path().join("secret"), "outside").unwrap();
        fs::write(root.join("plain-file"), "no project").unwrap();
        fs::write(app.join("src/main.rs"), "fn main() {}\r\n").unwrap();
        fs::write(app.join("raw"), [0xff, 0x00, b'a']).unwrap();
        for (target, link) in [
            ("src/main.rs", "link-inside"),
            ("src", "folder-link"),
            ("../main.rs", "src/deep/up"),
            ("../other/secret", "link-out"),
            ("/etc", "link-absolute"),
            ("..", "link-parent"),
            ("circle", "circle"),
            ("nowhere", "dangling"),
            ("src/../../app/src", "out-and-in"),
        ] {
            symlink(target, app.join(link)).unwrap();
        }
        symlink(folder.path(), root.join("linked")).unwrap();
        rustix::fs::mknodat(
            rustix::fs::CWD,
            app.join("fifo"),
            FileType::Fifo,
            Mode::from_raw_mode(0o600),
            0,
        )
        .unwrap();
        let workspace = Workspace {
            resolver,
            ..Workspace::new(root)
        };
        Self { folder, workspace }
    }

    fn both() -> [Self; 2] {
        [Self::new(Resolver::Kernel), Self::new(Resolver::Components)]
    }

    fn app(&self) -> PathBuf {
        self.folder.path().canonicalize().unwrap().join("root/app")
    }
}

fn code<T>(result: Result<T, WorkspaceError>) -> &'static str {
    match result {
        Ok(_) => "ok",
        Err(error) => error.code(),
    }
}

#[test]
fn a_path_is_read_only_inside_its_project() {
    let long = "x".repeat(300);
    let table = [
        ("src/main.rs", "ok"),
        ("./src//deep/../main.rs", "ok"),
        ("link-inside", "ok"),
        ("folder-link/main.rs", "ok"),
        ("src/deep/up", "ok"),
        ("../other/secret", "outside_project"),
        ("src/../../other/secret", "outside_project"),
        ("..", "outside_project"),
        ("/etc/passwd", "outside_project"),
        ("link-out", "outside_project"),
        ("link-absolute/passwd", "outside_project"),
        ("link-parent/app/src/main.rs", "outside_project"),
        ("out-and-in/main.rs", "outside_project"),
        ("src/main.rs\0.txt", "invalid_path"),
        ("", "invalid_path"),
        ("circle", "invalid_path"),
        (&long, "invalid_path"),
        ("missing", "not_found"),
        ("missing/../src/main.rs", "not_found"),
        ("dangling", "not_found"),
        ("src", "is_a_directory"),
        (".", "is_a_directory"),
        ("folder-link", "is_a_directory"),
        ("src/main.rs/x", "not_a_directory"),
        ("src/main.rs/", "not_a_directory"),
        ("fifo", "not_a_file"),
    ];
    for fixture in Fixture::both() {
        for (path, expected) in table {
            let read = fixture.workspace.read("app", path, 1000);
            assert_eq!(
                code(read),
                expected,
                "{:?} {path:?}",
                fixture.workspace.resolver
            );
        }
    }
}

#[test]
fn a_path_is_written_only_inside_its_project() {
    let table = [
        ("new", "ok"),
        ("a/b/c/new", "ok"),
        ("a/../d/new", "ok"),
        ("src/main.rs", "ok"),
        ("link-inside", "ok"),
        ("folder-link/x/new", "ok"),
        ("../new", "outside_project"),
        ("../other/new", "outside_project"),
        ("link-out", "outside_project"),
        ("link-parent/other/new", "outside_project"),
        ("link-absolute/x/new", "outside_project"),
        ("/etc/new", "outside_project"),
        ("a\0b", "invalid_path"),
        ("", "invalid_path"),
        ("circle/x", "invalid_path"),
        ("dangling/x", "not_found"),
        ("src", "is_a_directory"),
        ("src/", "is_a_directory"),
        (".", "is_a_directory"),
        ("raw/x", "not_a_directory"),
        ("raw/x/y", "not_a_directory"),
        ("fifo", "not_a_file"),
    ];
    for fixture in Fixture::both() {
        for (path, expected) in table {
            let written = fixture
                .workspace
                .write("app", path, "written", Encoding::Utf8);
            assert_eq!(
                code(written),
                expected,
                "{:?} {path:?}",
                fixture.workspace.resolver
            );
            if expected == "ok" {
                let back = fixture.workspace.read("app", path, 1000).unwrap();
                assert_eq!(back.content, "written", "{path:?}");
            }
        }
        assert_eq!(
            fs::read_to_string(fixture.app().join("../other/secret")).unwrap(),
            "other's"
        );
        assert!(
            !fixture.app().join("../new").exists() && !fixture.app().join("../other/new").exists()
        );
        let link = fs::symlink_metadata(fixture.app().join("link-inside")).unwrap();
        assert!(
            link.is_symlink(),
            "a link inside is written through, not replaced"
        );
    }
}

#[test]
fn a_slug_names_a_folder_below_the_root_or_nothing() {
    let long = "x".repeat(256);
    let table = [
        ("app", "ok"),
        ("", "invalid_path"),
        (".", "invalid_path"),
        ("..", "invalid_path"),
        ("app/src", "invalid_path"),
        ("/etc", "invalid_path"),
        ("a\0b", "invalid_path"),
        (&long, "invalid_path"),
        ("missing", "not_found"),
        ("plain-file", "not_a_directory"),
        ("linked", "outside_project"),
    ];
    for fixture in Fixture::both() {
        for (slug, expected) in table {
            assert_eq!(
                code(fixture.workspace.list(slug, "", 10_000)),
                expected,
                "list {slug:?}"
            );
            assert_eq!(
                code(fixture.workspace.cwd_within(slug, "")),
                expected,
                "cwd {slug:?}"
            );
            let made = if expected == "not_found" {
                "ok"
            } else {
                expected
            };
            assert_eq!(
                code(fixture.workspace.ensure_project(slug)),
                made,
                "ensure {slug:?}"
            );
        }
        for (slug, expected) in table {
            let deleted = if expected == "not_found" {
                "ok"
            } else {
                expected
            };
            assert_eq!(
                code(fixture.workspace.delete_project(slug)),
                deleted,
                "delete {slug:?}"
            );
        }
        assert!(fixture.folder.path().join("secret").exists());
    }
}

#[test]
fn a_working_directory_stays_inside_the_project() {
    for fixture in Fixture::both() {
        let app = fixture.app();
        let absolute = app.join("src/deep").to_str().unwrap().to_owned();
        let sibling = app.join("../other").to_str().unwrap().to_owned();
        let table = [
            ("", Ok(app.clone())),
            (".", Ok(app.clone())),
            ("src/deep", Ok(app.join("src/deep"))),
            ("folder-link", Ok(app.join("src"))),
            (&absolute, Ok(app.join("src/deep"))),
            (&sibling, Err("outside_project")),
            ("..", Err("outside_project")),
            ("/etc", Err("outside_project")),
            ("link-parent", Err("outside_project")),
            ("link-absolute", Err("outside_project")),
            ("src/main.rs", Err("not_a_directory")),
            ("missing", Err("not_found")),
            ("a\0", Err("invalid_path")),
            ("/a\0", Err("invalid_path")),
        ];
        for (path, expected) in table {
            let found = fixture
                .workspace
                .cwd_within("app", path)
                .map_err(|error| error.code());
            assert_eq!(found, expected, "{path:?}");
        }
    }
}

#[test]
fn a_working_directory_alone_tells_its_project() {
    let fixture = Fixture::new(Resolver::Kernel);
    let app = fixture.app();
    let named = tempfile::tempdir().unwrap();
    fs::create_dir(named.path().join("sub")).unwrap();
    let workspace = fixture.workspace.clone().with_project("mine", named.path());
    let absolute = app.join("src").to_str().unwrap().to_owned();
    let in_named = named.path().join("sub").to_str().unwrap().to_owned();
    let found = |path: &str| workspace.locate(path).map_err(|error| error.code());
    assert_eq!(found("app"), Ok(("app".to_owned(), app.clone())));
    assert_eq!(found("app/src"), Ok(("app".to_owned(), app.join("src"))));
    assert_eq!(found(&absolute), Ok(("app".to_owned(), app.join("src"))));
    assert_eq!(
        found(&in_named),
        Ok((
            "mine".to_owned(),
            named.path().canonicalize().unwrap().join("sub")
        ))
    );
    for (path, expected) in [
        ("", "outside_project"),
        ("/etc", "outside_project"),
        ("..", "outside_project"),
        ("app/../other", "outside_project"),
        ("nobody", "not_found"),
        ("app\0", "invalid_path"),
    ] {
        assert_eq!(code(workspace.locate(path)), expected, "{path:?}");
    }
}

#[test]
fn what_was_written_is_read_back_in_either_encoding() {
    let fixture = Fixture::new(Resolver::Kernel);
    let workspace = &fixture.workspace;
    workspace
        .write("fresh", "a/b", "/wBh", Encoding::Base64)
        .unwrap();
    let read = workspace.read("fresh", "a/b", 1000).unwrap();
    assert_eq!(
        (read.content.as_str(), read.encoding, read.size),
        ("/wBh", Encoding::Base64, 3)
    );
    workspace
        .write("fresh", "a/b", "né", Encoding::Utf8)
        .unwrap();
    let read = workspace.read("fresh", "a/b", 1000).unwrap();
    assert_eq!(
        (read.content.as_str(), read.encoding, read.size),
        ("né", Encoding::Utf8, 3)
    );
    let refused = workspace.write("fresh", "a/b", "%%%", Encoding::Base64);
    assert_eq!(code(refused), "invalid_content");
    assert_eq!(
        workspace.read("fresh", "a/b", 1000).unwrap().content,
        "né",
        "a refused write changes nothing"
    );
}

#[test]
fn a_file_is_read_up_to_the_limit_and_not_beyond() {
    let fixture = Fixture::new(Resolver::Kernel);
    let workspace = &fixture.workspace;
    workspace
        .write("app", "ten", "0123456789", Encoding::Utf8)
        .unwrap();
    assert_eq!(code(workspace.read("app", "ten", 10)), "ok");
    assert_eq!(code(workspace.read("app", "ten", 9)), "too_large");
    // Three bytes that are not UTF-8 take four in base 64.
    assert_eq!(code(workspace.read("app", "raw", 4)), "ok");
    assert_eq!(code(workspace.read("app", "raw", 3)), "too_large");
}

#[test]
fn a_list_shows_every_entry_as_what_it_is() {
    for fixture in Fixture::both() {
        let app = fixture.workspace.list("app", ".", 10_000).unwrap();
        let shown = |name: &str| {
            app.iter()
                .find(|entry| entry.name == name)
                .map(|entry| entry.kind.as_str())
        };
        assert_eq!(shown("src"), Some("directory"));
        assert_eq!(shown("raw"), Some("file"));
        assert_eq!(shown("link-absolute"), Some("symlink"));
        assert_eq!(shown("fifo"), Some("other"));
        assert!(app.is_sorted_by(|a, b| a.name < b.name));
        let src = fixture
            .workspace
            .list("app", "folder-link", 10_000)
            .unwrap();
        let main = src.iter().find(|entry| entry.name == "main.rs").unwrap();
        assert_eq!((main.path.as_str(), main.size), ("folder-link/main.rs", 14));
        for (path, expected) in [
            ("..", "outside_project"),
            ("/", "outside_project"),
            ("raw", "not_a_directory"),
            ("x", "not_found"),
        ] {
            assert_eq!(
                code(fixture.workspace.list("app", path, 10_000)),
                expected,
                "{path:?}"
            );
        }
        assert_eq!(code(fixture.workspace.list("app", "", 200)), "too_large");
    }
}

#[test]
fn deleting_a_project_leaves_what_its_links_lead_to() {
    let fixture = Fixture::new(Resolver::Kernel);
    assert!(fixture.workspace.delete_project("app").unwrap());
    assert!(!fixture.app().exists());
    assert_eq!(
        fs::read_to_string(fixture.folder.path().join("root/other/secret")).unwrap(),
        "other's"
    );
    assert!(
        !fixture.workspace.delete_project("app").unwrap(),
        "the second time there is nothing"
    );
}

#[test]
fn a_folder_of_the_owners_is_used_but_never_deleted() {
    let fixture = Fixture::new(Resolver::Kernel);
    let own = tempfile::tempdir().unwrap();
    let workspace = fixture.workspace.clone().with_project("mine", own.path());
    workspace
        .write("mine", "x", "kept", Encoding::Utf8)
        .unwrap();
    assert_eq!(
        code(workspace.read("mine", "../secret", 100)),
        "outside_project"
    );
    assert_eq!(code(workspace.delete_project("mine")), "protected");
    assert_eq!(fs::read_to_string(own.path().join("x")).unwrap(), "kept");
}

#[test]
fn a_file_keeps_its_mode_when_it_is_written() {
    let fixture = Fixture::new(Resolver::Kernel);
    let script = fixture.app().join("run.sh");
    fs::write(&script, "old and longer").unwrap();
    fs::set_permissions(&script, fs::Permissions::from_mode(0o755)).unwrap();
    fixture
        .workspace
        .write("app", "run.sh", "new", Encoding::Utf8)
        .unwrap();
    assert_eq!(fs::read_to_string(&script).unwrap(), "new");
    assert_eq!(
        fs::metadata(&script).unwrap().permissions().mode() & 0o777,
        0o755
    );
}
