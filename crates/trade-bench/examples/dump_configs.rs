use std::{env, fs, path::PathBuf};
use trade_bench::experiment::{self, Preset};
fn main() {
    let out = PathBuf::from(env::args().nth(1).unwrap());
    for preset in [Preset::Smoke, Preset::Desktop, Preset::Paper] {
        for name in experiment::names() {
            let e = experiment::named(name, preset).unwrap();
            let head = format!(
                "{} | {} | {} | {} | {:?} | {:?} | {:?}\n",
                e.name, e.title, e.control, e.control_label, e.bases, e.table_conditions, e.study
            );
            fs::write(out.join(format!("{name}.{}.txt", preset.name())), head + &e.methods.iter().map(|m| format!("{} | {} | {}\n", m.name, m.label, m.main)).collect::<String>()).unwrap();
            for m in &e.methods {
                fs::write(out.join(format!("{name}.{}.{}.json", preset.name(), m.name)), m.config.to_json().unwrap()).unwrap();
            }
        }
    }
    for name in trade_cli::examples::NAMES {
        fs::write(out.join(format!("example.{name}.json")), trade_cli::examples::named(name).unwrap().to_json().unwrap()).unwrap();
    }
    let a = &experiment::named("alanine", Preset::Smoke).unwrap().methods[0].config.target;
    let trade_targets::TargetConfig::Molecule(m) = a.clone() else { panic!() };
    fs::write(out.join("molecule.alanine.json"), trade_cli::molecule::config(m.clone(), "frames.npy".into(), 3).unwrap().to_json().unwrap()).unwrap();
    let mut other = m;
    other.zmatrix = None;
    fs::write(out.join("molecule.other.json"), trade_cli::molecule::config(other, "frames.npy".into(), 3).unwrap().to_json().unwrap()).unwrap();
}
