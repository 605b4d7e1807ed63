"""A design run as RTL with data, as replayed C++, and by the interpreter."""

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from hao.emission.stored import map_bytes
from hao.ir.integer_run import run_integer_layers
from tests.emission import builds
from tests.emission.random_designs import Sample
from tests.rtl.model import build_model, run_model, write_model

TRACE = ("-isystem", "tb/native", "-DHAO_FAST", "-DHAO_TRACE")


@dataclass(frozen=True, slots=True)
class StepPair:
    """One step of a design, in the replay and in the RTL.

    Attributes:
        title: What the step does.
        replayed: Cycles of the replay.
        cycles: Cycles of the RTL.
        replayed_ends: In the replay, the cycle after which each process has ended.
        ends: The same in the RTL.
        wrong_bytes: Of the map that the step leaves; `None` where it completes none.
    """

    title: str
    replayed: int
    cycles: int
    replayed_ends: dict[str, int]
    ends: dict[str, int]
    wrong_bytes: int | None


@dataclass(frozen=True, slots=True)
class Witness:
    """All steps of a design, and the configuration of its replay."""

    steps: tuple[StepPair, ...]
    configuration: dict[str, int]


def witness(sample: Sample, folder: Path, optimise: str = "-O0") -> Witness:
    """Return what the RTL and the replay say of a design's first frame.

    Args:
        sample: Design, integers and frames.
        folder: An empty one, for both programs.
        optimise: Option of the C++ compiler for both.
    """
    project = builds.write_sample(sample, folder / "hls")
    table, design = project.table, sample.design
    write_model(sample, table, folder / "rtl")
    build_model(folder / "rtl", optimise)
    ran = run_model(table, folder / "rtl")
    program, _ = builds.build(
        folder / "hls", "trace", optimise, *TRACE, compiler=builds.QUICKEST
    )
    report = folder / "replay.json"
    done = builds.run(folder / "hls", program, "--frames", "1", "--replay", str(report))
    assert done.status == 0, done.text
    replay = json.loads(report.read_text())
    names = frozenset(s.invocation.output_name for s in design.segments)
    codes = run_integer_layers(sample.net, sample.frames[:1], names)
    steps = []
    for number, (run, step) in enumerate(zip(table.runs, replay["steps"], strict=True)):
        wrong = None
        if run is not None and run.tile + 1 == run.tiles:
            name = run.invocation.output_name
            expected = map_bytes(codes[name], table.arena.maps[name])[0]
            assert ran.maps[number].shape == expected.shape
            wrong = int(np.count_nonzero(ran.maps[number] != expected))
        replayed_ends = {p["name"]: p["end_cycle"] for p in step["processes"]}
        pair = StepPair(
            title=table.titles[number],
            replayed=step["cycles"],
            cycles=ran.cycles[number],
            replayed_ends=replayed_ends,
            ends={name: ran.ends[number][name] for name in replayed_ends},
            wrong_bytes=wrong,
        )
        steps.append(pair)
    return Witness(steps=tuple(steps), configuration=replay["configuration"])
