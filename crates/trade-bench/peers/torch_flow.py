"""The flow of the paper's wells in PyTorch: two-sided spline couplings conditioned on a temperature.

`spline` is written out here. It was the fastest of four, by a little, against those of FrEIA's
repository (the same spline; the release on PyPI has none), of zuko and of normflows.

The `*_tangent` functions carry value and tangent forward, for `compile_splines` alone: what
`torch.compile` returns cannot be differentiated twice.
"""

import math

import torch
from torch import nn
from torch.nn import functional as F


def spline(x, raw, bins, inverse):
    """The rational-quadratic spline with a learned domain and linear tails.

    `x`: `[n, d]`; `raw`: `[n, d (3 bins + 1)]` network output, zero for the identity. Returns the
    transformed `[n, d]` and `log |dy/dx|` summed over entries, `[n]`; both of the inverse map if
    `inverse`.
    """
    n, d = x.shape
    k = bins
    raw = raw.view(n, d, 3 * k + 1)
    # Both axes at once: knots[..., 0, :] are positions, knots[..., 1, :] values.
    offset = math.log(math.expm1(6.0 / k - 0.1))
    steps = 0.1 + F.softplus(raw[..., : 2 * k].unflatten(-1, (2, k)) + offset)
    corner = raw[..., 2 * k : 2 * k + 2].flip(-1).unsqueeze(-1) - 3.0
    knots = torch.cat((corner, steps), -1).cumsum(-1)
    extent = knots[..., -1] - knots[..., 0]
    end = extent[..., 1:] / extent[..., :1]
    slopes = torch.cat((end, F.softplus(raw[..., 2 * k + 2 :] + math.log(math.e - 1)), end), -1)

    along = knots[..., 1 if inverse else 0, :].detach()
    reached = (x.detach().unsqueeze(-1) > along).sum(-1, keepdim=True) - 1
    low = reached.clamp(0, k - 1)
    inside = (reached == low).squeeze(-1)
    bounds = torch.cat((low, low + 1), -1)
    # One gather for all six numbers of a bin.
    table = torch.cat((knots.flatten(2), slopes), -1)
    index = torch.cat((bounds, bounds + (k + 1), bounds + 2 * (k + 1)), -1)
    x0, x1, y0, y1, d0, d1 = table.gather(-1, index).unbind(-1)
    w, h = x1 - x0, y1 - y0
    s = h / w
    e = d0 + d1 - 2.0 * s

    # Outside the knots the formulas see a harmless point, so that no NaN reaches a gradient.
    end = end.squeeze(-1)
    left, bottom = knots[..., 0, 0], knots[..., 1, 0]
    if inverse:
        up = torch.where(inside, x - y0, 0.5 * h)
        b = h * d0 - up * e
        a = h * s - b
        c = -s * up
        xi = 2.0 * c / (-b - (b.square() - 4.0 * a * c).clamp(min=0.0).sqrt())
        out = torch.where(inside, x0 + w * xi, left + (x - bottom) / end)
    else:
        xi = torch.where(inside, (x - x0) / w, 0.5)
    rest = 1.0 - xi
    middle = xi * rest
    ratio = s / (s + e * middle)
    slope = ratio.square() * (d1 * xi.square() + 2.0 * s * middle + d0 * rest.square())
    if not inverse:
        # h / (s + e ξ(1−ξ)) = w ratio
        inner = y0 + w * ratio * xi * (s * xi + d0 * rest)
        out = torch.where(inside, inner, bottom + end * (x - left))
    log_det = torch.where(inside, slope, end).log().sum(1)
    return out, -log_det if inverse else log_det


def spline_tangent(x, dx, raw, draw, bins):
    """`spline` forward on values and tangents: `((y, log_det), (dy, dlog_det))`."""
    return torch.func.jvp(lambda x, raw: spline(x, raw, bins, False), (x, raw), (dx, draw))


def silu_tangent(x, dx):
    """SiLU of a value and its tangent."""
    gate = torch.sigmoid(x)
    return x * gate, dx * gate * (1.0 + x * (1.0 - gate))


def conditioner(inputs, hidden, outputs):
    """`in → H → H → out` with SiLU, last bias zero."""
    last = nn.Linear(hidden, outputs)
    nn.init.zeros_(last.bias)
    return nn.Sequential(
        nn.Linear(inputs, hidden), nn.SiLU(), nn.Linear(hidden, hidden), nn.SiLU(), last
    )  # fmt: skip


def conditioner_tangent(net, x, dx):
    """A conditioner applied to a value and its tangent."""
    for layer in net:
        if isinstance(layer, nn.Linear):
            x, dx = layer(x), F.linear(dx, layer.weight)
        else:
            x, dx = silu_tangent(x, dx)
    return x, dx


