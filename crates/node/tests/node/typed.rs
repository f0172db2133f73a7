//! Values of any serde type, and what is not of the type.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use syncline::typed::{TypeError, decode, encode};
use syncline::{Error, Node, StoreError};

use crate::pair::Pair;

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Profile {
    name: String,
    born: Option<u16>,
    tags: BTreeMap<String, Vec<i64>>,
    role: Role,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
enum Role {
    Guest,
    Member { since: u64 },
}

fn ada() -> Profile {
    Profile {
        name: "Ada".into(),
        born: Some(1815),
        tags: BTreeMap::from([("notes".into(), vec![-1, i64::MAX])]),
        role: Role::Member { since: 1843 },
    }
}

#[tokio::test]
async fn every_place_of_a_value_takes_any_type() {
    let app = Node::in_memory().await.unwrap().namespace("app").unwrap();
    assert_eq!(app.register("r").get_as::<Profile>().await.unwrap(), None);
    app.register("r").set_as(&ada()).await.unwrap();
    app.put_as("raw", &[ada()]).await.unwrap();
    assert!(app.map("m").set_as("f", "borrowed").await.unwrap());
    assert!(!app.map("m").set_as("f", &Role::Guest).await.unwrap());

    assert_eq!(app.register("r").get_as().await.unwrap(), Some(ada()));
    assert_eq!(app.get_as("raw").await.unwrap(), Some([ada()]));
    let role = app.map("m").get_as("f").await.unwrap();
    assert_eq!(role, Some(Role::Guest));
    assert_eq!(app.map("m").get_as::<Role>("g").await.unwrap(), None);
    let view = app.view().await.unwrap();
    assert_eq!(view.get_as("r").unwrap(), Some(ada()));
    assert_eq!(view.register("raw").get_as().unwrap(), Some([ada()]));
    assert_eq!(view.map("m").get_as("f").unwrap(), Some(Role::Guest));

    let seen = app.transaction(|t| {
        t.put_as("k", &7u8)?;
        t.register("r").set_as(&8u8)?;
        assert!(t.map("m").set_as("g", &9u8)?);
        Ok((
            t.get_as("k")?,
            t.register("r").get_as()?,
            t.map("m").get_as("g")?,
        ))
    });
    let seen: (Option<u8>, Option<u8>, Option<u8>) = seen.await.unwrap();
    assert_eq!(seen, (Some(7), Some(8), Some(9)));
}

#[tokio::test]
async fn what_is_not_of_the_type_is_an_error_that_says_so() {
    let app = Node::in_memory().await.unwrap().namespace("app").unwrap();
    let mistyped = |error: Error| match error {
        Error::Mistyped { key, source } => (key, source),
        other => panic!("{other}"),
    };
    // Plain bytes, text, nothing at all, a number.
    for plain in [&b"\x00\x01"[..], b"text", b"", b"42"] {
        app.put("k", plain).await.unwrap();
        let error = app.get_as::<Vec<u8>>("k").await.unwrap_err();
        assert_eq!(mistyped(error), (b"k".to_vec(), TypeError::Plain));
        assert_eq!(app.get("k").await.unwrap().unwrap(), plain);
    }
    // Another shape: too little, too much, and what no value of the type is written as.
    app.put_as("k", &(1u8, 2u8)).await.unwrap();
    let error = app.get_as::<(u8, u8, u8)>("k").await.unwrap_err();
    assert!(
        error.to_string().contains("is not a (u8, u8, u8)"),
        "{error}"
    );
    for error in [
        app.get_as::<u8>("k").await.unwrap_err(),
        app.get_as::<Option<Role>>("k").await.unwrap_err(),
        app.register("k").get_as::<Profile>().await.unwrap_err(),
    ] {
        assert!(matches!(mistyped(error).1, TypeError::Other { .. }));
    }
    // Postcard writes lengths first.
    struct Endless;
    impl Serialize for Endless {
        fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
            serializer.collect_seq(std::iter::repeat_n(1, 3).filter(|n| *n > 0))
        }
    }
    let error = app.map("m").set_as("f", &Endless).await.unwrap_err();
    assert!(matches!(mistyped(error).1, TypeError::Unencodable { .. }));
    // Other errors are what they were.
    app.set("s").insert("x").await.unwrap();
    let error = app.get_as::<u8>("s").await.unwrap_err();
    assert!(matches!(error, Error::WrongKind { .. }));
    let error = app.put_as("k", &vec![0u8; 17 << 20]).await.unwrap_err();
    assert!(
        matches!(error, Error::Store(source) if matches!(*source, StoreError::ValueTooLarge { .. }))
    );
}

#[tokio::test]
async fn a_typed_value_is_no_number() {
    let app = Node::in_memory().await.unwrap().namespace("app").unwrap();
    // In postcard alone this is the byte of the digit 7.
    app.put_as("k", &b'7').await.unwrap();
    let error = app.counter("k").increment().await.unwrap_err();
    assert!(matches!(error, Error::NotANumber { .. }), "{error}");
    assert_eq!(app.get_as("k").await.unwrap(), Some(b'7'));
}

#[tokio::test]
async fn typed_siblings_are_bytes_that_decode() {
    let pair = Pair::apart().await;
    pair.a.put_as("k", &vec![1u32]).await.unwrap();
    pair.b.put_as("k", &vec![2u32]).await.unwrap();
    pair.heal().await;
    let siblings = pair.a.register("k").siblings().await.unwrap();
    let mut values: Vec<u32> = siblings
        .iter()
        .flat_map(|bytes| decode::<Vec<u32>>(bytes).unwrap())
        .collect();
    values.sort_unstable();
    assert_eq!(values, [1, 2]);
}

#[test]
fn the_bytes_stay_what_they_are() {
    let bytes = encode(&ada()).unwrap();
    let known = b"\xF8\x03Ada\x01\x97\x0e\x01\x05notes\x02\x01\xfe\xff\xff\xff\xff\xff\xff\xff\xff\x01\x01\xb3\x0e";
    assert_eq!(bytes, known);
    assert_eq!(decode::<Profile>(&bytes), Ok(ada()));
    for end in 0..bytes.len() {
        assert!(decode::<Profile>(&bytes[..end]).is_err());
    }
}
