//! Which databases the node carries: those that any member carries.

use std::collections::BTreeSet;

use syncline::{Member, Node};

use crate::server::{DATABASES, database_name};

/// Has the node carry the first database, and each that it hears of, until it is shut down. What a client writes into a database
/// on one node reaches the others so, though nobody has selected that there.
pub(crate) async fn follow(node: Node) {
    let mut events = node.member_events();
    open(&node, 0);
    loop {
        match node.members().await {
            Ok(members) => members.iter().for_each(|member| join(&node, member)),
            Err(_) => return,
        }
        loop {
            use syncline::MemberEvent::{Changed, Up};
            match events.next().await {
                Ok(Some(Up(member) | Changed(member))) => join(&node, &member),
                Ok(Some(_)) => {}
                Ok(None) => return,
                // All are looked at anew.
                Err(_) => break,
            }
        }
    }
}

fn join(node: &Node, member: &Member) {
    let carried: BTreeSet<_> = node.namespaces().into_iter().collect();
    for database in 0..DATABASES {
        let name = database_name(database);
        if member.namespaces.contains(&name) && !carried.contains(&name) {
            open(node, database);
        }
    }
}

fn open(node: &Node, database: u8) {
    if let Err(error) = node.namespace(&database_name(database)) {
        tracing::error!(database, %error, "a database is not carried");
    }
}
