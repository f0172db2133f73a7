//! What the commands do, a file for each family.

pub(crate) mod acl;
mod beside;
pub(crate) mod bits;
pub(crate) mod client;
pub(crate) mod command;
pub(crate) mod config;
pub(crate) mod connection;
pub(crate) mod deadlines;
pub(crate) mod diagnosis;
pub(crate) mod dump;
pub(crate) mod durability;
pub(crate) mod generic;
pub(crate) mod hashes;
pub(crate) mod info;
pub(crate) mod moving;
pub(crate) mod object;
pub(crate) mod operators;
pub(crate) mod pubsub;
mod random;
pub(crate) mod scan;
pub(crate) mod server;
pub(crate) mod sets;
pub(crate) mod sort;
pub(crate) mod sorted_sets;
pub(crate) mod strings;
pub(crate) mod syncline;
pub(crate) mod transactions;

use crate::table::Family;

/// All families, in the order in which they are listed. A static: a command is known by where it is.
pub(crate) static FAMILIES: &[Family] = &[
    connection::FAMILY,
    generic::FAMILY,
    deadlines::FAMILY,
    scan::FAMILY,
    moving::FAMILY,
    object::FAMILY,
    dump::FAMILY,
    sort::FAMILY,
    strings::FAMILY,
    strings::counting::FAMILY,
    strings::parts::FAMILY,
    strings::common::FAMILY,
    sets::FAMILY,
    hashes::FAMILY,
    sorted_sets::FAMILY,
    sorted_sets::ranges::FAMILY,
    sorted_sets::pops::FAMILY,
    sorted_sets::waits::FAMILY,
    sorted_sets::algebra::FAMILY,
    bits::FAMILY,
    bits::fields::FAMILY,
    transactions::FAMILY,
    pubsub::FAMILY,
    server::FAMILY,
    operators::FAMILY,
    durability::FAMILY,
    diagnosis::FAMILY,
    syncline::FAMILY,
];
