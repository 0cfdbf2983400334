"""Several processes that train one model together, each on its part of every batch.

On a CPU with few cores, processes of one thread each lose less than one process of several threads: most of what a
small model computes is too small to be divided.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import torch
from torch import distributed, nn


def together(count: int, work: Callable[..., None], *arguments: Any) -> None:
    """Run `work(*arguments)` in `count` processes that can average gradients; in this one if there is but one.

    Raises
    ------
    RuntimeError
        If one of them fails; the others are ended, and the message is that of the first.
    """
    if count == 1:
        work(*arguments)
        return
    with tempfile.TemporaryDirectory() as folder:
        # A file to meet at, not a port: nothing listens.
        meeting = (Path(folder) / "meeting").as_uri()
        try:
            torch.multiprocessing.spawn(_member, (count, meeting, work, arguments), count)
        except torch.multiprocessing.ProcessRaisedException as error:
            raise RuntimeError(str(error).strip().splitlines()[-1]) from error


def _member(rank: int, count: int, meeting: str, work: Callable[..., None], arguments: tuple[Any, ...]) -> None:
    torch.set_num_threads(max(1, torch.get_num_threads() // count))
    distributed.init_process_group("gloo", init_method=meeting, rank=rank, world_size=count)
    try:
        work(*arguments)
    finally:
        distributed.destroy_process_group()


def place() -> tuple[int, int]:
    """Return the number of this process and how many there are: 0 and 1 where it trains alone."""
    return (distributed.get_rank(), distributed.get_world_size()) if distributed.is_initialized() else (0, 1)


def average_gradients(parameters: Iterable[nn.Parameter]) -> None:
    """Give all processes the mean of their gradients; one that a process has no gradient for counts as zero there."""
    _, count = place()
    if count == 1:
        return
    wanted = list(parameters)
    used = torch.tensor([parameter.grad is not None for parameter in wanted], dtype=torch.int32)
    distributed.all_reduce(used)
    learning = [parameter for parameter, any_gradient in zip(wanted, used.tolist(), strict=True) if any_gradient]
    for parameter in learning:
        if parameter.grad is None:
            parameter.grad = torch.zeros_like(parameter)
    gradients = [parameter.grad for parameter in learning if parameter.grad is not None]
    whole = nn.utils.parameters_to_vector(gradients)
    distributed.all_reduce(whole)
    nn.utils.vector_to_parameters(whole / count, gradients)
