//! Who has a write: carriers that are asked say so themselves.

use syncline_crdt::Context;
use syncline_gossip::convergence::{Input, Message, Output, Write};

use crate::virtual_cluster::{APP, Cluster, carrier, dots, replica};

pub(crate) fn ask(live: Context, wanted: usize) -> Input<u32> {
    Input::Ask {
        wait: 7,
        namespace: APP.into(),
        write: Write::new(live, Context::new()).unwrap(),
        wanted,
    }
}

fn holders(cluster: &Cluster) -> Vec<u32> {
    let holders = cluster.nodes[0].holders(7);
    holders
        .map(|(node, name)| {
            assert_eq!(name, carrier(node));
            node
        })
        .collect()
}

#[test]
fn carriers_say_themselves_whether_they_have_a_write() {
    let mut cluster = Cluster::new(3);
    for node in 0..3 {
        cluster.stand(node, node as u8, &dots(node, 1));
    }
    cluster.input(0, ask(dots(0, 1), 2));
    cluster.seconds(5);
    cluster.look();
    cluster.seconds(5);
    assert_eq!(holders(&cluster), []);
    let lacking: Vec<_> = cluster.nodes[0].lacking(7).collect();
    assert_eq!(lacking, [(1, carrier(1)), (2, carrier(2))]);

    let looked = |from_node: u32| Input::Looked {
        from: 0,
        ask: 7,
        carrier: carrier(from_node),
        found: syncline_gossip::convergence::Found::Here,
    };
    cluster.input(2, looked(2));
    cluster.seconds(1);
    assert_eq!(holders(&cluster), [2]);
    assert!(cluster.seen.contains(&(0, Output::Held(7))));
    // What was had may be lost with who had it: it has to say so again.
    cluster.input(0, Input::Down(2));
    assert_eq!(holders(&cluster), []);
    cluster.input(0, Input::Withdraw(7));
    cluster.input(1, looked(1));
    cluster.seconds(1);
    assert_eq!(holders(&cluster), []);
}

#[test]
fn asks_and_answers_that_get_lost_are_made_again() {
    let mut cluster = Cluster::new(4);
    let mut count = 0;
    cluster.passes = Box::new(move |_, _, _| {
        count += 1;
        count % 3 == 0
    });
    for node in 0..4 {
        cluster.stand(node, 1, &dots(0, 1));
    }
    cluster.input(0, ask(dots(0, 1), 1));
    for _ in 0..40 {
        cluster.seconds(1);
        cluster.look();
    }
    // One more than wanted is asked first; later all.
    assert_eq!(holders(&cluster), [1, 2, 3]);
}

#[test]
fn what_is_looked_for_at_a_time_is_bounded() {
    let mut cluster = Cluster::new(2);
    cluster.stand(0, 1, &dots(0, 1));
    cluster.stand(1, 1, &dots(0, 1));
    cluster.seconds(5);
    cluster.seen.clear();
    for wait in 0..500 {
        let Input::Ask {
            namespace, write, ..
        } = ask(dots(0, 9), 1)
        else {
            unreachable!()
        };
        let wanted = 1;
        cluster.input(
            0,
            Input::Ask {
                wait,
                namespace,
                write,
                wanted,
            },
        );
    }
    cluster.seconds(20);
    let looks = cluster
        .seen
        .iter()
        .filter(|(_, it)| matches!(it, Output::Look { .. }));
    assert_eq!(looks.count(), 64);
}

#[test]
fn a_write_without_end_cannot_be_asked_for() {
    let mut context = Context::new();
    (0..3_000).for_each(|id| context.insert_range(replica(id), 1, 1));
    assert_eq!(Write::new(context.clone(), Context::new()), None);
    assert!(Message::<u32>::from_bytes(&vec![5; 70_000]).is_err());
}
