"""Groups of channels with a choice, as the frame of a network needs them.

The price of a run depends on how many channels it reads and makes. So a step depends on
the group of every map that it touches, and the site of a group spans all positions that
make, pass on or read its channels: a pair of neighbours is priced exactly.
"""

from collections.abc import Iterable, Mapping, Sequence

from hao.errors import InputError
from hao.ir.blocks import Block
from hao.ir.change import Change, Channels
from hao.ir.channels import ChannelGroup, channel_groups, narrowed_run
from hao.ir.network import Network
from hao.ir.partition import Invocation
from hao.options.option import Option


class WidthGroups:
    """The groups of a network that options may make narrower.

    Args:
        network: Layers.
        by_name: Options, those of other things included.

    Raises:
        InputError: A group that options name is unknown or fixed, or a channel of an
            option is none of its.
    """

    def __init__(
        self, network: Network, by_name: Mapping[str, Sequence[Option]]
    ) -> None:
        groups = {group.name: group for group in channel_groups(network)}
        self.groups: dict[str, ChannelGroup] = {}
        for name, options in by_name.items():
            changes = [o.change for o in options if isinstance(o.change, Channels)]
            if not changes:
                continue
            group = groups.get(name)
            if group is None or len(changes) < len(options):
                raise InputError(
                    f"options of {name!r}: channels; must be for a group of channels "
                    "alone"
                )
            most = max(change.kept[-1] for change in changes)
            if most >= group.channels:
                raise InputError(
                    f"options of {name!r}: channel {most}; must be below "
                    f"{group.channels}"
                )
            fewest = min(len(change.kept) for change in changes)
            if group.fixed and fewest < group.channels:
                raise InputError(f"{name!r} keeps its channels: {group.fixed}")
            self.groups[name] = group
        self._group_of = {
            member: name
            for name, group in self.groups.items()
            for member in group.members
        }

    def layers(self, name: str) -> tuple[str, ...]:
        """Return the layers that make, pass on or read the channels of a group."""
        group = self.groups[name]
        return (*group.members, *group.readers)

    def touched(self, run: Invocation) -> tuple[str, ...]:
        """Return the groups of the maps that a run reads, makes or passes on."""
        names = [run.input_name, run.output_name]
        return self._of(names + [layer.name for _, layer in run.stages])

    def _of(self, maps: Iterable[str]) -> tuple[str, ...]:
        found = (self._group_of.get(name) for name in maps)
        return tuple(dict.fromkeys(name for name in found if name is not None))

    def check_edges(self, block: Block) -> None:
        """Check that the maps which a block reads and makes have no choice of channels.

        Raises:
            InputError: One has, so that layers in the block's place may not fit.
        """
        if groups := self._of((block.entry, block.result)):
            raise InputError(
                f"block {block.name!r} may be replaced, and {groups[0]!r} be narrower; "
                "what stands in its place fits one width only: offer one of the two"
            )

    def narrowed(self, run: Invocation, chosen: Mapping[str, Change]) -> Invocation:
        """Return a run under the choice for each group that it touches."""
        counts: dict[str, int] = {}
        for name, change in chosen.items():
            assert isinstance(change, Channels), "checked at the start"
            group = self.groups[name]
            if len(change.kept) < group.channels:
                counts |= dict.fromkeys(group.members, len(change.kept))
        return narrowed_run(run, counts) if counts else run
