"""The teacher of these tests, trained once, with its operations."""

import pytest

from hao.distillation.distill import Distilled, DistillSettings, distill
from hao.distillation.pool import Place, places_of
from hao.ir.network import Network
from tests.distillation.instances import dataset, pool, teacher

SETTINGS = DistillSettings(epochs=6, batch=16, side_by_side=2)


@pytest.fixture(scope="session")
def trained() -> Network:
    return teacher()


@pytest.fixture(scope="session")
def places(trained: Network) -> tuple[Place, ...]:
    return places_of(trained, pool())


@pytest.fixture(scope="session")
def distilled(trained: Network, places: tuple[Place, ...]) -> Distilled:
    return distill(trained, places, dataset().train, SETTINGS)