class Coupling(nn.Module):
    """A two-sided spline coupling, then a fixed permutation."""

    def __init__(self, settings):
        super().__init__()
        self.bins = settings.bins
        self.split = [round(settings.dim / 2), settings.dim - round(settings.dim / 2)]
        first, second = self.split
        width = 3 * settings.bins + 1
        self.first = conditioner(second + 1, settings.hidden, first * width)
        self.second = conditioner(first + 1, settings.hidden, second * width)
        order = torch.randperm(settings.dim)
        self.register_buffer("order", order)
        self.register_buffer("inverse_order", order.argsort())

    def forward(self, x, c):
        u, v = x.split(self.split, 1)
        u, log_det_u = spline(u, self.first(torch.cat((v, c), 1)), self.bins, False)
        v, log_det_v = spline(v, self.second(torch.cat((u, c), 1)), self.bins, False)
        return torch.cat((u, v), 1)[:, self.order], log_det_u + log_det_v

    def inverse(self, z, c):
        u, v = z[:, self.inverse_order].split(self.split, 1)
        v, log_det_v = spline(v, self.second(torch.cat((u, c), 1)), self.bins, True)
        u, log_det_u = spline(u, self.first(torch.cat((v, c), 1)), self.bins, True)
        return torch.cat((u, v), 1), log_det_u + log_det_v

    def forward_tangent(self, x, dx, c, dc):
        (u, v), (du, dv) = x.split(self.split, 1), dx.split(self.split, 1)
        raw = conditioner_tangent(self.first, torch.cat((v, c), 1), torch.cat((dv, dc), 1))
        (u, _), (du, dlog_det_u) = spline_tangent(u, du, *raw, self.bins)
        raw = conditioner_tangent(self.second, torch.cat((u, c), 1), torch.cat((du, dc), 1))
        (v, _), (dv, dlog_det_v) = spline_tangent(v, dv, *raw, self.bins)
        z, dz = torch.cat((u, v), 1)[:, self.order], torch.cat((du, dv), 1)[:, self.order]
        return z, dz, dlog_det_u + dlog_det_v


class Flow(nn.Module):
    """`p(x|T)`: couplings on `log T`, one affine layer on `T`, base `N(0, T·I)`."""

    def __init__(self, settings):
        super().__init__()
        self.dim = settings.dim
        self.couplings = nn.ModuleList(Coupling(settings) for _ in range(settings.blocks))
        self.affine = conditioner(1, settings.hidden, 2 * settings.dim)

    def affine_maps(self, t):
        scale, shift = self.affine(t).chunk(2, 1)
        return 2.0 * 0.636 * torch.atan(scale), shift

    def base_log_prob(self, z, t):
        return -0.5 * (z.square() / t + (2.0 * math.pi * t).log()).sum(1)

    def latent_log_prob(self, z, t):
        """The log density after the couplings: affine layer and base."""
        log_scale, shift = self.affine_maps(t)
        return self.base_log_prob(z * log_scale.exp() + shift, t) + log_scale.sum(1)

    def forward(self, x, t):
        """`log p(x|T)`, `[n]`, of states `[n, dim]` at temperatures `[n, 1]`."""
        c = t.log()
        total = 0.0
        for coupling in self.couplings:
            x, log_det = coupling(x, c)
            total = total + log_det
        return self.latent_log_prob(x, t) + total

    def sample(self, t):
        """States at temperatures `[n, 1]` and their `log p` from the same pass."""
        z = torch.randn(len(t), self.dim, dtype=t.dtype) * t.sqrt()
        log_scale, shift = self.affine_maps(t)
        log_prob = self.base_log_prob(z, t) + log_scale.sum(1)
        x, c = (z - shift) * (-log_scale).exp(), t.log()
        for coupling in reversed(self.couplings):
            x, log_det = coupling.inverse(x, c)
            log_prob = log_prob - log_det
        return x, log_prob

    def derivative(self, x, t):
        """`∂_T log p(x|T)`, `[n]`, by reverse mode through reverse mode."""
        t = t.detach().requires_grad_()
        return torch.autograd.grad(self(x, t).sum(), t, create_graph=True)[0].squeeze(1)

    def derivative_tangent(self, x, t):
        """The same with the tangent carried forward, for `--compile`."""
        c, dc, dx = t.log(), 1.0 / t, torch.zeros_like(x)
        total = 0.0
        for coupling in self.couplings:
            x, dx, dlog_det = coupling.forward_tangent(x, dx, c, dc)
            total = total + dlog_det
        one = torch.ones_like(t)
        return torch.func.jvp(self.latent_log_prob, (x, t), (dx, one))[1] + total


def compile_splines():
    """Hands the element-wise parts to `torch.compile`, from here on and for every flow."""
    for name in ["spline", "spline_tangent", "silu_tangent"]:
        globals()[name] = torch.compile(globals()[name], dynamic=False)
    Flow.derivative = Flow.derivative_tangent
