//! The convolution on Burn's CPU backend `flex`: patches are gathered a few fields at a time, so
//! that they stay in the cache between the copy and the matrix product, and never lie in memory
//! as a whole.

use burn_backend::ops::FloatTensorOps;
use burn_flex::{Flex, FlexTensor};
use rayon::prelude::*;

use super::flex::{Contiguous, Number, dims, tensor, zeros};
use crate::Patches;

/// Multiply-adds in the matrix product of one piece: below burn-flex's threshold (192³) for
/// starting threads of its own, since the pieces are what runs in parallel here.
const PIECE: usize = 6_000_000;

/// Patches as entries of one field: for every output, tap and channel.
struct Gather {
    inputs: usize,
    outputs: usize,
    channels: usize,
    /// `outputs · taps · channels` places in a field's `inputs · channels` numbers.
    entries: Vec<Option<usize>>,
    /// `outputs · taps` input sites.
    sites: Vec<Option<usize>>,
}

/// Fewest channels that are copied as a slice.
const SLICE: usize = 8;

impl Gather {
    fn new(patches: &Patches, channels: usize) -> Self {
        let sites: Vec<Option<usize>> = patches.rows().flatten().copied().collect();
        let entry = |site: &Option<usize>| {
            let site = *site;
            (0..channels).map(move |c| site.map(|site| site * channels + c))
        };
        Self {
            inputs: patches.inputs(),
            outputs: patches.outputs(),
            channels,
            entries: if channels < SLICE {
                sites.iter().flat_map(entry).collect()
            } else {
                Vec::new()
            },
            sites,
        }
    }

    /// The width of a patch.
    fn width(&self) -> usize {
        self.sites.len() / self.outputs * self.channels
    }

    /// Fields in a piece whose product with `columns` columns is worth one thread.
    fn fields(&self, columns: usize) -> usize {
        (PIECE / (self.outputs * self.width() * columns).max(1)).max(1)
    }

    /// The patches of some fields, `[fields · outputs, width]`.
    fn patches<T: Number>(&self, x: &[T]) -> FlexTensor {
        let field = self.inputs * self.channels;
        let rows = x.len() / field * self.outputs;
        let mut patches = Vec::with_capacity(rows * self.width());
        for field in x.chunks_exact(field) {
            if self.channels < SLICE {
                let pick = |entry: &Option<usize>| entry.map_or(T::default(), |e| field[e]);
                patches.extend(self.entries.iter().map(pick));
            } else {
                for site in &self.sites {
                    match site {
                        Some(site) => patches.extend_from_slice(
                            &field[site * self.channels..(site + 1) * self.channels],
                        ),
                        None => patches.extend((0..self.channels).map(|_| T::default())),
                    }
                }
            }
        }
        tensor(patches, [rows, self.width()])
    }

    /// Adds the gradients of patches to the fields they were taken from.
    fn scatter<T: Number>(&self, patches: &[T], x: &mut [T]) {
        let (field, patch) = (self.inputs * self.channels, self.outputs * self.width());
        for (field, patches) in x.chunks_exact_mut(field).zip(patches.chunks_exact(patch)) {
            if self.channels < SLICE {
                for (entry, g) in self.entries.iter().zip(patches) {
                    if let Some(entry) = entry {
                        field[*entry] += *g;
                    }
                }
            } else {
                for (site, patch) in self.sites.iter().zip(patches.chunks_exact(self.channels)) {
                    if let Some(site) = site {
                        let to = &mut field[site * self.channels..(site + 1) * self.channels];
                        to.iter_mut().zip(patch).for_each(|(x, g)| *x += *g);
                    }
                }
            }
        }
    }
}

/// See [`Kernels::convolve`](super::Kernels::convolve).
pub(super) fn forward<T: Number>(
    patches: &Patches,
    x: FlexTensor,
    weight: &FlexTensor,
) -> FlexTensor {
    let ([rows, channels], [_, width]) = (dims(&x), dims(weight));
    let gather = Gather::new(patches, channels);
    let (x, mut out) = (
        Contiguous::new(x),
        zeros::<T>(rows / gather.inputs * gather.outputs * width),
    );
    let fields = gather.fields(width);
    let pieces = x
        .slice::<T>()
        .par_chunks(fields * gather.inputs * channels)
        .zip(out.par_chunks_mut(fields * gather.outputs * width));
    pieces.for_each(|(x, out)| {
        let product = Flex::float_matmul(gather.patches(x), weight.clone());
        out.copy_from_slice(Contiguous::new(product).slice());
    });
    tensor(out, [rows / gather.inputs * gather.outputs, width])
}

/// See [`Kernels::convolve_backward`](super::Kernels::convolve_backward).
pub(super) fn backward<T: Number>(
    patches: &Patches,
    x: FlexTensor,
    weight: &FlexTensor,
    grad: FlexTensor,
) -> (FlexTensor, FlexTensor) {
    let (shape @ [_, channels], [inner, width]) = (dims(&x), dims(weight));
    let gather = Gather::new(patches, channels);
    let (x, grad) = (Contiguous::new(x), Contiguous::new(grad));
    let mut grad_x = zeros::<T>(x.slice::<T>().len());
    let transposed = Flex::float_transpose(weight.clone());
    let fields = gather.fields(width);
    let pieces = x
        .slice::<T>()
        .par_chunks(fields * gather.inputs * channels)
        .zip(grad_x.par_chunks_mut(fields * gather.inputs * channels))
        .zip(
            grad.slice::<T>()
                .par_chunks(fields * gather.outputs * width),
        );
    let parts: Vec<FlexTensor> = pieces
        .map(|((x, grad_x), grad)| {
            let grad = tensor(grad.to_vec(), [grad.len() / width, width]);
            let product = Flex::float_matmul(grad.clone(), transposed.clone());
            gather.scatter(Contiguous::new(product).slice::<T>(), grad_x);
            Flex::float_matmul(Flex::float_transpose(gather.patches(x)), grad)
        })
        .collect();
    // In the order of the pieces, so that the sum does not depend on the threads.
    let mut grad_weight = zeros::<T>(inner * width);
    for part in parts {
        let part = Contiguous::new(part);
        grad_weight
            .iter_mut()
            .zip(part.slice::<T>())
            .for_each(|(sum, g)| *sum += *g);
    }
    (tensor(grad_x, shape), tensor(grad_weight, [inner, width]))
}
