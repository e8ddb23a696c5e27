//! What is said of the console that was built in, if one was.

use super::*;

#[test]
fn the_console_that_is_built_in_is_whole() {
    let console = Console::new(EMBEDDED, &"/below/".parse().unwrap());
    assert_eq!(console.is_there(), !EMBEDDED.is_empty());
    let Some((page, _)) = &console.index else {
        return;
    };
    let page = String::from_utf8(page.to_vec()).unwrap();
    assert!(page.contains("<base href=\"/below/\""), "{page}");
    // All that the page names is there, and none of it stands in the page.
    let mut named = 0;
    for name in ["src=\"./", "href=\"./"] {
        for rest in page.split(name).skip(1) {
            let path = rest.split('"').next().unwrap();
            assert!(console.files.contains_key(path), "{path}");
            named += 1;
        }
    }
    assert!(named > 0, "{page}");
    assert!(!page.contains("<style") && !page.contains("style="));
    assert!(
        page.split("<script")
            .skip(1)
            .all(|it| it.contains("src=\"./"))
    );
}

#[test]
fn every_kind_of_file_that_a_console_has_has_a_type() {
    for file in EMBEDDED {
        let kind = content_type(file.path);
        assert_ne!(kind, "application/octet-stream", "{}", file.path);
    }
}
