"""Class scores at the end of a network, which the host makes and hao leaves out."""

from dataclasses import dataclass

from hao.frontends.feature_map import FeatureMap
from hao.frontends.piece_types import NodeSite, check_no_padding


@dataclass(frozen=True, slots=True, kw_only=True)
class FinalScores:
    """What a final Softmax, Sigmoid, ArgMax or TopK makes of the network's output.

    Attributes:
        source: The output that they read.
        maker: What errors call the node.
        note: What was left out.
    """

    source: FeatureMap
    maker: str
    note: str

    def inside(self, reader: str) -> str:
        """Return what is wrong where a layer reads them, by what errors call it."""
        return (
            f"{reader}: follows {self.maker}; handled: that at the end of a network "
            "alone, where the host does it"
        )


def final_scores(site: NodeSite, x: FeatureMap) -> FinalScores:
    """Return the scores that are made of a map.

    Raises:
        UnsupportedError: The map is padded.
    """
    check_no_padding(site, x)
    note = (
        f"{site.label} at the end is left out: the network returns what it reads, with "
        "the same order of classes"
    )
    return FinalScores(source=x, maker=site.label, note=note)
