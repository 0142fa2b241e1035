//! Devices as a user meets them: what there is, what is missing, and one model on several.

#[allow(dead_code)] // each test program uses its part
mod binary;

use std::path::Path;

use binary::{ok, small_config, trade, write};

/// Each feature, a device of it, and whether this build has it.
const BACKENDS: [(&str, &str, bool); 4] = [
    ("flex", "flex", cfg!(feature = "flex")),
    ("ndarray", "ndarray", cfg!(feature = "ndarray")),
    ("wgpu", "wgpu:0", cfg!(feature = "wgpu")),
    ("cuda", "cuda:0", cfg!(feature = "cuda")),
];

/// Trains on a device in an environment where it must fail; gives the one sentence that was said.
fn refused(folder: &Path, device: &str, environment: &[(&str, &str)]) -> String {
    write(folder, "small.json", &small_config(5));
    let output = trade(folder)
        .args(["--device", device, "train", "small.json", "--quiet"])
        .envs(environment.iter().copied())
        .output()
        .expect("the tool starts");
    let said = String::from_utf8(output.stderr).expect("text");
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert_eq!(said.lines().count(), 1, "{said}");
    assert!(
        said.starts_with("trade: ") && !said.contains("panicked"),
        "{said}"
    );
    said
}

#[test]
fn every_backend_is_listed() {
    let folder = tempfile::tempdir().expect("a folder");
    let listed = ok(folder.path(), &["devices"]);
    for (feature, _, built) in BACKENDS {
        let lines: Vec<&str> = listed.lines().filter(|l| l.starts_with(feature)).collect();
        assert!(!lines.is_empty(), "{listed}");
        let missing = lines[0].contains(&format!("--features {feature}"));
        assert_eq!(missing, !built, "{listed}");
    }
}

#[test]
fn a_backend_that_was_not_built_names_its_feature() {
    let folder = tempfile::tempdir().expect("a folder");
    for (feature, device, built) in BACKENDS {
        if !built {
            let said = refused(folder.path(), device, &[]);
            assert!(said.contains(&format!("--features {feature}")), "{said}");
        }
    }
}

#[test]
fn an_instruction_set_that_does_not_exist_is_refused() {
    let folder = tempfile::tempdir().expect("a folder");
    let said = refused(folder.path(), "flex", &[("TRADE_SIMD", "sse9")]);
    assert!(
        said.contains("TRADE_SIMD") && said.contains("`sse9`"),
        "{said}"
    );
    assert!(said.contains("avx2"), "{said}");
}

#[cfg(feature = "wgpu")]
#[test]
fn without_an_adapter_wgpu_says_what_to_install() {
    let folder = tempfile::tempdir().expect("a folder");
    // The Vulkan loader finds no driver.
    let none = [("VK_DRIVER_FILES", "/none"), ("VK_ICD_FILENAMES", "/none")];
    let said = refused(folder.path(), "wgpu", &none);
    assert!(said.contains("no graphics adapter"), "{said}");
    assert!(said.contains("mesa-vulkan-drivers"), "{said}");
}

#[cfg(feature = "cuda")]
#[test]
fn without_a_card_cuda_says_what_is_missing() {
    let folder = tempfile::tempdir().expect("a folder");
    // Where there is a driver, it shows no card.
    let said = refused(folder.path(), "cuda", &[("CUDA_VISIBLE_DEVICES", "")]);
    let missing = ["no NVIDIA driver", "does not start", "no card", "libnvrtc"];
    assert!(missing.iter().any(|what| said.contains(what)), "{said}");
}

/// The devices of this build that compute on this machine, flex apart.
#[cfg(feature = "flex")]
fn others(folder: &Path) -> Vec<&'static str> {
    let listed = ok(folder, &["devices"]);
    let there = |device: &str| {
        let line = listed.lines().find(|line| line.starts_with(device));
        line.is_some_and(|line| !line.contains("--features"))
    };
    let built = BACKENDS.iter().filter(|(feature, ..)| *feature != "flex");
    built
        .map(|(_, device, _)| *device)
        .filter(|device| there(device))
        .collect()
}

#[cfg(feature = "flex")]
#[test]
fn a_model_is_the_same_on_every_device() {
    use trade::data::read_npy;

    let folder = tempfile::tempdir().expect("a folder");
    let folder = folder.path();
    write(folder, "small.json", &small_config(60));
    for trained_on in std::iter::once("flex").chain(others(folder)) {
        let run = format!("run-{}", trained_on.replace(':', "-"));
        // GPUs compile their kernels at first use: there, one training step is enough.
        if trained_on.contains(':') {
            write(folder, "small.json", &small_config(1));
        }
        let train = [
            "--device",
            trained_on,
            "--quiet",
            "train",
            "small.json",
            "--out",
            &run,
        ];
        ok(folder, &train);
        let mut first: Option<[Vec<f64>; 3]> = None;
        for device in std::iter::once("flex").chain(others(folder)) {
            let sample = [
                "--device", device, "--quiet", "sample", &run, "--at", "T=0.7", "-n", "200",
            ];
            let files = ["-o", "x.npy", "--log-prob", "own.npy"];
            ok(folder, &[&sample[..], &files].concat());
            if device == "flex" {
                std::fs::copy(folder.join("x.npy"), folder.join("states.npy")).expect("copied");
            }
            let log_prob = [
                "--device", device, "--quiet", "log-prob", &run, "--at", "T=0.7",
            ];
            ok(
                folder,
                &[&log_prob[..], &["-i", "states.npy", "-o", "given.npy"]].concat(),
            );
            let read = |name| read_npy(folder.join(name)).expect(name).data().to_vec();
            let found = ["x.npy", "own.npy", "given.npy"].map(read);
            assert!(found.iter().flatten().all(|v| v.is_finite()));
            let Some(first) = &first else {
                first = Some(found);
                continue;
            };
            // Single precision through two spline blocks and back.
            for (a, b) in first.iter().flatten().zip(found.iter().flatten()) {
                let error = (a - b).abs() / (1.0 + a.abs());
                assert!(
                    error < 1e-4,
                    "trained on {trained_on}, on {device}: {b}, on flex {a}"
                );
            }
        }
    }
}
