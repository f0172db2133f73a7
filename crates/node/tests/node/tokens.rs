//! Reading one's own writes on another node.

use std::time::Duration;

use syncline::{Error, Token, TokenError};

use super::pair::Pair;

const LONG: Duration = Duration::from_secs(60);
const NOW: Duration = Duration::ZERO;

#[tokio::test]
async fn what_was_written_here_is_waited_for_there() {
    let pair = Pair::apart().await;
    let session = pair.a.recorded();
    assert_eq!(session.token(), Token::default());
    session.set("cart").insert("tea").await.unwrap();
    session
        .transaction(|t| {
            t.put("motto", "merge")?;
            t.counter("n").add(1)
        })
        .await
        .unwrap();
    // What others write is no concern of it, nor what was not written after all.
    pair.a.put("other", "1").await.unwrap();
    let token = session.token();
    let aborted = session.transaction(|t| {
        t.put("never", "1")?;
        Err::<(), _>(Error::abort("no"))
    });
    aborted.await.unwrap_err();
    assert_eq!(session.token(), token);

    let text = token.to_string();
    assert!(text.len() < 100, "{text}");
    let token: Token = text.parse().unwrap();
    pair.a.wait_for(&token, NOW).await.unwrap();
    let late = pair.b.wait_for(&token, NOW).await.unwrap_err();
    assert!(matches!(late, Error::NotArrived { .. }));
    assert!(late.to_string().contains("sync with a node"), "{late}");

    let waiting = tokio::spawn({
        let (b, token) = (pair.b.clone(), token.clone());
        async move { b.wait_for(&token, LONG).await }
    });
    tokio::task::yield_now().await;
    pair.heal().await;
    waiting.await.unwrap().unwrap();
    assert!(pair.b.set("cart").contains("tea").await.unwrap());
}

#[tokio::test]
async fn removals_are_waited_for_until_they_show() {
    let pair = Pair::apart().await;
    for n in 0..2_000u32 {
        let key = format!("k{n}");
        pair.a.put(key, "v").await.unwrap();
    }
    pair.heal().await;
    let session = pair.a.recorded();
    session.delete("k7").await.unwrap();
    session.put("k8", "w").await.unwrap();
    session.put("k9", "w").await.unwrap();
    session.delete("k9").await.unwrap();
    let token = session.token();
    let (b, waiting) = (pair.b.clone(), token.clone());
    let waiting = tokio::spawn(async move {
        b.wait_for(&waiting, LONG).await.unwrap();
        (b.get("k7").await, b.get("k8").await, b.get("k9").await)
    });
    tokio::task::yield_now().await;
    pair.heal().await;
    let (k7, k8, k9) = waiting.await.unwrap();
    assert_eq!((k7.unwrap(), k9.unwrap()), (None, None));
    assert_eq!(k8.unwrap().unwrap(), b"w");
    pair.b.wait_for(&token, NOW).await.unwrap();
}

#[tokio::test]
async fn a_wait_ends_with_the_node() {
    let pair = Pair::apart().await;
    let session = pair.a.recorded();
    session.put("k", "v").await.unwrap();
    let (b, token) = (pair.b.clone(), session.token());
    let waiting = tokio::spawn(async move { b.wait_for(&token, LONG).await });
    tokio::task::yield_now().await;
    pair.nodes[1].shutdown().await.unwrap();
    assert!(matches!(waiting.await.unwrap(), Err(Error::Closed)));
}

#[test]
fn tokens_have_the_frozen_text() {
    let id = "05".repeat(16);
    // Counters 1 to 3 of one node were written and live, 4 is of a removal.
    let text = format!("0101{id}01000201{id}010300");
    let token: Token = text.parse().unwrap();
    assert_eq!(token.to_string(), text);
    assert_eq!(Token::default().to_string(), "010000");
    for wrong in ["", "0", "01", "0100", "020000", "01000000", "0100zz", "€"] {
        assert_eq!(wrong.parse::<Token>(), Err(TokenError), "{wrong}");
    }
}
