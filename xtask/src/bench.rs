//! Times layers and training steps, the latter beside PyTorch if asked for.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use anyhow::{Context, Result, ensure};
use serde_json::Value;

use crate::{call, cargo, target_folder};

/// Milliseconds (for `peak-memory`, mebibytes) by threads and operation.
type Figures = BTreeMap<(usize, String), f64>;

/// Runs the benches with each number of threads.
pub(crate) fn alone(threads: &[usize]) -> Result<()> {
    for n in threads {
        println!("threads: {n}");
        let mut benches = cargo();
        benches
            .args([
                "bench",
                "--workspace",
                "--bench",
                "layers",
                "--bench",
                "steps",
            ])
            .env("RAYON_NUM_THREADS", n.to_string());
        call(&mut benches)?;
    }
    Ok(())
}

/// Runs `trade-bench speed` and a peer in the same go, with each number of threads.
pub(crate) fn beside(peer: &str, settings: &str, threads: &[usize]) -> Result<()> {
    ensure!(peer == "torch", "unknown peer `{peer}`; expected torch");
    let (python, script) = torch()?;
    let (mut ours, mut theirs) = (Figures::new(), Figures::new());
    for &n in threads {
        let mut own = Command::new(target_folder()?.join("release").join("trade-bench"));
        own.args(["speed", "--settings", settings])
            .env("RAYON_NUM_THREADS", n.to_string());
        read(&mut own, n, &mut ours)?;
        let mut other = Command::new(&python);
        other
            .arg(&script)
            .args(["--settings", settings, "--threads", &n.to_string()]);
        read(&mut other, n, &mut theirs)?;
    }
    println!("| threads | operation | TRADE | PyTorch | PyTorch / TRADE |");
    println!("|--:|:--|--:|--:|--:|");
    for ((n, operation), own) in &ours {
        let unit = if operation == "peak-memory" {
            "MiB"
        } else {
            "ms"
        };
        let (other, ratio) = match theirs.get(&(*n, operation.clone())) {
            Some(other) => (format!("{other:.1} {unit}"), format!("{:.2}", other / own)),
            None => ("–".into(), "–".into()),
        };
        println!("| {n} | {operation} | {own:.1} {unit} | {other} | {ratio} |");
    }
    Ok(())
}

/// Reads the lines a program prints.
fn read(command: &mut Command, threads: usize, into: &mut Figures) -> Result<()> {
    let name = command.get_program().display().to_string();
    let output = command
        .stderr(Stdio::inherit())
        .output()
        .with_context(|| format!("cannot start {name}"))?;
    ensure!(
        output.status.success(),
        "{name} ended with {}",
        output.status
    );
    for line in String::from_utf8_lossy(&output.stdout).lines() {
        let value: Value =
            serde_json::from_str(line).with_context(|| format!("{name} printed: {line}"))?;
        let figure = value["milliseconds"]
            .as_f64()
            .or(value["mebibytes"].as_f64());
        if let (Some(operation), Some(figure)) = (value["operation"].as_str(), figure) {
            into.insert((threads, operation.to_string()), figure);
        }
    }
    Ok(())
}

/// The Python of a virtual environment with the peer's packages, made at the first use.
fn torch() -> Result<(PathBuf, PathBuf)> {
    let peers = Path::new("crates/trade-bench/peers");
    ensure!(peers.is_dir(), "run this in the root of the workspace");
    let environment = target_folder()?.join("peers").join("torch");
    let python = environment.join("bin").join("python");
    let complete = environment.join("complete");
    if !complete.is_file() {
        call(
            Command::new("python3")
                .args(["-m", "venv"])
                .arg(&environment),
        )?;
        let requirements = peers.join("requirements.txt");
        let mut install = Command::new(&python);
        install
            .args(["-m", "pip", "install", "--quiet", "-r"])
            .arg(requirements);
        call(&mut install)?;
        std::fs::write(&complete, "").context("cannot mark the environment as complete")?;
    }
    Ok((python, peers.join("torch_step.py")))
}
