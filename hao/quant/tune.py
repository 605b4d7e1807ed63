"""More training of a network that was trained before, with a teacher beside it."""

from pathlib import Path

from hao.ir.network import Network
from hao.quant.dataset import Dataset
from hao.quant.distill import Teacher
from hao.quant.float_net import folded_network
from hao.quant.normed import normed_net
from hao.quant.train import (
    FLOAT_SETTINGS,
    Progress,
    TrainSettings,
    check_fit,
    ignore_progress,
    run_epochs,
)


def tune_float(
    network: Network,
    dataset: Dataset,
    settings: TrainSettings = FLOAT_SETTINGS,
    *,
    teacher: Teacher,
    checkpoint: Path | None = None,
    progress: Progress = ignore_progress,
) -> Network:
    """Return a trained network after more training, from the outputs of a teacher.

    Args:
        network: Its parameters are where training starts; batch norms are put back.
        dataset: Only its train and validation frames are used.
        settings: How to train.
        teacher: Whose outputs count beside the labels.
        checkpoint: Where to keep the state after every epoch, and to resume from.
        progress: Called after every epoch.

    Raises:
        InputError: Data and network do not fit, or the checkpoint is of another run.
        UnsupportedError: A layer cannot be trained.
    """
    check_fit(network, dataset)
    net = normed_net(network, dataset.train)
    run_epochs(
        net,
        dataset,
        settings,
        checkpoint=checkpoint,
        progress=progress,
        teacher=teacher,
    )
    return folded_network(net)
