use super::*;
use rand::RngExt;

#[test]
fn streams_differ_by_purpose_and_seed() {
    let mut first = Streams::new(7);
    let mut second = Streams::new(8);
    let mut seen: Vec<Vec<u64>> = Vec::new();
    for purpose in Purpose::ALL {
        for streams in [&mut first, &mut second] {
            let words: Vec<u64> = (0..4).map(|_| streams.get(purpose).next_u64()).collect();
            assert!(!seen.contains(&words));
            seen.push(words);
        }
    }
}

#[test]
fn purposes_do_not_disturb_each_other() {
    let mut quiet = Streams::new(3);
    let mut busy = Streams::new(3);
    busy.get(Purpose::Condition).normal64(1001);
    assert_eq!(
        quiet.get(Purpose::Latent).normal64(9),
        busy.get(Purpose::Latent).normal64(9)
    );
}

#[test]
fn resumes_bit_exactly_from_json() {
    let mut streams = Streams::new(u64::MAX);
    for (i, purpose) in Purpose::ALL.into_iter().enumerate() {
        let stream = streams.get(purpose);
        stream.normal(2 * i + 1);
        stream.permutation(i);
        // Leaves the position in the middle of a block and off the 64-bit grid.
        stream.next_u32();
    }
    let text = serde_json::to_string(&streams.state()).unwrap();
    let state: StreamsState = serde_json::from_str(&text).unwrap();
    let mut resumed = Streams::restore(&state).unwrap();
    for purpose in Purpose::ALL {
        let (a, b) = (streams.get(purpose), resumed.get(purpose));
        assert_eq!(a.normal64(101), b.normal64(101));
        assert_eq!(
            a.categorical(&[0.1, 0.7, -0.3]),
            b.categorical(&[0.1, 0.7, -0.3])
        );
        assert_eq!(a.permutation(33), b.permutation(33));
        assert_eq!(a.random::<u32>(), b.random::<u32>());
    }
    assert_eq!(streams.state(), resumed.state());
}

#[test]
fn positions_beyond_64_bits_survive() {
    let mut streams = Streams::new(1);
    let far = (1_u128 << 67) + 12_345;
    streams.get(Purpose::Latent).set_position(far);
    let mut resumed = Streams::restore(&streams.state()).unwrap();
    assert_eq!(resumed.get(Purpose::Latent).position(), far);
    assert_eq!(
        streams.get(Purpose::Latent).next_u64(),
        resumed.get(Purpose::Latent).next_u64()
    );
}

#[test]
fn a_broken_state_is_refused() {
    let mut state = Streams::new(1).state();
    state.positions.insert(Purpose::Latent, "many".into());
    assert!(
        Streams::restore(&state)
            .unwrap_err()
            .to_string()
            .contains("`many`")
    );
    state.positions.remove(&Purpose::Latent);
    assert!(Streams::restore(&state).is_err());
}

#[test]
fn normals_have_the_moments_of_the_normal_distribution() {
    let n = 400_000;
    let normals = Stream::new(11, 0).normal64(n);
    let moment = |k: i32| normals.iter().map(|x| x.powi(k)).sum::<f64>() / n as f64;
    // Var(x^k) = (2k−1)!! − E[x^k]²: 1, 2, 15, 96; bounds at four sigma.
    for (k, expected, variance) in [(1, 0.0, 1.0), (2, 1.0, 2.0), (3, 0.0, 15.0), (4, 3.0, 96.0)] {
        let sigma = f64::sqrt(variance / n as f64);
        assert!(
            (moment(k) - expected).abs() < 4.0 * sigma,
            "moment {k}: {}",
            moment(k)
        );
    }
    // P(x < 1) = 0.841344746.
    let below = normals.iter().filter(|&&x| x < 1.0).count() as f64 / n as f64;
    assert!((below - 0.841_344_746).abs() < 4.0 * (0.1335_f64 / n as f64).sqrt());
}

#[test]
fn odd_counts_keep_no_spare() {
    let mut stream = Stream::new(5, 0);
    let before = stream.normal64(3);
    // Two pairs, each from two numbers of two words.
    assert_eq!(stream.position(), 8);
    assert_eq!(before, Stream::new(5, 0).normal64(4)[..3]);
    let mut fresh = Stream::new(5, 0);
    fresh.set_position(8);
    assert_eq!(stream.normal(2), fresh.normal(2));
}

#[test]
fn categorical_follows_its_probabilities() {
    let mut stream = Stream::new(13, 0);
    let logits = [
        1000.0,
        f64::NEG_INFINITY,
        1000.0 + 2.0_f64.ln(),
        f64::NAN,
        1000.0,
    ];
    let n = 100_000;
    let mut counts = [0_usize; 5];
    for _ in 0..n {
        counts[stream.categorical(&logits)] += 1;
    }
    for (count, p) in counts.iter().zip([0.25, 0.0, 0.5, 0.0, 0.25_f64]) {
        let sigma = (p * (1.0 - p) * n as f64).sqrt();
        assert!(
            (*count as f64 - p * n as f64).abs() <= 4.0 * sigma,
            "{counts:?}"
        );
    }
    let uniform: Vec<usize> = (0..50)
        .map(|_| stream.categorical(&[f64::NAN; 2]))
        .collect();
    assert!(uniform.contains(&0) && uniform.contains(&1));
}

#[test]
fn permutations_are_uniform() {
    let mut stream = Stream::new(17, 0);
    let n = 60_000;
    let mut counts = BTreeMap::new();
    for _ in 0..n {
        *counts.entry(stream.permutation(3)).or_insert(0_usize) += 1;
    }
    assert_eq!(counts.len(), 6);
    let sigma = (n as f64 * 5.0 / 36.0).sqrt();
    for count in counts.values() {
        assert!((*count as f64 - 10_000.0).abs() < 4.0 * sigma);
    }
}
