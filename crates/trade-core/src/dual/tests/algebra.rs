//! Shapes, selections and products.

use super::*;

#[test]
fn sums_and_products_broadcast() {
    let full = || normal([4, 5], 2).abs().add_scalar(0.5);
    let pairs = [
        [full(), normal([4, 5], 3).abs().add_scalar(0.5)],
        [full(), normal([4, 1], 3).abs().add_scalar(0.5)],
        [normal([4, 1], 3).abs().add_scalar(0.5), full()],
        [full(), normal([1, 5], 3).abs().add_scalar(0.5)],
        [
            normal([4, 1], 3).abs().add_scalar(0.5),
            normal([1, 5], 4).abs().add_scalar(0.5),
        ],
    ];
    for pair in pairs {
        check_pair("add", pair.clone(), |x, y| x + y);
        check_pair("sub", pair.clone(), |x, y| x - y);
        check_pair("mul", pair.clone(), |x, y| x * y);
        check_pair("div", pair.clone(), |x, y| x / y);
    }
    check_pair("plus", [normal([6], 5), normal([6], 6)], Dual::plus);
}

#[test]
fn a_product_with_itself_has_both_tangents() {
    check("x · x", normal([3, 4], 7), |x| x.clone() * x);
    check("x / (1 + x²)", normal([3, 4], 7), |x| {
        x.clone() / x.square().add_scalar(1.0)
    });
}

#[test]
fn moves_and_selections() {
    let x = || normal([3, 4], 11);
    check("reshape", x(), |x| x.reshape([2, 3, 2]));
    check("swap_dims", x(), |x| x.swap_dims(0, 1));
    check("slice_dim", x(), |x| x.slice_dim(1, 1..3));
    check("repeat_dim", normal([3, 1], 11), |x| x.repeat_dim(1, 4));
    check("into_column", normal([3], 11), Dual::into_column);
    check("linear", x(), |x| {
        x.linear(|t| t.mul_scalar(3.0).sum_dim(0))
    });
    let device = FlexDevice;
    let columns = Tensor::<Flex, 1, Int>::from_ints([3, 0, 0], &device);
    check("select", x(), |x| x.select(1, columns.clone()));
    let indices = Tensor::<Flex, 2, Int>::from_ints([[1, 0], [3, 3], [2, 1]], &device);
    check("gather", x(), |x| x.gather(1, indices.clone()));
    let gathered =
        D2::constant(tensor((0..12).map(f64::from).collect(), [3, 4])).gather(1, indices);
    assert_eq!(numbers(&gathered.value), [1.0, 0.0, 7.0, 7.0, 10.0, 9.0]);
}

#[test]
fn mask_where_takes_value_and_tangent_from_one_side() {
    let device = FlexDevice;
    let mask =
        Tensor::<Flex, 2, Bool>::from_data([[true, false, true], [false, false, true]], &device);
    let pair = [normal([2, 3], 12), normal([2, 3], 13)];
    check_pair("mask_where", pair.clone(), |x, y| {
        x.mask_where(mask.clone(), y)
    });
    let [x, y] = pair;
    let nan = x.zeros_like().add_scalar(f64::NAN);
    // What is not taken may be anything.
    let left = Dual::new(x.clone().mask_where(mask.clone(), nan.clone()), nan.clone());
    let taken = left.mask_where(mask.clone(), Dual::constant(y.clone()));
    let tangent = numbers(&taken.tangent.unwrap());
    assert_eq!(
        numbers(&taken.value),
        numbers(&x.mask_where(mask.clone(), y))
    );
    let expected = [0.0, f64::NAN, 0.0, f64::NAN, f64::NAN, 0.0];
    assert!(
        tangent
            .iter()
            .zip(expected)
            .all(|(t, e)| t.is_nan() == e.is_nan() && (t.is_nan() || *t == e))
    );
}

#[test]
fn cat_fills_missing_tangents_with_zeros() {
    for dim in 0..2 {
        let middle = normal([3, 3], 15);
        let join = |x, y| Dual::cat(vec![x, Dual::constant(middle.clone()), y], dim);
        check_pair("cat", [normal([3, 3], 14), normal([3, 3], 16)], join);
    }
    let parts = || {
        vec![
            D2::constant(normal([2, 2], 1)),
            Dual::constant(normal([2, 3], 2)),
        ]
    };
    assert!(Dual::cat(parts(), 1).tangent.is_none());
}

#[test]
fn stacked_and_back() {
    let dual = Dual::new(normal([3, 4], 17), normal([3, 4], 18));
    let stacked = dual.stacked().unwrap();
    assert_eq!(stacked.dims(), [6, 4]);
    let back = D2::from_stacked(stacked);
    assert_eq!(numbers(&back.value), numbers(&dual.value));
    assert_eq!(
        numbers(&back.tangent.unwrap()),
        numbers(&dual.tangent.clone().unwrap())
    );
    assert!(D2::constant(dual.value).stacked().is_none());
}

#[test]
fn zeros_follow_the_precision() {
    let dual = D2::new(normal([3, 4], 19), normal([3, 4], 20));
    let zeros = dual.zeros([2, 2, 2]);
    assert_eq!((zeros.dtype(), zeros.dims()), (DType::F64, [2, 2, 2]));
    assert!(zeros.tangent.is_none());
    assert_eq!(numbers(&zeros.tangent_or_zeros()), [0.0; 8]);
    assert_eq!(
        numbers(&dual.tangent_or_zeros()),
        numbers(&dual.tangent.unwrap())
    );
}

#[test]
fn matrix_products() {
    let pair = [normal([3, 4], 21), normal([4, 5], 22)];
    check_pair("matmul", pair.clone(), Dual::matmul);
    let [a, b] = pair;
    let (a, b) = (numbers(&a), numbers(&b));
    let entry = |i: usize, j: usize| (0..4).map(|k| a[i * 4 + k] * b[k * 5 + j]).sum::<f64>();
    let expected: Vec<f64> = (0..15).map(|at| entry(at / 5, at % 5)).collect();
    let product =
        D2::constant(tensor(a.clone(), [3, 4])).matmul(Dual::constant(tensor(b.clone(), [4, 5])));
    assert_close("matmul", &numbers(&product.value), &expected, 1e-14);
}

#[test]
fn convolutions() {
    let weight = normal([4, 3, 3, 3], 23);
    for (padding, bias) in [([1, 1], Some(normal([4], 24))), ([0, 1], None)] {
        let options = ConvOptions::new([1, 1], padding, [1, 1], 1);
        check("conv2d", normal([2, 3, 4, 5], 25), |x| {
            x.conv2d(weight.clone(), bias.clone(), options.clone())
        });
    }
    // Where the kernel covers the whole image: one inner product with the weights, plus the bias.
    let image = normal([1, 3, 3, 3], 26);
    let options = ConvOptions::new([1, 1], [0, 0], [1, 1], 1);
    let found =
        Dual::constant(image.clone()).conv2d(weight.clone(), Some(normal([4], 24)), options);
    let (image, weight, bias) = (numbers(&image), numbers(&weight), numbers(&normal([4], 24)));
    let inner = |w: &[f64]| w.iter().zip(&image).map(|(a, b)| a * b).sum::<f64>();
    let expected: Vec<f64> = weight
        .chunks(27)
        .zip(bias)
        .map(|(w, b)| inner(w) + b)
        .collect();
    assert_close("conv2d", &numbers(&found.value), &expected, 1e-14);
}
