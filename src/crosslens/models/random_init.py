"""A model that nobody has trained, with the sizes and the scale of one that was: what is found in it needs no training.

As in "Sparse autoencoders can interpret randomly initialized transformers" (arXiv 2501.17727), re-randomised excluding
embeddings: every parameter is drawn anew from a Gaussian with the mean and the standard deviation of its trained values.
"""

import torch
from torch import nn

from crosslens.errors import InputError

EMBEDDING = (nn.Embedding, nn.Conv2d)
"""What turns tokens and patches of a picture into vectors."""


def randomise(model: nn.Module, seed: int) -> None:
    """Draw the parameters of a transformers model anew, but those of its embeddings and its output head; in place.

    The draws follow from `seed` and the parameters' order, on every device. Raises InputError where weights are not in
    memory (a device map that keeps some on disk).
    """
    kept = {id(p) for module in model.modules() if isinstance(module, EMBEDDING) for p in module.parameters()}
    if (head := model.get_output_embeddings()) is not None:
        kept |= {id(p) for p in head.parameters()}
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if id(parameter) in kept:
                continue
            if parameter.is_meta:
                raise InputError(
                    "model.random_init",
                    found=f"{name} outside of memory",
                    expected="all weights in memory",
                    mend="leave model.device_map out, or use a machine with more memory",
                )
            trained = parameter.float()
            drawn = torch.randn(parameter.shape, generator=generator).to(parameter.device)
            parameter.copy_(trained.mean() + trained.std(correction=0) * drawn)
