//! SCRIPT and FUNCTION: which scripts and libraries there are. What changes them is decided by meta, once a worker has looked at the text.

use super::{Answered, is, shown};
use crate::meta::MetaCommand;
use crate::meta::programs::{LibraryRecord, Manner};
use crate::node::Node;
use crate::rdb;
use crate::scripts::Which;
use bytes::Bytes;
use command::{Spec, glob};
use resp::Writer;
use script::Sha;

/// The byte before a library's text in what FUNCTION DUMP answers.
const LIBRARY: u8 = 245;
/// The byte before a string's value there, as in any dump.
const STRING: u8 = 0;

impl Node {
    pub(super) fn about_scripts(&mut self, slot: u32, spec: &'static Spec, words: &[&[u8]]) -> Answered {
        match (spec.short_name(), &words[2..]) {
            ("load", [text]) => {
                self.check_script(slot, Bytes::copy_from_slice(text));
                Ok(())
            }
            ("exists", names) => {
                let known: Vec<bool> = names
                    .iter()
                    .map(|name| Sha::parse(name).is_some_and(|sha| self.script(sha).is_some()))
                    .collect();
                self.reply(slot, |reply| {
                    reply.array(known.len());
                    known.iter().for_each(|known| reply.integer(i64::from(*known)));
                });
                Ok(())
            }
            ("flush", options) => {
                match options {
                    [] => {}
                    [option] if is(option, "sync") || is(option, "async") => {}
                    _ => return Err("ERR SCRIPT FLUSH only support SYNC|ASYNC option".into()),
                }
                self.change_meta(slot, words, &MetaCommand::FlushScripts);
                Ok(())
            }
            ("kill", _) => {
                self.scripts.kill(Which::Scripts)?;
                self.reply_ok(slot)
            }
            ("debug", [option]) if is(option, "no") => self.reply_ok(slot),
            ("debug", [option]) if is(option, "yes") || is(option, "sync") => {
                Err("ERR there is no debugger for scripts; redis.log tells the node's log what a script has to say".into())
            }
            ("debug", _) => Err("ERR Use SCRIPT DEBUG YES/SYNC/NO".into()),
            _ => self.explain(slot, "script"),
        }
    }

    pub(super) fn about_functions(&mut self, slot: u32, spec: &'static Spec, words: &[&[u8]]) -> Answered {
        match (spec.short_name(), &words[2..]) {
            ("load", [options @ .., code]) => {
                let mut manner = Manner::Add;
                for option in options {
                    if !is(option, "replace") {
                        return Err(format!("ERR Unknown option given: {}", shown(option)).into());
                    }
                    manner = Manner::Replace;
                }
                self.check_room()?;
                // Meta looks again; this is Redis's way to say it.
                if let Ok(header) = script::Header::of_library(code)
                    && manner == Manner::Add
                    && let Some(meta) = self.meta()
                    && meta.programs().libraries().any(|library| library.name == header.name)
                {
                    return Err(format!("ERR Library '{}' already exists", header.name).into());
                }
                self.load_libraries(slot, vec![Bytes::copy_from_slice(code)], manner, true);
                Ok(())
            }
            ("delete", [name]) => {
                self.change_meta(slot, words, &MetaCommand::DeleteLibrary { name: shown(name).into_owned() });
                Ok(())
            }
            ("flush", options) => {
                match options {
                    [] => {}
                    [option] if is(option, "sync") || is(option, "async") => {}
                    [_] => return Err("ERR FUNCTION FLUSH only supports SYNC|ASYNC option".into()),
                    _ => return Err(wrong_number("flush")),
                }
                self.change_meta(slot, words, &MetaCommand::FlushLibraries);
                Ok(())
            }
            ("list", options) => self.list_libraries(slot, options),
            ("stats", _) => self.tell_functions(slot),
            ("dump", _) => {
                let Some(meta) = self.meta() else { return Err(no_meta()) };
                let mut all = Vec::new();
                for library in meta.programs().libraries() {
                    all.push(LIBRARY);
                    let dump = rdb::dump_string(&library.code);
                    // Behind the type, and without the footer of its own.
                    all.extend_from_slice(&dump[1..dump.len() - rdb::DUMP_FOOTER_BYTES]);
                }
                let dump = rdb::seal(all);
                self.reply(slot, |reply| reply.bulk(&dump));
                Ok(())
            }
            ("restore", [payload, options @ ..]) => {
                let manner = match options {
                    [] => Manner::Add,
                    [option] if is(option, "append") => Manner::Add,
                    [option] if is(option, "replace") => Manner::Replace,
                    [option] if is(option, "flush") => Manner::Flush,
                    [_] => {
                        return Err("ERR Wrong restore policy given, value should be either FLUSH, APPEND or REPLACE.".into());
                    }
                    _ => return Err(wrong_number("restore")),
                };
                self.check_room()?;
                let texts = texts_of(payload)?;
                self.load_libraries(slot, texts, manner, false);
                Ok(())
            }
            ("kill", _) => {
                self.scripts.kill(Which::Functions)?;
                self.reply_ok(slot)
            }
            _ => self.explain(slot, "function"),
        }
    }

