//! How long blocking commands wait, and how what they took is given back.

use super::*;
use crate::lookup;

fn words(request: &str) -> Vec<&[u8]> {
    request.split(' ').map(str::as_bytes).collect()
}

fn timeout(request: &str) -> Option<Option<u64>> {
    let words = words(request);
    timeout_ms(lookup(words[0])?, &words)
}

fn back(request: &str, reply: &str) -> Option<String> {
    let words = words(request);
    let back = give_back(lookup(words[0])?, &words, reply.replace(' ', "\r\n").as_bytes())?;
    Some(back.iter().map(|word| String::from_utf8_lossy(word).into_owned()).collect::<Vec<_>>().join(" "))
}

#[test]
fn the_time_stands_where_the_command_has_it() {
    assert_eq!(timeout("GET a"), None);
    if lookup(b"blpop").is_some() {
        assert_eq!(timeout("BLPOP a b 0"), Some(None));
        assert_eq!(timeout("BLPOP a b 1.5"), Some(Some(1500)));
        assert_eq!(timeout("BLPOP a b x"), None);
        assert_eq!(timeout("BLPOP a b -1"), None);
        assert_eq!(timeout("BLMPOP 0.01 1 a LEFT"), Some(Some(10)));
    }
    if lookup(b"xread").is_some() {
        assert_eq!(timeout("XREAD COUNT 1 STREAMS block 1"), None);
        assert_eq!(timeout("XREAD BLOCK 0 STREAMS a 1"), Some(None));
        assert_eq!(timeout("XREAD COUNT 1 BLOCK 70 STREAMS a 1"), Some(Some(70)));
    }
}

#[test]
fn what_was_taken_goes_back_to_where_it_was() {
    if lookup(b"blpop").is_some() {
        assert_eq!(back("BLPOP l 0", "*2 $1 l $1 x "), Some("lpush l x".into()));
        assert_eq!(back("BRPOP l 0", "*2 $1 l $1 x "), Some("rpush l x".into()));
        let taken = "*2 $1 l *2 $1 a $1 b ";
        assert_eq!(back("BLMPOP 0 1 l LEFT COUNT 2", taken), Some("lpush l b a".into()));
        assert_eq!(back("BLMPOP 0 1 l RIGHT COUNT 2", taken), Some("rpush l b a".into()));
        assert_eq!(back("BLMOVE l m LEFT LEFT 0", "$1 x "), None);
    }
    if lookup(b"bzpopmin").is_some() {
        assert_eq!(back("BZPOPMIN z 0", "*3 $1 z $1 m $3 1.5 "), Some("zadd z 1.5 m".into()));
        assert_eq!(back("BZPOPMIN z 0", "*3 $1 z $1 m ,1.5 "), Some("zadd z 1.5 m".into()));
        let taken = "*2 $1 z *2 *2 $1 m $1 1 *2 $1 n $1 2 ";
        assert_eq!(back("BZMPOP 0 1 z MIN COUNT 2", taken), Some("zadd z 1 m 2 n".into()));
    }
}
