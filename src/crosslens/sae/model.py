"""A trained sparse autoencoder, whoever trained it: what encoding, quality and interventions use."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

NORMALISATIONS = ("none", "layer_norm", "constant_norm_rescale", "channel_mean")
"""What is done to a token before it is read: the first three are SAELens'. `channel_mean` is of an SAE that learned what
TransformerLens with `center_writing_weights` computes, residuals less their mean over channels."""


class SAE(nn.Module):
    """z = f((x − b_dec) W_enc + b_enc), x̂ = z W_dec + b_dec, in float32 and frozen; it takes raw activations.

    Subclasses say what f is. A transcoder writes to another site than it reads (d_out may differ, b_dec is not
    subtracted from its input) and may add x W_skip. With `normalize` every token is brought to a common norm or mean first and
    the reconstruction is taken back: z then has the units of the normalised token.
    """

    architecture: str
    """What SAELens calls f: standard, topk or jumprelu."""

    def __init__(
        self,
        d_in: int,
        d_sae: int,
        d_out: int | None = None,
        *,
        apply_b_dec_to_input: bool = True,
        normalize: str = "none",
        skip: bool = False,
    ):
        super().__init__()
        self.d_in, self.d_sae, self.d_out = d_in, d_sae, d_in if d_out is None else d_out
        self.apply_b_dec_to_input, self.normalize = apply_b_dec_to_input, normalize
        self.W_enc = _frozen(d_in, d_sae)
        self.W_dec = _frozen(d_sae, self.d_out)
        self.b_enc = _frozen(d_sae)
        self.b_dec = _frozen(self.d_out)
        self.W_skip = _frozen(d_in, self.d_out) if skip else None

    def activate(self, pre: Tensor) -> Tensor:
        """f: pre-activations (B, F) to z (B, F) ≥ 0."""
        raise NotImplementedError

    def pre_activations(self, x: Tensor) -> Tensor:
        """x (B, d_in) float32 to (B, F), before f."""
        x = self._normalised(x)[0]
        return torch.addmm(self.b_enc, x - self.b_dec if self.apply_b_dec_to_input else x, self.W_enc)

    def encode_dense(self, x: Tensor) -> Tensor:
        """x (B, d_in) float32 to z (B, F)."""
        return self.activate(self.pre_activations(x))

    def encode(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """x (B, d_in) float32 to values (B, m) ≥ 0, descending, and their feature indices (B, m) int64.

        m is that of the fullest token; a value is 0 where a token has fewer active features.
        """
        z = self.encode_dense(x)
        most = int((z > 0).sum(1).max()) if len(z) else 0
        return z.topk(max(1, most), dim=-1)

    def decode(self, values: Tensor, indices: Tensor, x: Tensor | None = None) -> Tensor:
        """values (B, m) and indices (B, m) of active features to x̂ (B, d_out); x is what was encoded.

        Only an SAE with `normalize` or W_skip needs x.
        """
        written = F.embedding_bag(indices, self.W_dec, per_sample_weights=values, mode="sum")
        x_hat = written + self.b_dec
        if self.W_skip is not None:
            x_hat = x_hat + self._given(x) @ self.W_skip
        if self.normalize != "none":
            _, scale, shift = self._normalised(self._given(x))
            x_hat = x_hat * scale + shift
        return x_hat

    def write(self, change: Tensor, features: Tensor, x: Tensor) -> Tensor:
        """(B, d_out) what changing the codes of `features` (K) int64 by `change` (B, K) does to x̂; x is what was encoded."""
        written = change @ self.W_dec[features]
        return written if self.normalize == "none" else written * self._normalised(x)[1]

    def felt(self, gradient: Tensor, x: Tensor) -> Tensor:
        """(B, F) the slope along each code of what has `gradient` (B, d_out) at x̂, the transpose of `write`; x is what was
        encoded."""
        scaled = gradient if self.normalize == "none" else gradient * self._normalised(x)[1]
        return scaled @ self.W_dec.T

    def forward(self, x: Tensor) -> Tensor:
        """x (B, d_in) to x̂ (B, d_out)."""
        return self.decode(*self.encode(x), x)

    @staticmethod
    def _given(x: Tensor | None) -> Tensor:
        if x is None:
            raise TypeError("this SAE's decoder needs x: it normalises every token, or has a skip connection")
        return x

    def _normalised(self, x: Tensor) -> tuple[Tensor, Tensor | float, Tensor | float]:
        """x as the encoder reads it, and the scale (B, 1) and shift (B, 1) that take its reconstruction back.

        As SAELens does: layer_norm is (x − mean) / (std + 1e-5) with ddof 1, taken back by std alone;
        constant_norm_rescale is x √d / ‖x‖. channel_mean is x − mean; the mean, which such a model has not, is kept.
        """
        if self.normalize == "channel_mean":
            shift = x.mean(-1, keepdim=True)
            return x - shift, 1.0, shift
        if self.normalize == "layer_norm":
            shift = x.mean(-1, keepdim=True)
            scale = (x - shift).std(-1, keepdim=True)
            return (x - shift) / (scale + 1e-5), scale, shift
        if self.normalize == "constant_norm_rescale":
            scale = x.norm(dim=-1, keepdim=True) / self.d_in**0.5
            return x / scale, scale, 0.0
        return x, 1.0, 0.0


class TopKSAE(SAE):
    """f keeps the k largest pre-activations of a token, where they are positive (Gao et al. 2024)."""

    architecture = "topk"

    def __init__(self, d_in: int, d_sae: int, k: int, d_out: int | None = None, **options):
        super().__init__(d_in, d_sae, d_out, **options)
        self.k = k

    def activate(self, pre: Tensor) -> Tensor:
        values, indices = pre.topk(self.k, dim=-1)
        return torch.zeros_like(pre).scatter(-1, indices, values.relu())

    def encode(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """As for every SAE, with m = k."""
        values, indices = self.pre_activations(x).topk(self.k, dim=-1)
        return values.relu(), indices


class ReLUSAE(SAE):
    """f = ReLU."""

    architecture = "standard"

    def activate(self, pre: Tensor) -> Tensor:
        return pre.relu()


class JumpReLUSAE(SAE):
    """f(pre) = ReLU(pre) where pre is above the feature's threshold, else 0 (Rajamanoharan et al. 2024)."""

    architecture = "jumprelu"

    def __init__(self, d_in: int, d_sae: int, d_out: int | None = None, **options):
        super().__init__(d_in, d_sae, d_out, **options)
        self.threshold = _frozen(d_sae)

    def activate(self, pre: Tensor) -> Tensor:
        return pre.relu() * (pre > self.threshold)


def _frozen(*shape: int) -> nn.Parameter:
    return nn.Parameter(torch.zeros(*shape), requires_grad=False)
