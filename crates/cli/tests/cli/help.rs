use crate::command::run;

#[test]
fn every_command_explains_itself_with_an_example() {
    for command in [
        "demo",
        "node",
        "status",
        "peers",
        "topology",
        "convergence",
        "conflicts",
        "cluster init",
        "cluster invite",
        "cluster join",
        "cluster members",
        "cluster revoke",
        "cluster rotate",
        "cluster forget",
        "import",
        "export",
        "backup",
        "restore",
        "scrub",
        "sync",
        "mcp",
        "bench sync",
        "bench open",
        "bench memory",
        "bench write",
        "sim",
        "sim reach",
        "sim growth",
        "sim plot",
    ] {
        let mut arguments: Vec<&str> = command.split(' ').collect();
        arguments.push("--help");
        let help = run(&arguments).ok();
        assert!(help.contains("Usage:"), "{command}");
        assert!(
            help.contains(&format!("syncline {command}")),
            "{command} shows no example"
        );
    }
}

#[test]
fn the_exit_codes_are_told() {
    let help = run(&["--help"]).ok();
    for line in [
        "0  done",
        "2  the arguments",
        "3  done, and something differs",
        "5  the peer",
        "6  the data directory",
    ] {
        assert!(help.contains(line), "{line}");
    }
    assert!(!help.contains("demo-replica"), "hidden commands are shown");
}

#[test]
fn wrong_arguments_end_with_code_2() {
    assert_eq!(run(&["no-such-command"]).code, 2);
    assert_eq!(run(&["import", "x.csv"]).code, 2);
    let error = run(&["bench", "sync", "--kind", "adds", "--interrupt", "0.5"]).failed(2);
    assert!(error.contains("bootstrap"), "{error}");
}
