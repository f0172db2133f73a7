//! A cluster for Graphviz.

use std::collections::{BTreeMap, BTreeSet};

use syncline_admin::Peer;

use super::Views;
use super::show::{push, round_trip, short};

/// A solid line for each way that writes take, with its namespace, a dotted one between whoever was asked and the other members with the
/// round-trip time. Whoever was asked has a thick frame, whoever is gone a dashed one.
pub(super) fn dot(views: &Views) -> String {
    let mut text = String::from("digraph syncline {\n  node [shape=box, style=rounded];\n");
    let asked: BTreeSet<_> = views.all().map(|view| view.node.as_str()).collect();
    // Where views differ, whoever was asked first is believed.
    let mut known: BTreeMap<&str, Option<&Peer>> = BTreeMap::new();
    for peer in views.all().flat_map(|view| &view.peers) {
        known.entry(id(peer)).or_insert(Some(peer));
    }
    for node in &asked {
        known.entry(node).or_insert(None);
    }
    for (node, peer) in known {
        let is_named = peer.is_none_or(|peer| peer.node.is_some());
        let place = peer.into_iter().flat_map(|it| [&*it.address, &*it.zone]);
        let label = is_named.then_some(short(node)).into_iter().chain(place);
        let label: Vec<_> = label.filter(|it| !it.is_empty()).map(escaped).collect();
        let label = label.join("\\n");
        let look = match peer {
            // Whatever others say of it, it answers.
            _ if asked.contains(node) => ", penwidth=2",
            Some(peer) if peer.state != "alive" => ", style=\"rounded,dashed\", fontcolor=gray",
            _ => "",
        };
        let node = name(node);
        push(
            &mut text,
            format_args!("  {node} [label=\"{label}\"{look}];\n"),
        );
    }

    let mut measured = BTreeSet::new();
    for view in views.all() {
        for peer in &view.peers {
            let ends = [view.node.as_str(), id(peer)];
            let trip = round_trip(peer).unwrap_or_default();
            // Two who were asked have measured the same way.
            if measured.insert([ends[0].min(ends[1]), ends[0].max(ends[1])]) {
                let [from, to] = ends.map(name);
                push(
                    &mut text,
                    format_args!("  {from} -> {to} [style=dotted, dir=none, label=\"{trip}\"];\n"),
                );
            }
        }
    }
    for branch in views.all().flat_map(|view| &view.branches) {
        let [from, to] = [&branch.from, &branch.to].map(|end| name(end));
        let label = escaped(&branch.namespace);
        push(
            &mut text,
            format_args!("  {from} -> {to} [label=\"{label}\"];\n"),
        );
    }
    text.push_str("}\n");
    text
}

/// Who has not said who it is goes by its address.
fn id(peer: &Peer) -> &str {
    peer.node.as_ref().unwrap_or(&peer.address)
}

fn name(id: &str) -> String {
    format!("\"{}\"", escaped(id))
}

fn escaped(text: &str) -> String {
    text.replace('\\', "\\\\").replace('"', "\\\"")
}

#[cfg(test)]
mod tests {
    use syncline_admin::{Branch, Topology};

    use super::*;

    fn peer(node: Option<&str>, state: &str) -> Peer {
        Peer {
            node: node.map(str::to_owned),
            address: "10.0.0.7:7400".to_owned(),
            state: state.to_owned(),
            zone: "a\"b".to_owned(),
            version: String::new(),
            namespaces: vec!["app".to_owned()],
            round_trip_ms: Some(12.0),
            sync: None,
        }
    }

    fn view(node: &str, peers: Vec<Peer>, to: &str) -> Topology {
        Topology {
            node: node.to_owned(),
            peers,
            branches: vec![Branch {
                namespace: "app".to_owned(),
                from: node.to_owned(),
                to: to.to_owned(),
            }],
        }
    }

    #[test]
    fn a_topology_is_a_graph_whatever_the_names() {
        let peers = vec![peer(Some("bb"), "alive"), peer(None, "unknown")];
        let views = Views {
            first: view("aa", peers, "bb"),
            also: Vec::new(),
        };
        let lines = [
            "digraph syncline {",
            "  node [shape=box, style=rounded];",
            r#"  "10.0.0.7:7400" [label="10.0.0.7:7400\na\"b", style="rounded,dashed", fontcolor=gray];"#,
            r#"  "aa" [label="aa", penwidth=2];"#,
            r#"  "bb" [label="bb\n10.0.0.7:7400\na\"b"];"#,
            r#"  "aa" -> "bb" [style=dotted, dir=none, label="12 ms"];"#,
            r#"  "aa" -> "10.0.0.7:7400" [style=dotted, dir=none, label="12 ms"];"#,
            r#"  "aa" -> "bb" [label="app"];"#,
            "}",
        ];
        assert_eq!(dot(&views).lines().collect::<Vec<_>>(), lines);
    }

    #[test]
    fn views_are_laid_together() {
        let views = Views {
            first: view("aa", vec![peer(Some("bb"), "alive")], "bb"),
            also: vec![view("bb", vec![peer(Some("aa"), "dead")], "aa")],
        };
        let lines = [
            r#"  "aa" [label="aa\n10.0.0.7:7400\na\"b", penwidth=2];"#,
            r#"  "bb" [label="bb\n10.0.0.7:7400\na\"b", penwidth=2];"#,
            r#"  "aa" -> "bb" [style=dotted, dir=none, label="12 ms"];"#,
            r#"  "aa" -> "bb" [label="app"];"#,
            r#"  "bb" -> "aa" [label="app"];"#,
            "}",
        ];
        assert_eq!(dot(&views).lines().skip(2).collect::<Vec<_>>(), lines);
    }
}
