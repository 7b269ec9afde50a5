"""Batch norms of a frozen network folded into the convolutions before them: a layer less to run and to remember."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval


def fold_batch_norms(network: nn.Module, run: Callable[[], Any]) -> None:
    """Fold every batch norm whose input is just what a convolution gave, in the same block or below it.

    In the networks of open_clip, timm and torchvision nobody else takes the output of such a convolution. A block that
    begins with a norm is another matter: what the layer before gave goes round it as well.

    Args:
        network: frozen, in eval mode.
        run: runs the network once, to show what each layer takes.
    """
    names = {module: name for name, module in network.named_modules()}
    made: list[tuple[Tensor, nn.Conv2d]] = []
    pairs: list[tuple[nn.Conv2d, nn.BatchNorm2d]] = []

    def watch(layer: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> None:
        if isinstance(layer, nn.BatchNorm2d):
            pairs.extend((convolution, layer) for tensor, convolution in made if tensor is inputs[0])
        elif isinstance(layer, nn.Conv2d):
            made.append((output, layer))

    layers = [module for module in names if type(module) in (nn.Conv2d, nn.BatchNorm2d)]
    hooks = [layer.register_forward_hook(watch) for layer in layers]
    with torch.no_grad():
        run()
    for hook in hooks:
        hook.remove()
    for convolution, norm in pairs:
        block = names[norm][: names[norm].rfind(".") + 1]
        if names[convolution].startswith(block):
            folded = fuse_conv_bn_eval(convolution, norm).requires_grad_(False)
            network.set_submodule(names[convolution], folded)
            network.set_submodule(names[norm], nn.Identity())
