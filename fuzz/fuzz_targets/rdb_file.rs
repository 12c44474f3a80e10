//! Files of Redis, as `sihai import` reads them: however they are cut up, and when reading goes on in the middle. What was
//! read becomes commands, and is written and read again.
#![no_main]

use libfuzzer_sys::fuzz_target;
use node::rdb::file::{Item, Mark, Reader, Writer};
use server::import::parcel::Parcel;
use server::import::source::Origin;

/// All items, the marks behind them, and whether the file was whole.
fn read(mut reader: Reader, bytes: &[u8], chunk_bytes: usize) -> (Vec<Item>, Vec<Option<Mark>>, bool) {
    let (mut items, mut marks) = (Vec::new(), Vec::new());
    let mut chunks = bytes.chunks(chunk_bytes);
    loop {
        match reader.next_item() {
            Ok(Some(item)) => {
                items.push(item);
                marks.push(reader.mark());
            }
            Ok(None) => match chunks.next() {
                Some(chunk) => reader.feed(chunk),
                None if reader.is_complete() => return (items, marks, true),
                None => reader.finish(),
            },
            Err(_) => return (items, marks, false),
        }
    }
}

fuzz_target!(|input: (u16, u8, bool, &[u8])| {
    let (chunk_bytes, chosen, as_version_12, rest) = input;
    let head: &[u8] = if as_version_12 { b"REDIS0012" } else { b"" };
    let bytes = [head, rest].concat();
    let (items, marks, whole) = read(Reader::new(), &bytes, usize::from(chunk_bytes).max(1));
    assert_eq!(read(Reader::new(), &bytes, usize::MAX).0, items);
    if !marks.is_empty() {
        let at = usize::from(chosen) % marks.len();
        if let Some(mark) = marks[at] {
            let (behind, _, whole_behind) = read(Reader::resume(mark), &bytes[mark.position as usize..], 7);
            assert_eq!((&behind[..], whole_behind), (&items[at + 1..], whole));
        }
    }
    let mut writer = Writer::with_field_expiry();
    let keys = items.into_iter().filter_map(|item| match item {
        Item::Key(key) => Some(key),
        _ => None,
    });
    let keys: Vec<_> = keys.collect();
    for key in &keys {
        Parcel::new(key, as_version_12);
        writer.key(key).expect("such a file can hold everything");
    }
    assert!(read(Reader::new(), &writer.finish(), 100).2);
    if let Ok(text) = std::str::from_utf8(rest) {
        let _ = Origin::parse(&format!("redis://{text}"));
    }
});
