//! From the descriptions of `fastlinq-pac` to its generated Rust.

mod codes;
mod description;
mod layouts;
mod names;
mod reflection;
mod registers;
mod text;
mod versions;

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use description::{BlockFile, InterfaceFile, VersionFile};

/// A failure, as a sentence for the person at the terminal.
pub(crate) type Failure = String;

/// Path below the crate's directory -> text.
pub(crate) type Files = BTreeMap<PathBuf, String>;

/// Directories that hold nothing but generated files.
const OWNED: [&str; 3] = ["src/generated", "tests/oracle/reflection", names::DIRECTORY];

/// Everything read from `descriptions/`.
pub(crate) struct Descriptions {
    pub(crate) blocks: Vec<BlockFile>,
    /// By path below `descriptions/`, without the extension: `hsi/core`.
    pub(crate) interfaces: BTreeMap<String, InterfaceFile>,
    pub(crate) versions: Vec<VersionFile>,
}

fn crate_directory() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .parent()
        .map(|root| root.join("fastlinq-pac"))
        .unwrap_or_default()
}

/// Writes every generated file and removes those that no description gives any more.
pub(crate) fn write() -> Result<String, Failure> {
    let root = crate_directory();
    let files = build(&root)?;
    for stale in differences(&root, &files)?.stale {
        fs::remove_file(root.join(&stale)).map_err(|e| format!("{}: {e}", stale.display()))?;
    }
    let mut written = 0;
    for (path, text) in &files {
        let target = root.join(path);
        if fs::read_to_string(&target).is_ok_and(|old| old == *text) {
            continue;
        }
        if let Some(parent) = target.parent() {
            fs::create_dir_all(parent).map_err(|e| format!("{}: {e}", parent.display()))?;
        }
        fs::write(&target, text).map_err(|e| format!("{}: {e}", target.display()))?;
        written += 1;
    }
    Ok(format!(
        "{} generated files, {written} written",
        files.len()
    ))
}

/// Compares the generated files with what the descriptions give; writes nothing.
pub(crate) fn check() -> Result<String, Failure> {
    let root = crate_directory();
    let files = build(&root)?;
    let differences = differences(&root, &files)?;
    let mut lines: Vec<String> = Vec::new();
    for path in &differences.changed {
        lines.push(format!("differs from its description: {}", path.display()));
    }
    for path in &differences.stale {
        lines.push(format!("no description gives it: {}", path.display()));
    }
    if lines.is_empty() {
        Ok(format!("{} generated files are up to date", files.len()))
    } else {
        lines.push("run `cargo xtask generate` and commit the result".to_owned());
        Err(lines.join("\n"))
    }
}

struct Differences {
    changed: Vec<PathBuf>,
    stale: Vec<PathBuf>,
}

fn differences(root: &Path, files: &Files) -> Result<Differences, Failure> {
    let changed = files
        .iter()
        .filter(|(path, text)| {
            fs::read_to_string(root.join(path)).map_or(true, |old| old != **text)
        })
        .map(|(path, _)| path.clone())
        .collect();
    let mut stale = Vec::new();
    for directory in OWNED {
        for found in files_below(&root.join(directory))? {
            let relative = found.strip_prefix(root).map_err(|e| e.to_string())?;
            if !files.contains_key(relative) {
                stale.push(relative.to_path_buf());
            }
        }
    }
    Ok(Differences { changed, stale })
}

fn files_below(directory: &Path) -> Result<Vec<PathBuf>, Failure> {
    let mut found = Vec::new();
    let Ok(entries) = fs::read_dir(directory) else {
        return Ok(found);
    };
    for entry in entries {
        let path = entry
            .map_err(|e| format!("{}: {e}", directory.display()))?
            .path();
        if path.is_dir() {
            found.extend(files_below(&path)?);
        } else {
            found.push(path);
        }
    }
    found.sort();
    Ok(found)
}

fn build(root: &Path) -> Result<Files, Failure> {
    let descriptions = read(&root.join("descriptions"))?;
    let mut files = Files::new();
    registers::emit(&descriptions, &mut files)?;
    layouts::emit(&descriptions, &mut files)?;
    codes::emit(&descriptions, &mut files)?;
    versions::emit(&descriptions, &mut files)?;
    names::emit(&descriptions, &mut files);
    reflection::emit(&descriptions, &mut files)?;
    text::emit_modules(&mut files);
    for (path, text) in &mut files {
        *text = text::format(path, text)?;
    }
    Ok(files)
}

fn read(directory: &Path) -> Result<Descriptions, Failure> {
    let mut descriptions = Descriptions {
        blocks: Vec::new(),
        interfaces: BTreeMap::new(),
        versions: Vec::new(),
    };
    for path in files_below(directory)? {
        let name = path
            .strip_prefix(directory)
            .map_err(|e| e.to_string())?
            .with_extension("")
            .display()
            .to_string();
        // The version is the file's name: 8.59.1.0.toml; `with_extension` cut only ".toml".
        let text = fs::read_to_string(&path).map_err(|e| format!("{}: {e}", path.display()))?;
        let wrong = |e: toml::de::Error| format!("{}: {e}", path.display());
        if name.starts_with("registers/") {
            let mut block: BlockFile = toml::from_str(&text).map_err(wrong)?;
            block.path = name;
            block.validate()?;
            descriptions.blocks.push(block);
        } else if name.starts_with("versions/") {
            let mut version: VersionFile = toml::from_str(&text).map_err(wrong)?;
            version.path = name;
            version.validate()?;
            descriptions.versions.push(version);
        } else {
            let interface: InterfaceFile = toml::from_str(&text).map_err(wrong)?;
            interface.validate(&name)?;
            descriptions.interfaces.insert(name, interface);
        }
    }
    Ok(descriptions)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_committed_files_follow_the_descriptions() {
        check().unwrap();
    }

    #[test]
    fn a_changed_description_is_a_difference() {
        let root = crate_directory();
        let mut files = build(&root).unwrap();
        let path = PathBuf::from("src/generated/registers/igu.rs");
        let text = files.get_mut(&path).unwrap();
        let changed = text.replacen("0x0018_0800", "0x0018_0804", 1);
        assert_ne!(*text, changed);
        *text = changed;
        assert_eq!(differences(&root, &files).unwrap().changed, [path]);
    }

    #[test]
    fn a_file_without_description_is_stale() {
        let root = crate_directory();
        let mut files = build(&root).unwrap();
        let path = PathBuf::from("src/generated/registers/igu.rs");
        files.remove(&path);
        assert_eq!(differences(&root, &files).unwrap().stale, [path]);
    }
}
