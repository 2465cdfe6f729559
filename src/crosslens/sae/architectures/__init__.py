"""The trainable SAEs, by the names that a study's settings use."""

from crosslens.sae.architectures.base import Architecture
from crosslens.sae.architectures.batchtopk import BatchTopK
from crosslens.sae.architectures.gated import Gated
from crosslens.sae.architectures.jumprelu import JumpReLU
from crosslens.sae.architectures.matryoshka import Matryoshka
from crosslens.sae.architectures.relu import ReLU
from crosslens.sae.architectures.topk import TopK

BY_NAME: dict[str, type[Architecture]] = {
    "topk": TopK,
    "batchtopk": BatchTopK,
    "relu": ReLU,
    "jumprelu": JumpReLU,
    "gated": Gated,
    "matryoshka": Matryoshka,
}
