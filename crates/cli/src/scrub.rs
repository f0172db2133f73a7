//! `syncline scrub`: reads everything that is stored and checks it.

use serde_json::json;
use syncline::{Namespace, ScrubOptions, ScrubRate, ScrubReport};

use crate::args::Scrub;
use crate::failure::{Doing, Failure, Reason};
use crate::home;
use crate::progress::Progress;
use crate::table::{bytes, count};

pub(crate) async fn run(arguments: &Scrub) -> Result<(), Failure> {
    let node = home::existing_node(&arguments.home).await?;
    let scrubbed = async {
        let mut damage = 0;
        for name in home::namespaces(&arguments.home, &arguments.namespaces, &node)? {
            let namespace = node
                .namespace(&name)
                .doing(|| "cannot open the namespace".to_owned())?;
            damage += one(arguments, &name, &namespace).await?;
        }
        Ok(damage)
    };
    let damage = scrubbed.await;
    home::close(node).await?;
    match damage? {
        0 => Ok(()),
        damage => Err(Failure::new(
            Reason::Differs,
            format!(
                "{} contradictions were found and mended; sync with a peer to fetch the rows that were withdrawn, and look after the disk",
                count(damage)
            ),
        )),
    }
}

/// Scrubs a namespace, prints the report, and returns how much was damaged.
async fn one(arguments: &Scrub, name: &str, namespace: &Namespace) -> Result<u64, Failure> {
    let doing = || format!("cannot scrub {name}");
    let view = namespace.view().await.doing(doing)?;
    // Each row is read once, and stands in the index once or a little more often.
    let progress = Progress::bar(&format!("scrubbing {name}"), 2 * view.row_count());
    drop(view);
    let mut options = ScrubOptions::default().rate(match arguments.rate {
        Some(bytes) => ScrubRate {
            entries: u64::MAX,
            bytes,
        },
        None => ScrubRate::UNBOUNDED,
    });
    if !arguments.resume {
        options = options.from_start();
    }
    let progress = std::sync::Arc::new(progress);
    let told = progress.clone();
    let options = options.on_progress(move |report| told.reach(report.rows + report.entries));
    let report = namespace.scrub(&options).await.doing(doing)?;
    drop((options, progress));
    match arguments.json {
        true => println!("{}", machine(name, &report)),
        false => print!("{}", people(name, &report)),
    }
    Ok(report.damage_count)
}

fn people(name: &str, report: &ScrubReport) -> String {
    let read = format!(
        "{} rows and {} other entries, {}",
        count(report.rows),
        count(report.entries),
        bytes(report.bytes)
    );
    if report.is_clean() {
        return format!("{name}: all is well; read {read}\n");
    }
    let mut text = format!(
        "{name}: {} contradictions, {} rows withdrawn; read {read}\n",
        count(report.damage_count),
        count(report.withdrawn.rows)
    );
    for mismatch in &report.damage {
        text += &format!("  {mismatch}\n");
    }
    let unlisted = report.damage_count - report.damage.len() as u64;
    if unlisted > 0 {
        text += &format!("  and {} more\n", count(unlisted));
    }
    text
}

fn machine(name: &str, report: &ScrubReport) -> serde_json::Value {
    json!({
        "namespace": name,
        "clean": report.is_clean(),
        "rows": report.rows,
        "entries": report.entries,
        "bytes": report.bytes,
        "damage": report.damage_count,
        "damaged": report.damage.iter().map(ToString::to_string).collect::<Vec<_>>(),
        "rows_withdrawn": report.withdrawn.rows,
        "dots_withdrawn": report.withdrawn.dots,
    })
}
