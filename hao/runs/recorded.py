"""What a certificate records of a problem, as the values that a second solve needs."""

from dataclasses import replace

from hao.errors import InputError
from hao.ir.change import Bits, Change, Channels, Keep, LeaveOut, Replace, change_of
from hao.ir.sparsity import FULL
from hao.options.option import Option
from hao.program.problem import DEFAULT_SPACE, Problem
from hao.program.space import Space
from hao.runs.certificate import ProblemEntry
from hao.runs.design_schema import to_network


def recorded_options(entry: ProblemEntry) -> tuple[Option, ...]:
    """Return all options that a certificate records.

    Raises:
        InputError: An operation is named whose layers are not there.
        UnsupportedError: An operation has a layer that the engine cannot run.
    """
    layers = {
        (each.block, each.operation): to_network(each.network).layers[1:]
        for each in entry.operations
    }
    found = []
    for option in entry.options:
        name, _, bits = option.change.removeprefix("replace_").rpartition("_at_")
        if not option.change.startswith("replace_"):
            change = change_of(option.change)
        elif (option.layer, name) in layers:
            own = layers[option.layer, name]
            change = Replace(operation=name, layers=own, weight_bits=int(bits))
        else:
            raise InputError(
                f"problem.operations: none is {name!r} in the place of "
                f"{option.layer!r}, which an option names"
            )
        found.append(
            Option(layer=option.layer, change=change, cost_micro=option.cost_micro)
        )
    return tuple(found)


def recorded_channels(entry: ProblemEntry) -> tuple[Option, ...]:
    """Return the options of groups of channels that a certificate records."""
    every = recorded_options(entry)
    return tuple(option for option in every if isinstance(option.change, Channels))


def recorded_operations(entry: ProblemEntry) -> tuple[Option, ...]:
    """Return the options of blocks that a certificate records."""
    return tuple(
        option
        for option in recorded_options(entry)
        if isinstance(option.change, Keep | LeaveOut | Replace)
    )


def recorded_densities(entry: ProblemEntry) -> dict[str, dict[int, int]]:
    """Return what a certificate records of densities: costs beside those of the bits.

    A layer that was pruned before keeps its density at no cost, and has none here.
    """
    whole: dict[tuple[str, Change], int] = {}
    found: dict[str, dict[int, int]] = {}
    for option in recorded_options(entry):
        change = option.change
        if not isinstance(change, Bits):
            continue
        all_words = option.layer, replace(change, density=FULL)
        if change.density == FULL:
            whole[all_words] = option.cost_micro
        elif all_words in whole:
            costs = found.setdefault(option.layer, {})
            costs.setdefault(change.density, option.cost_micro - whole[all_words])
    return found


def recorded_space(entry: ProblemEntry) -> Space | None:
    """Return the engines that a certificate says were given, `None` for all."""
    held = entry.held
    if held is None:
        return None
    return replace(
        DEFAULT_SPACE,
        pixels=tuple(held.pixels),
        buffering=tuple(held.buffering),
        shapes=tuple(held.shapes.items()),
        roles=tuple(held.roles.items()),
    )


def recorded_problem(entry: ProblemEntry, like: Problem) -> Problem:
    """Return the problem of a certificate, on the board and space of another.

    Raises:
        InputError: Its parts do not belong together.
        UnsupportedError: A layer that the engine cannot run.
    """
    return Problem(
        network=to_network(entry.network),
        options=recorded_options(entry),
        ties=tuple(tuple(tie) for tie in entry.ties),
        act_bits=entry.act_bits,
        board=like.board,
        space=like.space,
    )
