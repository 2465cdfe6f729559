"""What all trainable SAEs share: parameters, the candidates for firing, AuxK, and the constraint on the decoder."""

from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from crosslens.sae.model import SAE
from crosslens.sae.settings import Settings
from crosslens.sae.sparse import Places, combine, pick_rows, row_products, sample

SPARE = 16
"""Candidates beyond k that a bfloat16 product proposes, so that the k largest float32 values are among them."""
MARGIN = 0.05
"""How far below its bound a bfloat16 pre-activation may lie for its place to be computed in float32. Normalised
activations have E‖x‖² = d and encoder rows norms about 1, so pre-activations are about 1; on Gaussian data their
errors have a standard deviation of .003, and .02 was the largest of five million."""


BESIDE = 32
"""Columns of a bfloat16 product for the bias: rows begin where a cache's lines do, and are whole tiles of AMX."""


class Loss(NamedTuple):
    """One batch's loss and what it is made of."""

    total: Tensor
    """() to descend."""
    fvu: Tensor
    """() Σ‖y − ŷ‖² / Σ‖y − ȳ‖², ȳ the mean of the batch."""
    aux: Tensor
    """() AuxK: Σ‖e − ê‖² / Σ‖e‖²; 0 where no feature is dead."""
    penalty: Tensor
    """() what the architecture adds, weighted: a sparsity penalty, the gate's own loss; 0 where k decides."""
    l0: Tensor
    """() active features a token."""
    fired: Tensor
    """(n) int64: the features that were active, in any order, repeats possible."""


class Normalisation(NamedTuple):
    """(x − centre) · scale, by which activations come to E‖x‖² = d."""

    centre: Tensor
    scale: float

    def __call__(self, x: Tensor) -> Tensor:
        return (x - self.centre).mul_(self.scale)


def energy(x: Tensor) -> Tensor:
    """() Σ x². Its gradient takes one pass over x, and is 0 at x = 0."""
    return _Energy.apply(x)


class _Energy(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x):
        ctx.save_for_backward(x)
        return torch.linalg.vector_norm(x).square()

    @staticmethod
    def backward(ctx, g):
        (x,) = ctx.saved_tensors
        return x * (2 * g)