    /// Libraries take memory, too.
    fn check_room(&mut self) -> Result<(), std::borrow::Cow<'static, str>> {
        self.free_memory();
        if self.hub.memory.is_full() { Err(crate::memory::OUT_OF_MEMORY.into()) } else { Ok(()) }
    }

    fn list_libraries(&mut self, slot: u32, options: &[&[u8]]) -> Answered {
        let (mut pattern, mut with_code) = (None, false);
        let mut rest = options.iter();
        while let Some(option) = rest.next() {
            if is(option, "withcode") && !with_code {
                with_code = true;
            } else if is(option, "libraryname") && pattern.is_none() {
                pattern = Some(*rest.next().ok_or("ERR library name argument was not given")?);
            } else {
                return Err(format!("ERR Unknown argument {}", shown(option)).into());
            }
        }
        let Some(meta) = self.meta() else { return Err(no_meta()) };
        let libraries: Vec<LibraryRecord> = meta
            .programs()
            .libraries()
            .filter(|library| {
                pattern.is_none_or(|pattern| {
                    let name = library.name.to_ascii_lowercase();
                    glob::matches(&pattern.to_ascii_lowercase(), name.as_bytes())
                })
            })
            .cloned()
            .collect();
        self.reply(slot, |reply| {
            reply.array(libraries.len());
            libraries.iter().for_each(|library| describe(library, with_code, reply));
        });
        Ok(())
    }

    fn tell_functions(&mut self, slot: u32) -> Answered {
        let Some(meta) = self.meta() else { return Err(no_meta()) };
        let programs = meta.programs();
        let (libraries, functions) = (programs.libraries().len(), programs.function_count());
        let now = self.hub.now;
        let running = self.scripts.away().find(|away| away.is_function);
        let running = running.map(|away| (away.words.clone(), now.since(away.since)));
        self.reply(slot, |reply| {
            reply.map(2);
            reply.text("running_script");
            match running {
                None => reply.null(),
                Some((words, took)) => {
                    reply.map(3);
                    reply.text("name");
                    reply.bulk(words.get(1).map_or(&b""[..], |name| name));
                    reply.text("command");
                    reply.array(words.len());
                    words.iter().for_each(|word| reply.bulk(word));
                    reply.text("duration_ms");
                    reply.count(took.as_millis() as u64);
                }
            }
            reply.text("engines");
            reply.map(1);
            reply.text("LUA");
            reply.map(2);
            reply.text("libraries_count");
            reply.count(libraries as u64);
            reply.text("functions_count");
            reply.count(functions as u64);
        });
        Ok(())
    }
}

fn no_meta() -> std::borrow::Cow<'static, str> {
    "TRYAGAIN this node has just started and doesn't know the cluster yet; retry".into()
}

fn wrong_number(subcommand: &'static str) -> std::borrow::Cow<'static, str> {
    format!("ERR unknown subcommand or wrong number of arguments for '{subcommand}'. Try FUNCTION HELP.")
        .into()
}

/// One library, as FUNCTION LIST shows it.
fn describe(library: &LibraryRecord, with_code: bool, reply: &mut Writer<'_>) {
    reply.map(if with_code { 4 } else { 3 });
    reply.text("library_name");
    reply.text(&library.name);
    reply.text("engine");
    reply.text("LUA");
    reply.text("functions");
    reply.array(library.functions.len());
    for function in &library.functions {
        reply.map(3);
        reply.text("name");
        reply.text(&function.name);
        reply.text("description");
        reply.bulk_or_null(function.description.as_deref());
        reply.text("flags");
        let names = function.flags.names();
        reply.set(names.clone().count());
        names.for_each(|name| reply.simple(name));
    }
    if with_code {
        reply.text("library_code");
        reply.bulk(&library.code);
    }
}

/// The texts of the libraries in what FUNCTION DUMP has answered.
fn texts_of(payload: &[u8]) -> Result<Vec<Bytes>, std::borrow::Cow<'static, str>> {
    const BAD: &str = "ERR DUMP payload version or checksum are wrong";
    let Some((mut rest, footer)) =
        payload.len().checked_sub(rdb::DUMP_FOOTER_BYTES).map(|at| payload.split_at(at))
    else {
        return Err(BAD.into());
    };
    let version = u16::from_le_bytes([footer[0], footer[1]]);
    let checksum = footer[2..].try_into().map(u64::from_le_bytes).unwrap_or_default();
    if version > rdb::VERSION_FIELD_EXPIRY || checksum != rdb::crc64(&payload[..payload.len() - 8]) {
        return Err(BAD.into());
    }
    let mut texts = Vec::new();
    while let [kind, after @ ..] = rest {
        if *kind != LIBRARY {
            return Err("ERR given type is not a function".into());
        }
        let typed = [&[STRING], after].concat();
        let mut unread = &typed[..];
        match rdb::read_typed(&mut unread) {
            Ok(rdb::Value::String(text)) => texts.push(text.into()),
            _ => return Err("ERR failed loading the given functions payload".into()),
        }
        rest = &after[after.len() - unread.len()..];
    }
    Ok(texts)
}
