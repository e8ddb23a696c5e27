//! What kind of project a folder holds, by the files that its tools need.

use std::path::Path;

use hopline_wire::event::ProjectMetadataPayload;
use serde_json::Value;

/// More than this of a manifest is not looked into, in bytes.
const MAX_MANIFEST_BYTES: u64 = 1 << 20;

/// Files that give a project's type away, the surest first.
const BY_FILE: [(&str, &str); 9] = [
    ("Cargo.toml", "rust"),
    ("go.mod", "go"),
    ("pyproject.toml", "python"),
    ("requirements.txt", "python"),
    ("pom.xml", "java"),
    ("build.gradle", "java"),
    ("Gemfile", "ruby"),
    ("Makefile", "make"),
    ("index.html", "static"),
];

/// Packages that give a JavaScript project's framework away, those built on others first.
const BY_PACKAGE: [(&str, &str); 9] = [
    ("next", "next"),
    ("nuxt", "nuxt"),
    ("astro", "astro"),
    ("@sveltejs/kit", "sveltekit"),
    ("@angular/core", "angular"),
    ("vite", "vite"),
    ("react", "react"),
    ("vue", "vue"),
    ("express", "express"),
];

/// Looks at the project in `folder`; blocks on the disk.
pub(super) fn detect(folder: &Path) -> ProjectMetadataPayload {
    let mut metadata = ProjectMetadataPayload {
        path: Some(folder.to_string_lossy().into_owned()),
        ..ProjectMetadataPayload::default()
    };
    if let Some(manifest) = package_manifest(folder) {
        let depends = |name: &str| {
            ["dependencies", "devDependencies"]
                .iter()
                .any(|kind| manifest[kind][name].is_string())
        };
        let framework = BY_PACKAGE.iter().find(|(name, _)| depends(name));
        metadata.project_type = Some(framework.map_or("node", |(_, kind)| kind).to_owned());
        let script = ["dev", "start"]
            .into_iter()
            .find(|script| manifest["scripts"][script].is_string());
        metadata.run_command = script.map(|script| format!("npm run {script}"));
        return metadata;
    }
    let found = BY_FILE.iter().find(|(file, _)| folder.join(file).is_file());
    metadata.project_type = found.map(|(_, kind)| (*kind).to_owned());
    metadata
}

fn package_manifest(folder: &Path) -> Option<Value> {
    let path = folder.join("package.json");
    let file = std::fs::metadata(&path).ok()?;
    let small = file.is_file() && file.len() <= MAX_MANIFEST_BYTES;
    let text = small.then(|| std::fs::read_to_string(&path).ok())??;
    serde_json::from_str(&text).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn detected(file: &str, content: &str) -> ProjectMetadataPayload {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join(file), content).unwrap();
        detect(folder.path())
    }

    #[test]
    fn a_project_is_known_by_its_manifest() {
        let found = detected("Cargo.toml", "");
        assert_eq!(found.project_type.as_deref(), Some("rust"));
        let found = detected(
            "package.json",
            r#"{"devDependencies":{"vite":"5","react":"18"},"scripts":{"dev":"vite"}}"#,
        );
        assert_eq!(found.project_type.as_deref(), Some("vite"));
        assert_eq!(found.run_command.as_deref(), Some("npm run dev"));
        let found = detected("notes.txt", "");
        assert_eq!(found.project_type, None);
        assert!(found.path.is_some());
    }
}
