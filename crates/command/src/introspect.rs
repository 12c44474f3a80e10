//! What COMMAND answers about the table, in the shapes of Redis 7.2, and what every HELP answers.

use crate::categories::Category;
use crate::error::Error;
use crate::glob;
use crate::spec::{Begin, Find, KeyFlags, KeySpec, Spec};
use crate::table::{self, COMMANDS};
use crate::words::is;
use resp::Writer;

/// Answers COMMAND and its subcommands.
pub fn command(spec: &Spec, args: &[&[u8]], reply: &mut Writer<'_>) -> Result<(), Error> {
    match spec.name {
        "command" => info_all(reply),
        "command|info" if args.len() == 2 => info_all(reply),
        "command|info" => info(&args[2..], reply),
        "command|count" => reply.count(COMMANDS.len() as u64),
        "command|docs" => docs(&args[2..], reply),
        "command|list" => list(&args[2..], reply)?,
        "command|getkeys" => get_keys(&args[2..], false, reply)?,
        "command|getkeysandflags" => get_keys(&args[2..], true, reply)?,
        "command|help" => help(table::lookup(b"command").unwrap_or(spec), reply),
        _ => return Err(Error::Syntax),
    }
    Ok(())
}

/// Answers HELP of a command that has subcommands, from what the table says of them.
pub fn help(container: &Spec, reply: &mut Writer<'_>) {
    reply.array(1 + 2 * container.subcommands.len());
    let name = container.name.to_ascii_uppercase();
    reply.simple(&format!("{name} <subcommand> [<arg> [value] [opt] ...]. Subcommands are:"));
    for child in container.subcommands {
        reply.simple(&child.short_name().to_ascii_uppercase());
        reply.simple(&format!("    {}", child.summary));
    }
}

fn info_all(reply: &mut Writer<'_>) {
    reply.array(COMMANDS.len());
    for spec in &COMMANDS {
        describe(spec, reply);
    }
}

fn info(names: &[&[u8]], reply: &mut Writer<'_>) {
    reply.array(names.len());
    for name in names {
        match table::lookup_full(name) {
            Some(spec) => describe(spec, reply),
            None => reply.null(),
        }
    }
}

/// One command as COMMAND INFO answers it.
fn describe(spec: &Spec, reply: &mut Writer<'_>) {
    reply.array(10);
    reply.text(spec.name);
    reply.integer(i64::from(spec.arity));
    words(spec.flags.names(), reply);
    let (first, last, step) = positions(spec);
    reply.integer(first);
    reply.integer(last);
    reply.integer(step);
    words(categories(spec).iter().map(String::as_str), reply);
    reply.set(spec.tips.len());
    for tip in spec.tips {
        reply.text(tip);
    }
    reply.set(spec.keys.len());
    for keys in spec.keys {
        describe_keys(keys, reply);
    }
    // Redis says "none" with an empty set, and "these" with an array.
    if spec.subcommands.is_empty() {
        reply.set(0);
    } else {
        reply.array(spec.subcommands.len());
    }
    for child in spec.subcommands {
        describe(child, reply);
    }
}

/// A set of words that Redis sends as simple strings.
fn words<'a>(words: impl Iterator<Item = &'a str> + Clone, reply: &mut Writer<'_>) {
    reply.set(words.clone().count());
    for word in words {
        reply.simple(word);
    }
}

/// The first key, the last and the step, as clients of old take them: what the specs say together, as far as it can be
/// said so.
fn positions(spec: &Spec) -> (i64, i64, i64) {
    let mut all: Option<(i64, i64, i64)> = None;
    for keys in spec.keys {
        let (Begin::Index(first), Find::Range { last, step, limit: 0 | 1 }) = (keys.begin, keys.find) else {
            continue;
        };
        let (first, last, step) = (first as i64, i64::from(last), step as i64);
        let last = if last < 0 { last } else { first + last };
        all = match all {
            None => Some((first, last, step)),
            // Specs that follow each other are one range.
            Some((from, to, step)) if to >= 0 && first == to + 1 => Some((from, last, step)),
            both => both,
        };
    }
    all.unwrap_or_default()
}

/// The ACL categories in Redis's order, as COMMAND INFO writes them.
fn categories(spec: &Spec) -> Vec<String> {
    Category::of(spec).map(|category| format!("@{}", category.name())).collect()
}

