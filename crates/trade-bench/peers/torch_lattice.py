"""The published lattice flow in PyTorch: 8×8 fields conditioned on the hopping parameter κ.

A scale and shift of the field, 2×2 blocks as channels, three spline couplings with convolutional
networks, three with dense ones, on an embedded κ. The splines are those of `torch_flow`.
"""

import math

import torch
from torch import nn

from torch_flow import spline


def perceptron(widths):
    """Linear layers with SiLU between them; the last starts at zero."""
    layers = []
    for inputs, outputs in zip(widths, widths[1:]):
        layers += [nn.Linear(inputs, outputs), nn.SiLU()]
    return zero_last(nn.Sequential(*layers[:-1]))


def convolutional(channels, outputs):
    """3×3, 3×3, 1×1, 1×1, 1×1 with SiLU and zero padding; the last starts at zero."""
    widths = [(channels, 64, 3), (64, 64, 3), (64, 32, 1), (32, 32, 1), (32, outputs, 1)]
    layers = []
    for inputs, outputs, kernel in widths:
        layers += [nn.Conv2d(inputs, outputs, kernel, padding=kernel // 2), nn.SiLU()]
    return zero_last(nn.Sequential(*layers[:-1]))


def zero_last(net):
    nn.init.zeros_(net[-1].weight)
    nn.init.zeros_(net[-1].bias)
    return net


class ActNorm(nn.Module):
    """Scale and shift an entry, or a channel of `[n, channels, …]`."""

    def __init__(self, width, sites):
        super().__init__()
        self.sites = sites
        shape = (1, width) if sites == 1 else (1, width, 1, 1)
        self.log_scale = nn.Parameter(torch.zeros(shape))
        self.shift = nn.Parameter(torch.zeros(shape))

    def log_det(self):
        return self.sites * self.log_scale.sum()

    def forward(self, x):
        return x * self.log_scale.exp() + self.shift

    def inverse(self, z):
        return (z - self.shift) * (-self.log_scale).exp()


class Coupling(nn.Module):
    """ActNorm, a two-sided spline coupling of the first dimension after the batch, a permutation."""

    def __init__(self, width, bins, sites, net):
        super().__init__()
        self.bins, self.half = bins, width // 2
        parameters = 3 * bins + 1
        self.norm = ActNorm(width, sites)
        self.first = net(width - self.half + 1, self.half * parameters)
        self.second = net(self.half + 1, (width - self.half) * parameters)
        order = torch.randperm(width)
        self.register_buffer("order", order)
        self.register_buffer("inverse_order", order.argsort())

    def move(self, net, moved, given, e, inverse):
        """Transforms `moved` given the rest."""
        if moved.dim() == 2:
            return spline(moved, net(torch.cat((given, e), 1)), self.bins, inverse)
        n, channels, side, _ = moved.shape
        plane = e[:, :, None, None].expand(n, 1, side, side)
        raw = net(torch.cat((given, plane), 1))
        # The parameters of a channel follow each other; splines want them last.
        raw = raw.unflatten(1, (channels, -1)).movedim(2, -1).reshape(n, -1)
        moved, log_det = spline(moved.flatten(1), raw, self.bins, inverse)
        return moved.view(n, channels, side, side), log_det

    def forward(self, x, e):
        x = self.norm(x)
        u, v = x[:, : self.half], x[:, self.half :]
        u, log_det_u = self.move(self.first, u, v, e, False)
        v, log_det_v = self.move(self.second, v, u, e, False)
        log_det = log_det_u + log_det_v + self.norm.log_det()
        return torch.cat((u, v), 1)[:, self.order], log_det

    def inverse(self, z, e):
        z = z[:, self.inverse_order]
        u, v = z[:, : self.half], z[:, self.half :]
        v, log_det_v = self.move(self.second, v, u, e, True)
        u, log_det_u = self.move(self.first, u, v, e, True)
        log_det = log_det_u + log_det_v - self.norm.log_det()
        return self.norm.inverse(torch.cat((u, v), 1)), log_det


class LatticeFlow(nn.Module):
    """`p(φ|κ)` of fields `[n, side²]`, with base `N(0, I)`."""

    def __init__(self, settings):
        super().__init__()
        self.side = round(math.sqrt(settings.dim))
        self.dim = settings.dim
        half, bins = self.side // 2, settings.bins
        self.embedding = perceptron([1, 32, 32, 32, 1])
        self.scale = perceptron([1, 64, 64, 64, settings.dim])
        self.shift = perceptron([1, 64, 64, 64, settings.dim])
        dense = lambda inputs, outputs: perceptron([inputs, 128, 128, 128, 128, outputs])
        self.couplings = nn.ModuleList(
            [Coupling(4, bins, half * half, convolutional) for _ in range(3)]
            + [Coupling(settings.dim, bins, 1, dense) for _ in range(3)]
        )

    def embed(self, kappa):
        log = kappa.log()
        return log + self.embedding(log)

    def field_maps(self, e):
        return 5.0 * torch.tanh(self.scale(e)), self.shift(e)

    def blocks(self, x):
        """2×2 blocks of sites as channels: `[n, side²]` → `[n, 4, side/2, side/2]`."""
        half = self.side // 2
        x = x.view(-1, half, 2, half, 2).permute(0, 2, 4, 1, 3)
        return x.reshape(-1, 4, half, half)

    def unblocks(self, x):
        half = self.side // 2
        x = x.reshape(-1, 2, 2, half, half).permute(0, 3, 1, 4, 2)
        return x.reshape(-1, self.dim)

    def forward(self, x, kappa):
        """`log p(φ|κ)`, `[n]`, at hopping parameters `[n, 1]`."""
        e = self.embed(kappa)
        log_scale, shift = self.field_maps(e)
        total = log_scale.sum(1)
        x = self.blocks(x * log_scale.exp() + shift)
        for i, coupling in enumerate(self.couplings):
            x, log_det = coupling(x if i < 3 else x.flatten(1), e)
            total = total + log_det
        return total - 0.5 * (x.square() + math.log(2.0 * math.pi)).sum(1)

    def sample(self, kappa):
        """Fields and their `log p` from the same pass."""
        x, e = torch.randn(len(kappa), self.dim, dtype=kappa.dtype), self.embed(kappa)
        log_prob = -0.5 * (x.square() + math.log(2.0 * math.pi)).sum(1)
        for i, coupling in reversed(list(enumerate(self.couplings))):
            x = x.view(-1, 4, self.side // 2, self.side // 2) if i < 3 else x.flatten(1)
            x, log_det = coupling.inverse(x, e)
            log_prob = log_prob - log_det
        log_scale, shift = self.field_maps(e)
        x = (self.unblocks(x) - shift) * (-log_scale).exp()
        return x, log_prob + log_scale.sum(1)

    def derivative(self, x, kappa):
        """`∂_κ log p(φ|κ)`, `[n]`, by reverse mode through reverse mode."""
        kappa = kappa.detach().requires_grad_()
        log_prob = self(x, kappa).sum()
        return torch.autograd.grad(log_prob, kappa, create_graph=True)[0].squeeze(1)


def action_parts(x, side):
    """Sums over sites of `φ²`, `φ⁴` and `φ_x (φ_{x+0̂} + φ_{x+1̂})`, each `[n]`."""
    field = x.view(-1, side, side)
    neighbours = field.roll(-1, 1) + field.roll(-1, 2)
    sum_sites = lambda values: values.sum((1, 2))
    square = field.square()
    return sum_sites(square), sum_sites(square.square()), sum_sites(field * neighbours)


def moved(x, side):
    """Fields under a random sign, shift and reflection, one element for all."""
    field = x.view(-1, side, side)
    # The host decides, without waiting for a card.
    shift = torch.randint(0, side, (2,), device="cpu").tolist()
    field = field.roll(shift, (1, 2)) * (2.0 * torch.randint(0, 2, (len(x), 1, 1)) - 1.0)
    if torch.rand((), device="cpu") < 0.5:
        field = field.flip(1)
    return field.reshape(len(x), -1)
