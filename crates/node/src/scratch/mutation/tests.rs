use super::*;

const DATABASE: DatabaseId = DatabaseId(2);

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Every act with its bytes behind those of the database and the key.
fn acts() -> Vec<(Act<'static>, &'static str)> {
    let id = |ms| StreamId { ms, sequence: 2 };
    let at = Some(UnixMillis(300));
    let info = StreamInfo { last_id: id(5), max_deleted_id: id(4), entries_added: 6 };
    let consumer = ConsumerInfo { seen_at: UnixMillis(7), active_at: Some(UnixMillis(8)), pending: 0 };
    let pending = PendingEntry { consumer: b"c".to_vec(), delivered_at: UnixMillis(9), deliveries: 3 };
    vec![
        (Act::Put { value: b"\0\x01v", expires_at: at }, "01 ad02 03 000176"),
        (Act::PutString { value: b"v", expiry: Expiry::Keep }, "02 00 0176"),
        (Act::PutString { value: b"v", expiry: Expiry::Clear }, "02 01 0176"),
        (Act::PutString { value: b"v", expiry: Expiry::At(UnixMillis(300)) }, "02 ae02 0176"),
        (Act::Splice { offset: 300, part: b"p" }, "03 ac02 0170"),
        (Act::Remove, "04"),
        (Act::SetExpiry { at }, "05 ad02"),
        (Act::SetExpiry { at: None }, "05 00"),
        (Act::SetUsage { idle_ms: Some(4), frequency: None }, "06 05 00"),
        (Act::Rename { to: b"t" }, "07 0174"),
        (Act::Copy { into: DatabaseId(3), to: b"t" }, "08 03 0174"),
        (Act::ListInsert { at: 1, elements: vec![b"a", b"b"] }, "09 01 02 0161 0162"),
        (Act::ListRemove { from: 1, count: 2 }, "0a 01 02"),
        (Act::ListReplace { at: 1, element: b"a" }, "0b 01 0161"),
        (Act::SetAdd { members: vec![b"a"] }, "0c 01 0161"),
        (Act::SetRemove { members: vec![b"a"] }, "0d 01 0161"),
        (Act::HashSet { fields: vec![(b"f", b"v")], expiry: Expiry::Clear }, "0e 01 01 0166 0176"),
        (Act::HashRemove { fields: vec![b"f"] }, "0f 01 0166"),
        (Act::HashSetExpiry { field: b"f", at }, "10 0166 ad02"),
        (Act::SortedSetPut { members: vec![(b"a", 1.5)] }, "11 01 0161 000000000000f83f"),
        (Act::SortedSetRemove { members: vec![b"a"] }, "12 01 0161"),
        (Act::StreamCreate, "13"),
        (Act::StreamAppend { id: id(1), fields: Fields::packed(b"xy") }, "14 01 02 02 7879"),
        (Act::StreamRemove { ids: vec![id(1)] }, "15 01 01 02"),
        (Act::StreamTrim { count: 3 }, "16 03"),
        (Act::StreamSetInfo { info }, "17 05 02 04 02 06"),
        (
            Act::GroupPut { group: b"g", info: GroupInfo { last_delivered: id(1), entries_read: None } },
            "18 0167 01 02 00",
        ),
        (Act::GroupRemove { group: b"g" }, "19 0167"),
        (Act::ConsumerPut { group: b"g", consumer: b"c", info: consumer }, "1a 0167 0163 07 09"),
        (Act::ConsumerRemove { group: b"g", consumer: b"c" }, "1b 0167 0163"),
        (Act::PendingPut { group: b"g", id: id(1), pending }, "1c 0167 01 02 0163 09 03"),
        (Act::PendingRemove { group: b"g", id: id(1) }, "1d 0167 01 02"),
        (Act::Tell { class: EventClass::List, event: "lpush" }, "1e 10 05 6c70757368"),
    ]
}

#[test]
fn the_bytes_of_an_effect_never_change() {
    for (act, golden) in acts() {
        let mutation = Mutation { database: DATABASE, key: b"k", act };
        let mut bytes = Vec::new();
        mutation.encode(&mut bytes);
        assert_eq!(hex(&bytes), format!("02 016b {golden}").replace(' ', ""), "{mutation:?}");
        let mut rest = &bytes[..];
        assert_eq!(Mutation::decode(&mut rest), Ok(mutation));
        assert!(rest.is_empty());
    }
}

#[test]
fn what_isn_t_an_effect_is_refused_and_never_panics() {
    let mut rng = base::Rng::new(1);
    for (act, _) in acts() {
        let mut bytes = Vec::new();
        Mutation { database: DATABASE, key: b"k", act }.encode(&mut bytes);
        for end in 0..bytes.len() {
            assert!(Mutation::decode(&mut &bytes[..end]).is_err(), "{bytes:?} cut at {end}");
        }
        for _ in 0..500 {
            let mut broken = bytes.clone();
            for _ in 0..1 + rng.below(3) {
                let at = rng.below(broken.len() as u64) as usize;
                broken[at] = rng.next_u64() as u8;
            }
            // What it is taken for depends on what was hit; carried out, it may do anything but stop a node.
            if let Ok(mutation) = Mutation::decode(&mut &broken[..]) {
                let mut keyspace = keyspace::Keyspace::new([1, 2]);
                crate::scratch::replay::carry_out(&mut keyspace, [mutation], UnixMillis(1));
                keyspace.check();
            }
        }
    }
}

#[test]
fn a_score_that_is_no_number_is_refused() {
    let mut bytes = Vec::new();
    let members = vec![(&b"a"[..], f64::NAN)];
    Mutation { database: DATABASE, key: b"k", act: Act::SortedSetPut { members } }.encode(&mut bytes);
    assert!(Mutation::decode(&mut &bytes[..]).is_err());
}
