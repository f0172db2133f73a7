use serde_json::Value;

use crate::command::run;

fn sim(arguments: &str) -> Value {
    let words = format!("sim --json --nodes 60 --warm-up 3 --rumours 5 {arguments}");
    run(&words.split_whitespace().collect::<Vec<_>>()).json()
}

#[test]
fn one_object_says_what_the_runs_came_to() {
    let figures = sim("--seed 7 --runs 2");
    assert_eq!(figures["delivered"], 1.0, "{figures}");
    assert_eq!(figures["strategy"], "plumtree");
    assert_eq!(figures["runs"].as_array().map(Vec::len), Some(2));
    for name in [
        "copies",
        "last_hops",
        "half_ms",
        "nearly_all_ms",
        "all_ms",
        "bytes_per_node_second",
    ] {
        assert!(figures[name].as_f64().unwrap() > 0.0, "{name}: {figures}");
    }
    assert_eq!(
        figures,
        sim("--seed 7 --runs 2"),
        "the same seed, the same runs"
    );
    assert_ne!(figures["runs"][0]["trace"], figures["runs"][1]["trace"]);
}

#[test]
fn every_strategy_runs_through_losses_and_deaths() {
    for strategy in [
        "push",
        "feedback",
        "pull",
        "push-pull",
        "adaptive",
        "plumtree",
    ] {
        let figures = sim(&format!(
            "--strategy {strategy} --loss 0.1 --kill 0.2 --regions 3 --writers 4"
        ));
        assert!(figures["delivered"].as_f64().unwrap() > 0.3, "{figures}");
        assert!(
            figures["between_regions"].as_f64().unwrap() > 0.3,
            "{figures}"
        );
        assert_eq!(figures["expected_reach"].is_null(), strategy != "push");
    }
}

#[test]
fn studies_print_a_row_for_each_cell() {
    let reach = "sim reach --nodes 50,100 --fanouts 3,5 --runs 2 --json";
    let rows = run(&reach.split(' ').collect::<Vec<_>>()).json();
    let rows = rows.as_array().unwrap();
    assert_eq!(rows.len(), 4);
    assert_eq!(
        (&rows[1]["nodes"], &rows[1]["fanout"]),
        (&50.into(), &5.into())
    );
    for row in rows {
        assert!(row["off_by"].as_f64().unwrap() < 5.0, "{row}");
    }
    let growth = run(&["sim", "growth", "--nodes", "30,60", "--writers", "3"]).ok();
    assert!(growth.contains("over ln n"), "{growth}");
    assert_eq!(growth.lines().count(), 3, "{growth}");
    let error = run(&["sim", "growth", "--nodes", "1"]).failed(2);
    assert!(error.contains("at least 2 nodes"), "{error}");
}

#[test]
fn a_file_describes_a_scenario_and_what_it_is_to_come_to() {
    let directory = tempfile::tempdir().unwrap();
    let file = |name: &str, copies: f64| {
        let path = directory.path().join(name);
        let text = format!(
            "about = 'a test'\nnodes = 900\nseed = 5\nrumours = 5\nwarm_up = 3\nstrategy = 'plumtree'\n\
             network = {{ loss = 0.05 }}\nexpect = {{ delivered = 1.0, copies = {copies} }}\n"
        );
        std::fs::write(&path, text).unwrap();
        path.to_str().unwrap().to_owned()
    };
    let good = file("good.toml", 9.0);
    let figures = run(&["sim", "--scenario", &good, "--nodes", "50", "--json"]).json();
    assert_eq!(
        (&figures["nodes"], &figures["seed"]),
        (&50.into(), &5.into())
    );
    assert_eq!(figures["loss"], 0.05);
    let bad = file("bad.toml", 0.5);
    let error = run(&["sim", "--scenario", &bad, "--nodes", "50"]).failed(3);
    assert!(error.contains("copies is"), "{error}");
    let error = run(&["sim", "--scenario", &bad, "--loss", "0.5"]).misused();
    assert!(error.contains("cannot be used with"), "{error}");
    std::fs::write(&bad, "nodes = 'many'").unwrap();
    let error = run(&["sim", "--scenario", &bad]).failed(4);
    assert!(error.contains("bad.toml"), "{error}");
}

#[test]
fn figures_are_drawn() {
    let directory = tempfile::tempdir().unwrap();
    let path = |name: &str| directory.path().join(name).to_str().unwrap().to_owned();
    let (input, output) = (path("figures.json"), path("figures.svg"));
    let figures: String = [2, 4]
        .map(|fanout| sim(&format!("--strategy push-pull --fanout {fanout}")).to_string())
        .join("\n");
    std::fs::write(&input, &figures).unwrap();
    run(&["sim", "plot", &input, "--x", "fanout", "--output", &output]).ok();
    let drawn = std::fs::read_to_string(&output).unwrap();
    assert!(drawn.contains(">push-pull</text>"), "{drawn}");
    assert_eq!(drawn.matches("<circle").count(), 2, "{drawn}");
    let nonsense = [
        "sim", "plot", &input, "--x", "loss", "--y", "luck", "--output", &output,
    ];
    let error = run(&nonsense).failed(4);
    assert!(error.contains("luck"), "{error}");
}

#[test]
fn people_get_a_table_and_impossible_scenarios_an_error() {
    let text = run(&[
        "sim",
        "--nodes",
        "30",
        "--rumours",
        "3",
        "--strategy",
        "push",
    ])
    .ok();
    assert!(text.contains("copies per node and rumour"), "{text}");
    assert!(text.contains("as the equation"), "{text}");
    let error = run(&["sim", "--nodes", "1"]).failed(2);
    assert!(error.contains("at least 2 nodes"), "{error}");
    let error = run(&["sim", "--loss", "1.5"]).failed(2);
    assert!(error.contains("shares"), "{error}");
}