fn describe_keys(keys: &KeySpec, reply: &mut Writer<'_>) {
    reply.map(3);
    reply.text("flags");
    words(keys.flags.names(), reply);
    reply.text("begin_search");
    reply.map(2);
    reply.text("type");
    match keys.begin {
        Begin::Unknown => {
            reply.text("unknown");
            spec_map(&[], reply);
        }
        Begin::Index(index) => {
            reply.text("index");
            spec_map(&[("index", index as i64)], reply);
        }
        Begin::Keyword { keyword, from } => {
            reply.text("keyword");
            reply.text("spec");
            reply.map(2);
            reply.text("keyword");
            reply.text(keyword);
            reply.text("startfrom");
            reply.integer(from as i64);
        }
    }
    reply.text("find_keys");
    reply.map(2);
    reply.text("type");
    match keys.find {
        _ if keys.begin == Begin::Unknown => {
            reply.text("unknown");
            spec_map(&[], reply);
        }
        Find::Range { last, step, limit } => {
            reply.text("range");
            spec_map(
                &[("lastkey", i64::from(last)), ("keystep", step as i64), ("limit", limit as i64)],
                reply,
            );
        }
        Find::Count { count, first, step } => {
            reply.text("keynum");
            spec_map(
                &[("keynumidx", count as i64), ("firstkey", first as i64), ("keystep", step as i64)],
                reply,
            );
        }
    }
}

fn spec_map(fields: &[(&str, i64)], reply: &mut Writer<'_>) {
    reply.text("spec");
    reply.map(fields.len());
    for (name, value) in fields {
        reply.text(name);
        reply.integer(*value);
    }
}

fn docs(names: &[&[u8]], reply: &mut Writer<'_>) {
    let found: Vec<&Spec> = if names.is_empty() {
        COMMANDS.iter().collect()
    } else {
        names.iter().filter_map(|name| table::lookup_full(name)).collect()
    };
    reply.map(found.len());
    for spec in found {
        document(spec, reply);
    }
}

fn document(spec: &Spec, reply: &mut Writer<'_>) {
    reply.text(spec.name);
    let fields = [
        ("summary", spec.summary),
        ("since", spec.since),
        ("group", spec.group.name()),
        ("complexity", spec.complexity),
    ];
    reply.map(fields.len() + usize::from(!spec.subcommands.is_empty()));
    for (name, value) in fields {
        reply.text(name);
        reply.text(value);
    }
    if !spec.subcommands.is_empty() {
        reply.text("subcommands");
        reply.map(spec.subcommands.len());
        for child in spec.subcommands {
            document(child, reply);
        }
    }
}

fn list(filter: &[&[u8]], reply: &mut Writer<'_>) -> Result<(), Error> {
    let all = || COMMANDS.iter().flat_map(|spec| std::iter::once(spec).chain(spec.subcommands));
    let found: Vec<&Spec> = match filter {
        [] => all().collect(),
        [by, what, name] if is(by, "filterby") => {
            if is(what, "pattern") {
                all().filter(|spec| glob::matches(name, spec.name.as_bytes())).collect()
            } else if is(what, "aclcat") {
                let category = Category::parse(name);
                all().filter(|spec| category.is_some_and(|category| category.has(spec))).collect()
            } else if is(what, "module") {
                Vec::new()
            } else {
                return Err(Error::Syntax);
            }
        }
        _ => return Err(Error::Syntax),
    };
    reply.array(found.len());
    for spec in found {
        reply.text(spec.name);
    }
    Ok(())
}

/// `args` are the words of the command that is asked about.
fn get_keys(args: &[&[u8]], with_flags: bool, reply: &mut Writer<'_>) -> Result<(), Error> {
    let spec = match table::resolve(args) {
        Ok(spec) => spec,
        Err(Error::Arity(_)) => {
            return Err(Error::Other("ERR Invalid number of arguments specified for command"));
        }
        Err(_) => return Err(Error::Other("ERR Invalid command specified")),
    };
    if spec.keys.iter().all(|keys| keys.flags.has(KeyFlags::NOT_KEY)) {
        return Err(Error::Other("ERR The command has no key arguments"));
    }
    let places = spec.key_places(args);
    if places.is_empty() || spec.keys.iter().any(|keys| keys.is_malformed(args)) {
        return Err(Error::Other("ERR Invalid arguments specified for command"));
    }
    reply.array(places.len());
    for place in places {
        if with_flags {
            reply.array(2);
        }
        reply.bulk(args[place.index]);
        if with_flags {
            words(place.flags.names(), reply);
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests;
