//! Times layers and training steps, the latter beside peers if asked for.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use anyhow::{Context, Result, bail, ensure};
use serde_json::Value;

use crate::{call, cargo, target_folder};

/// All timings of the rounds, in milliseconds (of `peak-memory` in mebibytes, of `to-quality` in
/// seconds) by threads and operation.
type Figures = BTreeMap<(usize, String), Vec<f64>>;

/// What programs are run with.
pub(crate) struct Setting<'a> {
    /// Numbers of threads.
    pub(crate) threads: &'a [usize],
    /// The instruction set that all programs are capped to.
    pub(crate) simd: Option<&'a str>,
    /// How often the programs take turns.
    pub(crate) rounds: usize,
    /// Whether operations are compared by the time that the processor spent on them.
    pub(crate) cpu: bool,
}

/// Runs the benches with each number of threads.
pub(crate) fn alone(setting: &Setting) -> Result<()> {
    for n in setting.threads {
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
        call(cap(&mut benches, setting.simd)?)?;
    }
    Ok(())
}

/// Caps the instruction set of a program: ours, and the libraries that PyTorch and JAX compute with.
fn cap<'a>(command: &'a mut Command, simd: Option<&str>) -> Result<&'a mut Command> {
    let Some(simd) = simd else { return Ok(command) };
    command.env("TRADE_SIMD", simd);
    match simd {
        "avx512" => {}
        "avx2" => {
            command
                .env("ATEN_CPU_CAPABILITY", "avx2")
                .env("ONEDNN_MAX_CPU_ISA", "AVX2")
                .env("MKL_ENABLE_INSTRUCTIONS", "AVX2")
                // Without the second flag, products are those of a library that knows no cap.
                .env(
                    "XLA_FLAGS",
                    "--xla_cpu_max_isa=AVX2 --xla_cpu_experimental_ynn_fusion_type=",
                );
        }
        _ => bail!("--simd {simd}: expected avx2 or avx512, which the peers know too"),
    }
    Ok(command)
}

/// A program whose times are set beside ours.
struct Peer {
    name: &'static str,
    script: &'static str,
    flags: &'static [&'static str],
}

const EAGER: Peer = Peer {
    name: "PyTorch",
    script: "torch_step.py",
    flags: &[],
};
const COMPILED: Peer = Peer {
    name: "torch.compile",
    script: "torch_step.py",
    flags: &["--compile"],
};
const JAX: Peer = Peer {
    name: "JAX",
    script: "jax_step.py",
    flags: &[],
};

/// The peers of a list of names. PyTorch is eager and, where our script can, compiled.
fn peers(names: &[String], settings: &str) -> Result<Vec<Peer>> {
    let mut peers = Vec::new();
    for name in names {
        match (name.as_str(), settings) {
            ("torch", "multi-well") => peers.extend([EAGER, COMPILED]),
            ("torch", _) => peers.push(EAGER),
            ("jax", "multi-well") => peers.push(JAX),
            ("jax", _) => bail!("the peer jax has the settings multi-well only, not {settings}"),
            _ => bail!("unknown peer `{name}`; expected torch or jax"),
        }
    }
    Ok(peers)
}

/// Runs `trade-bench speed` and peers in turn, with each number of threads.
pub(crate) fn beside(names: &[String], settings: &str, setting: &Setting) -> Result<()> {
    let peers = peers(names, settings)?;
    let python = python()?;
    let mut ours = Figures::new();
    let mut theirs: Vec<_> = peers.iter().map(|_| Figures::new()).collect();
    for &n in setting.threads {
        for _ in 0..setting.rounds {
            let mut own = own("speed", n)?;
            own.args(["--settings", settings]);
            read(cap(&mut own, setting.simd)?, n, setting.cpu, &mut ours)?;
            for (peer, figures) in peers.iter().zip(&mut theirs) {
                let mut other = script(&python, peer, n);
                other.args(["--settings", settings]);
                read(cap(&mut other, setting.simd)?, n, setting.cpu, figures)?;
            }
        }
    }
    table(&peers, &ours, &theirs);
    Ok(())
}

