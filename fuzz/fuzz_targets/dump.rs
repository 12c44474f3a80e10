//! Values as RESTORE gets them, and LZF: what is read is dumped and read again as the same.
#![no_main]

use fuzz::seal_crc64;
use keyspace::lzf::decompress;
use keyspace::rdb::{read_dump, seal, write_dump};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: (u32, Vec<u8>)| {
    let (length, typed) = input;
    let length = length as usize % (1 << 20);
    if let Some(plain) = decompress(&typed, length) {
        assert_eq!(plain.len(), length);
    }
    let mut raw = typed.clone();
    seal_crc64(&mut raw);
    let _ = read_dump(&raw);
    if let Ok(value) = read_dump(&seal(typed)) {
        let dump = write_dump(&value);
        let again = read_dump(&dump).expect("it was written by ourselves");
        assert_eq!(write_dump(&again), dump);
    }
});
