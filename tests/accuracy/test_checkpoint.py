"""Which checkpoint the law is asked about."""

import pytest

from hao.accuracy.checkpoint import (
    checkpoint_of,
    checkpoint_top1,
    classifies_imagenet,
    measured_family,
)
from hao.accuracy.published import published_networks
from hao.zoo import entry, network_names


def test_every_family_of_the_zoo_is_one_that_was_measured_or_small() -> None:
    families = {measured_family(entry(name).family) for name in network_names()}
    assert families == {
        *("efficientnet", "mobilenet", "repvgg", "resnet", "small", "vgg")
    }


def test_a_checkpoint_is_the_same_at_every_image_size() -> None:
    small = published_networks()["resnet50", 176]
    assert small.best.recipe == "tv2_in1k"
    # torchvision's second weights, 80.846 % at 224 x 224.
    assert checkpoint_top1("resnet50", 176, small.top1) == 80.846
    assert checkpoint_top1("resnet50", 176, 70.0) == 70.0
    assert checkpoint_top1("somebody's", 176, None) is None


@pytest.mark.parametrize(("network", "family"), [("vgg16", "vgg"), ("somebody's", "")])
def test_a_network_outside_the_zoo_has_no_family(network: str, family: str) -> None:
    found = checkpoint_of(
        network, 224, depthwise=False, top1=70.0, plain={"vgg16": 71.0}
    )
    assert found.family == family
    assert found.plain_top1 == {"vgg16": 71.0}.get(network)


def test_only_networks_for_imagenet_are_within_what_was_measured() -> None:
    assert classifies_imagenet("resnet18")
    assert classifies_imagenet("somebody's")
    assert not classifies_imagenet("resnet20_cifar")