/// Trains ours and PyTorch until the flow is good enough, in turn with as many seeds as rounds.
pub(crate) fn to_quality(preset: &str, setting: &Setting) -> Result<()> {
    let python = python()?;
    let peer = Peer {
        script: "torch_quality.py",
        ..EAGER
    };
    let (mut ours, mut theirs) = (Figures::new(), Figures::new());
    for &n in setting.threads {
        for seed in 0..setting.rounds {
            let typed = ["--preset", preset, "--seed", &seed.to_string()];
            let mut own = own("to-quality", n)?;
            read(
                cap(own.args(typed), setting.simd)?,
                n,
                setting.cpu,
                &mut ours,
            )?;
            let mut other = script(&python, &peer, n);
            read(
                cap(other.args(typed), setting.simd)?,
                n,
                setting.cpu,
                &mut theirs,
            )?;
        }
    }
    table(&[peer], &ours, &[theirs]);
    Ok(())
}

fn own(command: &str, threads: usize) -> Result<Command> {
    let mut own = Command::new(target_folder()?.join("release").join("trade-bench"));
    own.arg(command)
        .env("RAYON_NUM_THREADS", threads.to_string());
    Ok(own)
}

fn script(python: &Path, peer: &Peer, threads: usize) -> Command {
    let mut other = Command::new(python);
    other
        .arg(Path::new(PEERS).join(peer.script))
        .args(peer.flags)
        .args(["--threads", &threads.to_string()]);
    other
}

/// Prints the medians over the rounds, and their ratios to ours.
fn table(peers: &[Peer], ours: &Figures, theirs: &[Figures]) {
    let names = peers.iter().map(|peer| peer.name);
    let titles: Vec<_> = names.map(|n| format!("{n} | {n} / TRADE")).collect();
    println!("| threads | operation | TRADE | {} |", titles.join(" | "));
    println!("|--:|:--|--:|{}", "--:|--:|".repeat(peers.len()));
    for ((n, operation), own) in ours {
        let unit = match operation.as_str() {
            "peak-memory" => "MiB",
            "to-quality" => "s",
            _ => "ms",
        };
        let own = median(own);
        print!("| {n} | {operation} | {own:.1} {unit} |");
        for figures in theirs {
            match figures.get(&(*n, operation.clone())).map(|f| median(f)) {
                Some(other) => print!(" {other:.1} {unit} | {:.2} |", other / own),
                None => print!(" – | – |"),
            }
        }
        println!();
    }
    for (peer, figures) in peers.iter().zip(theirs) {
        for ((n, operation), seconds) in figures {
            if let Some(operation) = operation.strip_prefix(COMPILING) {
                let (name, seconds) = (peer.name, median(seconds));
                println!("{name}, {n} threads: {seconds:.1} s until the first {operation}");
            }
        }
    }
}

fn median(figures: &[f64]) -> f64 {
    let mut figures = figures.to_vec();
    figures.sort_by(f64::total_cmp);
    figures[figures.len() / 2]
}

/// In front of an operation's name: the seconds of its first call, which compiles it.
const COMPILING: &str = "compiling ";

/// Reads the lines a program prints.
fn read(command: &mut Command, threads: usize, cpu: bool, into: &mut Figures) -> Result<()> {
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
        eprintln!("{line}");
        let value: Value =
            serde_json::from_str(line).with_context(|| format!("{name} printed: {line}"))?;
        ensure!(
            value["reached"] != false,
            "{name} was not good enough in time: {line}"
        );
        let time = if cpu {
            "cpu_milliseconds"
        } else {
            "milliseconds"
        };
        let units = [time, "mebibytes", "seconds"];
        let figure = units.iter().find_map(|unit| value[unit].as_f64());
        let (Some(operation), Some(figure)) = (value["operation"].as_str(), figure) else {
            continue;
        };
        into.entry((threads, operation.to_string()))
            .or_default()
            .push(figure);
        if let Some(seconds) = value["compile_s"].as_f64() {
            into.entry((threads, format!("{COMPILING}{operation}")))
                .or_default()
                .push(seconds);
        }
    }
    Ok(())
}

/// Where the peers' scripts lie.
const PEERS: &str = "crates/trade-bench/peers";

/// The Python of a virtual environment with the peers' packages, made at the first use.
fn python() -> Result<PathBuf> {
    let peers = Path::new(PEERS);
    ensure!(peers.is_dir(), "run this in the root of the workspace");
    let environment = target_folder()?.join("peers").join("python");
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
    Ok(python)
}
