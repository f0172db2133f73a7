use std::time::{Duration, Instant};

use syncline_sync::Strategy;
use syncline_sync::quic::{DriveError, Endpoint, Forwarder, Lost, StreamError};
use tokio::net::UdpSocket;

use crate::members::Authority;
use crate::world::*;

const DELAY: Duration = Duration::from_millis(30);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn datagrams_arrive_late_and_in_order_and_not_while_it_is_cut() {
    let there = UdpSocket::bind(LOOPBACK).await.unwrap();
    let wire = Forwarder::start(there.local_addr().unwrap(), DELAY)
        .await
        .unwrap();
    let here = UdpSocket::bind(LOOPBACK).await.unwrap();
    let mut buffer = [0; 64];

    let sent = Instant::now();
    for number in 0..50u8 {
        here.send_to(&[number], wire.local_addr()).await.unwrap();
    }
    for number in 0..50 {
        let (length, back) = in_time(there.recv_from(&mut buffer)).await.unwrap();
        assert_eq!(&buffer[..length], &[number]);
        there.send_to(&[number], back).await.unwrap();
    }
    assert!(sent.elapsed() >= DELAY);
    for number in 0..50 {
        let length = in_time(here.recv(&mut buffer)).await.unwrap();
        assert_eq!(&buffer[..length], &[number]);
    }
    assert!(sent.elapsed() >= 2 * DELAY);
    assert_eq!(wire.traffic().forwarded, 100);

    wire.cut();
    here.send_to(b"lost", wire.local_addr()).await.unwrap();
    in_time(async {
        while wire.traffic().dropped == 0 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    })
    .await;
    wire.restore();
    here.send_to(b"found", wire.local_addr()).await.unwrap();
    let (length, _) = in_time(there.recv_from(&mut buffer)).await.unwrap();
    assert_eq!(&buffer[..length], b"found");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_session_over_a_slow_wire_takes_its_round_trips() {
    let authority = Authority::new("ours");
    let there = store();
    fill(&there, "there", 0..100);
    let server = Server::start(&authority.identity(), impatient(), there.clone());
    let wire = Forwarder::start(server.address, DELAY).await.unwrap();
    let client = Endpoint::bind(LOOPBACK, &authority.identity(), impatient()).unwrap();
    let connection = in_time(client.connect(wire.local_addr())).await.unwrap();
    let here = store();
    let report = in_time(sync(&connection, &here, Strategy::Auto))
        .await
        .unwrap();
    assert!(report.agreed);
    assert!(report.elapsed_ms >= 2 * 30);
    assert!(connection.rtt() >= 2 * DELAY);
    assert_equal(&here, &there);
}

/// A peer that disappears in the middle is noticed; what came stays; the next session repeats
/// little of it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_session_cut_in_the_middle_goes_on_where_it_was() {
    const ROWS: usize = 20_000;
    let authority = Authority::new("ours");
    let there = store();
    fill(&there, "there", 0..ROWS);
    // Some 64 KiB in each 60 ms and more: a second or two for all the rows.
    let mut limits = impatient();
    limits.stream_window = 64 << 10;
    let mut server = Server::start(&authority.identity(), limits.clone(), there.clone());
    let wire = Forwarder::start(server.address, Duration::from_millis(30))
        .await
        .unwrap();
    let client = Endpoint::bind(LOOPBACK, &authority.identity(), limits).unwrap();
    let connection = in_time(client.connect(wire.local_addr())).await.unwrap();
    let here = store();

    let session = sync(&connection, &here, Strategy::Auto);
    let cutting = async {
        while rows(&here) < 2000 {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
        wire.cut();
    };
    let (outcome, ()) = in_time(async { tokio::join!(session, cutting) }).await;
    let error = outcome.unwrap_err();
    assert!(
        matches!(
            error,
            DriveError::Silent { .. }
                | DriveError::Stream(StreamError::Lost(Lost::Silent) | StreamError::Stalled { .. })
        ),
        "{error}"
    );
    let theirs = server.outcome().await.unwrap_err();
    assert!(
        matches!(
            theirs,
            DriveError::Silent { .. }
                | DriveError::Stream(StreamError::Lost(_) | StreamError::Stalled { .. })
        ),
        "{theirs}"
    );
    let kept = rows(&here);
    assert!((2000..ROWS as u64).contains(&kept), "{kept}");
    assert!(here.view().unwrap().recount().unwrap().is_sound());

    wire.restore();
    let connection = in_time(client.connect(wire.local_addr())).await.unwrap();
    let report = in_time(sync(&connection, &here, Strategy::Auto))
        .await
        .unwrap();
    assert!(report.agreed);
    assert_eq!(report.rows_received, ROWS as u64 - kept);
    assert_equal(&here, &there);
}