class Architecture(nn.Module):
    """A trainable SAE of normalised activations x (B, d_in), whose target y is x, or what a transcoder has to write.

    `encoder_rows` is (F, d_in), a row a feature. Decoder rows have unit norm. `tied`: they are the encoder's too. `fast`:
    places that may fire are proposed by a bfloat16 product, and only these are computed, in float32.
    """

    def __init__(self, config: Settings, d_in: int, d_out: int, *, seed: int, fast: bool = False):
        super().__init__()
        self.config, self.d_in, self.d_out, self.d_sae, self.fast = config, d_in, d_out, config.d_sae, fast
        self.transcoder = config.transcoder
        self._held: dict[str, Tensor] = {}
        self.W_dec = nn.Parameter(_unit_rows(self.d_sae, d_out, seed))
        if not config.tied:
            self.encoder_rows = nn.Parameter(self._encoder_init(seed))
        self.b_enc = nn.Parameter(torch.zeros(self.d_sae))
        self.b_dec = nn.Parameter(torch.zeros(d_out))

    def _encoder_init(self, seed: int) -> Tensor:
        if not self.transcoder:
            return self.W_dec.detach().clone()
        # what a transcoder writes says nothing of the directions that it reads
        return _unit_rows(self.d_sae, self.d_in, seed ^ 1)

    @property
    def products(self) -> str:
        """How pre-activations are computed."""
        return "bfloat16 candidates, float32 values" if self.fast else "float32 products"

    @property
    def encoder(self) -> Tensor:
        """(F, d_in) the encoder's rows."""
        return self.W_dec if self.config.tied else self.encoder_rows

    def loss(self, x: Tensor, y: Tensor, dead: Tensor, progress: float) -> Loss:
        """The loss on x (B, d_in) and y (B, d_out) float32; dead (F) bool; progress: the share of the steps done."""
        raise NotImplementedError

    def exported(self, reads: Normalisation, writes: Normalisation) -> SAE:
        """The SAE for raw activations, with both normalisations folded in."""
        raise NotImplementedError

    @property
    def origin(self) -> Tensor | None:
        """(d_in) what x is less where it is read: b_dec, but for a transcoder."""
        return None if self.transcoder else self.b_dec

    def centred(self, x: Tensor) -> Tensor:
        """x as the encoder reads it, less `origin`, which gets its gradient where x is multiplied."""
        return x if self.origin is None else x - self.origin.detach()

    @torch.no_grad()
    def proposals(self, x: Tensor) -> Tensor:
        """(B, F) pre-activations of centred x: bfloat16 where `fast`, else float32; overwritten by the next call."""
        if not self.fast:
            proposals = self._scratch("proposals", len(x), self.d_sae, torch.float32)
            return torch.addmm(self.b_enc, x, self.encoder.T, out=proposals)
        # the bias is one more column of the product: to add to what lies there is a pass over it
        W = self._scratch("W_low", self.d_sae, self.d_in + BESIDE, torch.bfloat16)
        W[:, : self.d_in], W[:, self.d_in] = self.encoder, self.b_enc
        read = self._scratch("x_low", len(x), self.d_in + BESIDE, torch.bfloat16)
        read[:, : self.d_in], read[:, self.d_in] = x, 1
        return torch.mm(read, W.T, out=self._scratch("proposals", len(x), self.d_sae, torch.bfloat16))

    def _scratch(self, name: str, rows: int, width: int, dtype: torch.dtype) -> Tensor:
        """A large tensor that every step fills anew, and is made once: of zeros, which columns that none fills stay."""
        held = self._held.get(name)
        if held is None or (held.shape, held.dtype) != ((rows, width), dtype):
            held = self._held[name] = torch.zeros(rows, width, dtype=dtype, device=self.W_dec.device)
        return held

    @torch.no_grad()
    def exact(self, x: Tensor, places: Places, proposals: Tensor) -> Tensor:
        """(nnz) the float32 pre-activations of centred x at the places."""
        if not self.fast:
            return proposals.view(-1)[places.row * places.width + places.col]
        return sample(x, self.encoder, places) + self.b_enc[places.col]

    def pre_activations(self, x: Tensor, places: Places, known: Tensor | None = None) -> Tensor:
        """(nnz) as `exact`, differentiable; known: their values, where computed already."""
        bias = self.b_enc[places.col]
        known = None if known is None else known - bias.detach()
        return self.read(x, places, known) + bias

    def read(self, x: Tensor, places: Places, known: Tensor | None = None) -> Tensor:
        """(nnz) the products of centred x and the encoder's rows at the places, differentiable; known: their values."""
        return sample(x, self.encoder, places, known, origin=self.origin)

    def above(self, x: Tensor, bound: Tensor | float, reach: float = 0.0) -> Places:
        """The places of centred x whose pre-activation may be above `bound`, () or (F), less `reach`."""
        reach = reach + (MARGIN if self.fast else 0.0)
        return Places.where(self.proposals(x) > bound - reach)

    def decode(self, values: Tensor, places: Places) -> Tensor:
        """(B, d_out) what the values (nnz) at the places write."""
        return combine(values, self.W_dec, places) + self.b_dec

    def aux_loss(self, x: Tensor, error: Tensor, dead: Tensor) -> Tensor:
        """AuxK (Gao et al. 2024): the `aux_k` strongest dead features of each token undo the error ŷ − y (B, d_out).

        x is centred. The error is detached, b_dec is left out of what is written; the gradient reaches W_dec and the
        encoder. Where `fast`, the products are bfloat16: what they train are features that the code does not use.
        """
        features, aux_k = dead.nonzero().squeeze(1), self.config.aux_k
        if not (len(features) and aux_k):
            return error.new_zeros(())
        low, error = torch.bfloat16 if self.fast else torch.float32, error.detach()
        reads, writes = pick_rows(self.encoder, features), pick_rows(self.W_dec, features)
        bias = self.b_enc[features]
        if not self.transcoder:
            # the gradient of b_dec, which x is less, by way of the bias: a sum over tokens before the product
            bias = bias - reads @ (self.b_dec - self.b_dec.detach())
        z = torch.addmm(bias.to(low), x.detach().to(low), reads.to(low).T)
        if len(features) > aux_k:
            values, indices = z.topk(aux_k, dim=-1, sorted=False)
            z = torch.zeros_like(z).scatter(-1, indices, values)
        missed = energy(z.relu() @ writes.to(low) + error)
        total = energy(error)
        # an exact reconstruction leaves nothing to model: 0, and 0 as the gradient, where a quotient would give NaN
        return missed / total.where(total > 0, torch.inf)

    def summed(
        self,
        x: Tensor,
        y: Tensor,
        dead: Tensor,
        values: Tensor,
        places: Places,
        *,
        y_hat: Tensor | None = None,
        reconstruction: Tensor | None = None,
        penalty: Tensor | None = None,
    ) -> Loss:
        """The loss of a code: values (nnz) at places of centred x.

        y_hat: the code decoded, where that was done already. reconstruction: what is descended in place of the FVU.
        """
        # this way round its gradient is that of what is written
        error = (self.decode(values, places) if y_hat is None else y_hat) - y
        fvu = energy(error) / energy(y - y.mean(0))
        aux = self.aux_loss(x, error, dead)
        penalty = fvu.new_zeros(()) if penalty is None else penalty
        active = places.col[values > 0]
        total = (fvu if reconstruction is None else reconstruction) + penalty + self.config.aux_alpha * aux
        return Loss(total, fvu, aux, penalty, fvu.new_tensor(len(active) / len(x)), active)

    @torch.no_grad()
    def project_gradient(self) -> None:
        """Take from the decoder's gradient what would only change the rows' norms."""
        along = row_products(self.W_dec.grad, self.W_dec)
        self.W_dec.grad.addcmul_(along[:, None], self.W_dec, value=-1)

    @torch.no_grad()
    def constrain(self) -> None:
        """Bring decoder rows back to unit norm."""
        F.normalize(self.W_dec, dim=1, out=self.W_dec.data)

    @torch.no_grad()
    def fold(self, raw: SAE, reads: Normalisation, writes: Normalisation) -> SAE:
        """Fill `raw` so that z and x̂ have the units of raw activations: z is divided by the scale of what is written."""
        raw.to(self.W_dec.device)
        unit = reads.scale / writes.scale
        raw.W_enc.copy_(self.encoder.T * unit)
        raw.W_dec.copy_(self.W_dec)
        raw.b_enc.copy_(self.b_enc / writes.scale)
        raw.b_dec.copy_(writes.centre + self.b_dec / writes.scale)
        if self.transcoder:
            raw.b_enc.sub_((reads.centre.double() @ raw.W_enc.double()).float())
        return raw

    def raw_options(self) -> dict:
        """Sizes and options of the exported SAE."""
        return {
            "d_in": self.d_in,
            "d_sae": self.d_sae,
            "d_out": self.d_out,
            "apply_b_dec_to_input": not self.transcoder,
        }


def _unit_rows(rows: int, width: int, seed: int) -> Tensor:
    W = torch.randn(rows, width, generator=torch.Generator().manual_seed(seed))
    return W.div_(W.norm(dim=1, keepdim=True))
