//! `CONFIG`: settings while clients are served.

use crate::glob;
use crate::refusal::Refusal;
use crate::reply::Reply;
use crate::request::Request;
use crate::session::Session;
use crate::table::{Command, Flags};

pub(crate) const CONFIG: Command = Command::of_parts(
    "config",
    &[
        Command::quick("get", -3, get).flags(Flags::ADMIN).docs(
            "2.0.0",
            "O(N) when N is the number of configuration parameters provided",
            "Returns the effective values of configuration parameters.",
        ),
        Command::quick("resetstat", 2, |session, _| {
            session.server.stats.reset();
            Ok(Reply::OK)
        })
        .flags(Flags::ADMIN)
        .docs("2.0.0", "O(1)", "Resets the server's statistics."),
        Command::quick("rewrite", 2, |_, _| {
            Err("ERR The server is running without a config file".into())
        })
        .flags(Flags::ADMIN)
        .docs(
            "2.8.0",
            "O(1)",
            "Refused: what is set is kept until the end of the process.",
        ),
        Command::quick("set", -4, set).flags(Flags::ADMIN).docs(
            "2.0.0",
            "O(N) when N is the number of configuration parameters provided",
            "Sets configuration parameters in-flight.",
        ),
        Command::HELP,
    ],
)
.docs(
    "2.0.0",
    "Depends on subcommand.",
    "A container for server configuration commands.",
);

fn get(session: &mut Session, request: &Request) -> Result<Reply, Refusal> {
    let all = session.server.settings.all().into_iter();
    let wanted = all.filter(|(name, _)| {
        let mut patterns = request.from(2);
        patterns.any(|pattern| glob::matches(pattern, name.as_bytes(), true))
    });
    let pairs = wanted.map(|(name, value)| (Reply::word(name), Reply::bulk(value)));
    Ok(Reply::Map(pairs.collect()))
}

fn set(session: &mut Session, request: &Request) -> Result<Reply, Refusal> {
    if request.len() % 2 == 1 {
        return Err(Refusal::arity("config|set"));
    }
    let text = |at| String::from_utf8(request.get(at).to_vec());
    let pairs = (2..request.len()).step_by(2).map(|at| {
        let wrong = |_| Refusal::said("ERR settings are texts");
        let name = text(at).map_err(wrong)?.to_ascii_lowercase();
        Ok((name, text(at + 1).map_err(wrong)?))
    });
    let pairs = pairs.collect::<Result<Vec<_>, Refusal>>()?;
    session.server.settings.set(&pairs)?;
    session.server.settings_changed();
    Ok(Reply::OK)
}
