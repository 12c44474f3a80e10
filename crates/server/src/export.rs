//! `sihai export`: all keys of a cluster in a file that Redis reads. The node sends it as it would to a replica; here it is
//! checked on its way, written beside the place where it belongs, and put there when it is whole and on the disk.

use crate::cli::Export;
use crate::connection::Credentials;
use crate::import::report::Progress;
use crate::import::source::{Copy, Origin};
use crate::import::state::beside;
use crate::shown::{bytes, elapsed, keys};
use node::rdb::file::{Item, Reader};
use std::fs::{File, OpenOptions};
use std::io::{Read, Write};
use std::path::Path;

/// Bytes that are taken at once.
const CHUNK_BYTES: usize = 1 << 20;

/// Exports. The error is a sentence.
pub fn run(arguments: &Export) -> Result<(), String> {
    let path = &arguments.file;
    if path.exists() && !arguments.overwrite {
        return Err(format!(
            "{} exists already, and was left as it is; --overwrite replaces it",
            path.display()
        ));
    }
    let origin = Origin {
        address: arguments.addr.clone(),
        credentials: Credentials::from_file_or_environment(
            arguments.user.clone(),
            arguments.password_file.as_deref(),
            "SIHAI_AUTH",
        )?,
        database: None,
        told_password: false,
        version: Some(arguments.rdb_version),
    };
    let mut progress = Progress::new(0, None);
    let mut copy = origin.sync(false)?;
    let partial = beside(path, &format!(".{}.partial", std::process::id()));
    let written = write(&mut copy, &partial, &mut progress).and_then(|written| {
        put_in_place(&partial, path)
            .map_err(|error| format!("{} can't be written: {error}", path.display()))?;
        Ok(written)
    });
    progress.end();
    let (found, length) = written.map_err(|why| {
        // It may never have come into being.
        let _ = std::fs::remove_file(&partial);
        format!("{why}. Nothing was written to {}", path.display())
    })?;
    println!(
        "{} are in {} ({}, RDB version {}), in {}. Each shard is as of one moment after the export began, not all of the same",
        keys(found),
        path.display(),
        bytes(length),
        arguments.rdb_version,
        elapsed(progress.elapsed())
    );
    Ok(())
}

/// Writes what comes, and reads it: how many keys there are, and how many bytes.
fn write(copy: &mut Copy, to: &Path, progress: &mut Progress) -> Result<(u64, u64), String> {
    let unwritable = |error: std::io::Error| format!("{} can't be written: {error}", to.display());
    let mut file = OpenOptions::new().write(true).create_new(true).open(to).map_err(unwritable)?;
    let mut reader = Reader::new();
    let mut chunk = vec![0; CHUNK_BYTES];
    let (mut found, mut length) = (0, 0);
    loop {
        let count = copy.read(&mut chunk).map_err(|error| {
            format!("the node ended the file too early, at byte {length} ({error}); its log says why")
        })?;
        file.write_all(&chunk[..count]).map_err(unwritable)?;
        length += count as u64;
        if count == 0 {
            reader.finish();
        } else {
            reader.feed(&chunk[..count]);
        }
        loop {
            match reader.next_item() {
                Ok(Some(Item::Key(_))) => found += 1,
                Ok(Some(_)) => {}
                Ok(None) => break,
                Err(error) => {
                    return Err(format!(
                        "what came can't be read behind byte {}: {error}",
                        reader.position()
                    ));
                }
            }
        }
        progress.show("exporting", found, length);
        if count == 0 {
            break;
        }
    }
    file.sync_all().map_err(unwritable)?;
    Ok((found, length))
}

/// Gives a file its name, durably.
fn put_in_place(partial: &Path, path: &Path) -> std::io::Result<()> {
    std::fs::rename(partial, path)?;
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    File::open(folder)?.sync_all()
}
