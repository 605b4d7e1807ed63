"""A teacher whose outputs a network is trained to give: distillation.

    loss = (1 - share) * cross entropy + share * T^2 * KL(teacher / T, student / T)

T is the temperature, which makes outputs softer (Hinton, Vinyals and Dean,
arXiv:1503.02531, section 2). Frames without labels are learnt from the teacher alone.
"""

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from hao.ir.network import Network
from hao.quant.float_net import FloatNet
from hao.quant.modules import LayerwiseModule, choose_device, class_scores

TEACHER_SHARE = 0.7
TEMPERATURE = 2.0
"""The share and T of all training (chosen here); papers use 0.5 to 0.9, and 1 to 4."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Teacher:
    """A trained net that the loss follows.

    Attributes:
        net: Of the same inputs and outputs; in evaluation mode, where training runs.
        labels: Whether labels mean anything; without, the teacher is all that counts.
    """

    net: LayerwiseModule
    labels: bool = True

    def blended(self, loss: Tensor, outputs: Tensor, frames: Tensor) -> Tensor:
        """Return the loss by labels with the distance from the teacher's outputs.

        Args:
            loss: By labels alone.
            outputs: Scores of the student, shape (frames, classes).
            frames: What it was given.
        """
        with torch.no_grad():
            wanted = class_scores(self.net(frames)) / TEMPERATURE
        distance = nn.functional.kl_div(
            (outputs / TEMPERATURE).log_softmax(1),
            wanted.log_softmax(1),
            reduction="batchmean",
            log_target=True,
        )
        share = TEACHER_SHARE if self.labels else 1.0
        return (1 - share) * loss + share * TEMPERATURE**2 * distance


def teacher_of(network: Network, *, labels: bool = True) -> Teacher:
    """Return a network with float parameters as a teacher.

    Args:
        network: With parameters.
        labels: Whether labels of the frames mean anything.

    Raises:
        InputError: The network lacks parameters.
        UnsupportedError: It has a layer that cannot be trained.
    """
    net = FloatNet(network, batch_norm=False).eval().to(choose_device())
    net.requires_grad_(requires_grad=False)
    return Teacher(net=net, labels=labels)
