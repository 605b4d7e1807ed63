"""Run directories: where a search leaves its result, whole or not at all.

    runs/zu3eg-50fps-all/
      design.json   the design, reopened by `hao.runs.design_file`
      certificate.json  what proves it, checked again by `hao verify`
      report.txt    tables
      report.html   a page of it (`hao.page`), complete in one file
      best-2/ ...   further designs, where `--best` asked for them: each a run, which
                    `hao estimate`, `hao emit-hls` and so on take
      measured.json, measured-1/ ...  what `hao explore` measured, in the file
                    measurements.sqlite, and the best designs by measurement
      front.csv     one line per point of the front, if one was asked for
      front.png     its picture
      stages.png    with it, the time of every invocation, and what binds

A directory is written under a hidden name beside its place and then renamed, so that
an interruption leaves no half of one.
"""

import csv
import errno
import io
import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from types import MappingProxyType

from hao.answer.front import FrontPoint
from hao.errors import InputError
from hao.files import is_held, put_folder, recover, unwritable, work_folder
from hao.report.others import render_others
from hao.report.result import SearchResult
from hao.report.tables import render_front, render_invocations, render_summary
from hao.report.terms import render_legend
from hao.runs.certificate import CERTIFICATE_FILE
from hao.runs.design_file import FILE_NAME, load_design, render_design

NO_FILES: Mapping[str, bytes] = MappingProxyType({})

MAX_NAME = 100
"""Longest name of a run [characters]; file systems take 255 (chosen here)."""

OTHERS = "best-"
"""Start of the name of a folder with a further design; its number follows."""

FRONT_COLUMNS = (
    "network",
    "fps",
    "latency_ms",
    "top1",
    "top1_low",
    "top1_high",
    "cost_points",
    "mean_bits",
    "status",
    "power_w",
    "fps_per_watt",
    "ranked",
    "recipe",
    "evidence",
)

_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]*")


def check_run_name(name: str) -> None:
    """Check that a name stays one plain folder below the runs.

    Raises:
        InputError: It is empty, too long, or has other characters than letters,
            digits, '.', '_' and '-', begins with '.' or '-', or holds '..'.
    """
    if not _NAME.fullmatch(name) or ".." in name or len(name) > MAX_NAME:
        shown = name if len(name) <= 60 else f"{name[:57]}..."
        raise InputError(
            f"run name {shown!r}; must be 1 to {MAX_NAME} letters, digits, '.', '_' "
            "and '-', not begin with '.' or '-', and not hold '..'"
        )


def default_run_name(
    runs: Path,
    *,
    board: str,
    fps: float | None = None,
    min_top1: float | None = None,
    network: str | None = None,
    smallest: str | None = None,
) -> str:
    """Return a name that no run has yet, such as "zu3eg-50fps-all".

    Args:
        runs: Folder of all runs; need not exist.
        board: Name, or path of a board file.
        fps: Frame rate that is asked for.
        min_top1: Least top-1 that is asked for [percent].
        network: Name, or path of a model file; `None` for all.
        smallest: What is made least at the frame rate, such as "area".
    """
    goal = "fastest"
    if fps is not None:
        goal = f"{fps:g}fps"
    elif min_top1 is not None:
        goal = f"{min_top1:g}top1"
    if smallest is not None:
        goal = f"{goal}-{smallest}"
    parts = (_stem(board), goal, "all" if network is None else _stem(network))
    base = "-".join(parts)[: MAX_NAME - 8].rstrip(".-")
    number, name = 1, base
    while os.path.lexists(runs / name):
        number += 1
        name = f"{base}-{number}"
    check_run_name(name)
    return name


def _stem(text: str) -> str:
    """Return a name, or that of a file, in the characters that a run name may have."""
    last = re.split(r"[/\\]", text)[-1]
    last = re.sub(r"\.(toml|onnx)$", "", last)
    clean = re.sub(r"[^A-Za-z0-9_.-]+", "_", last)
    return re.sub(r"\.{2,}", ".", clean).strip(".-")[:40] or "unnamed"


def chosen_run(run: Path | None, runs: Path) -> Path:
    """Return a run that was named, or else the newest, as killed commands left it.

    Args:
        run: A run directory or a design file, or the name of one in `runs`; `None`
            for the run written last.
        runs: Folder of all runs.

    Raises:
        InputError: There is none.
    """
    if run is None:
        recover(runs)
        run = newest_run(runs)
    else:
        recover(run.parent)
        if not run.exists():
            recover(runs)
            run = runs / run if (runs / run).is_dir() else run
    recover(run)
    return run


def newest_run(runs: Path) -> Path:
    """Return the run that was written last.

    Args:
        runs: Folder of all runs.

    Raises:
        InputError: There is none that may be read, or the folder is a file.
    """
    found: list[tuple[int, str, Path]] = []
    unreadable = ""
    check_folder(runs)
    try:
        for folder in runs.iterdir() if runs.is_dir() else ():
            try:
                written = (folder / FILE_NAME).stat().st_mtime_ns
            except PermissionError:
                unreadable = f"; {folder} may not be read"
            except OSError:
                continue
            else:
                if not folder.name.startswith("."):
                    found.append((written, folder.name, folder))
    except OSError as error:
        raise InputError(f"{runs}: cannot be read ({error.strerror})") from error
    if not found:
        raise InputError(f"{runs}: no run in it; `hao search` makes one{unreadable}")
    return max(found)[2]


def write_run(
    result: SearchResult,
    run_path: Path,
    *,
    force: bool,
    certificate: str | None = None,
    or_next: bool = False,
    more: Mapping[str, bytes] = NO_FILES,
) -> SearchResult:
    """Write a run directory and return the result that knows where it is.

    Args:
        result: What was found.
        run_path: Directory to create; folders above it are created too.
        force: Replace a run that is there.
        certificate: Text of its certificate, if it has one.
        or_next: Take the next free name, such as "t-2", rather than refuse.
        more: Further files, by name.

    Raises:
        InputError: Something is there, or is no run and is not replaced, or the
            directory cannot be written.
    """
    if not or_next:
        check_target(run_path, force=force)
    # Tables first: what fails here has touched nothing.
    files = _texts(result)
    if certificate is not None:
        files[CERTIFICATE_FILE] = certificate
    try:
        run_path.parent.mkdir(parents=True, exist_ok=True)
        recover(run_path.parent)
        with work_folder(run_path) as work:
            new = work / "new"
            new.mkdir()
            _write_files(result, files, new)
            for name, content in more.items():
                (new / name).write_bytes(content)
            run_path = _put(new, run_path, force=force, or_next=or_next)
    except OSError as error:
        raise unwritable(run_path, error) from error
    others = tuple(
        replace(other, run=run_path / f"{OTHERS}{number}")
        for number, other in enumerate(result.others, start=2)
    )
    return replace(result, run=run_path, others=others)


def _write_files(result: SearchResult, files: dict[str, str], new: Path) -> None:
    """Write all that a run holds into a new folder."""
    for name, text in files.items():
        (new / name).write_text(text, encoding="utf-8", newline="\n")
    if result.front:
        _write_pictures(result, new)
    for number, other in enumerate(result.others, start=2):
        folder = new / f"{OTHERS}{number}"
        folder.mkdir()
        for name, text in _texts(other).items():
            (folder / name).write_text(text, encoding="utf-8", newline="\n")


def load_run(path: Path) -> SearchResult:
    """Return what a run directory records, its further designs included.

    Args:
        path: A run directory, or a design file, which has no further designs.

    Raises:
        InputError: A design file is missing, malformed, of another schema, or does not
            record what its design costs.
        UnsupportedError: The network has a layer that the engine cannot run.
    """
    result, others, number = load_design(path), [], 2
    while path.is_dir() and (folder := path / f"{OTHERS}{number}").is_dir():
        others.append(load_design(folder))
        number += 1
    return replace(result, others=tuple(others))


def check_folder(runs: Path) -> None:
    """Check that the folder of all runs is one, or can be made.

    Raises:
        InputError: A file stands in its place, or where it would lie.
    """
    there = next(each for each in (runs, *runs.parents) if os.path.lexists(each))
    if not there.is_dir():
        raise InputError(
            f"{there}: a file; runs must lie in a folder, or in one that can be made"
        )


def check_target(run_path: Path, *, force: bool) -> None:
    """Check that a run may be written here, before the search that leads to it.

    Raises:
        InputError: Something is there and is not to be replaced, is no run, or another
            command works in it; or its folder cannot be made.
    """
    check_folder(run_path.parent)
    if not os.path.lexists(run_path):
        return
    if not force:
        raise InputError(
            f"{run_path}: exists; must be a new directory, or `force` replaces the run"
        )
    if run_path.is_symlink() or run_state(run_path) is None:
        raise InputError(
            f"{run_path}: not a run directory ({FILE_NAME} is not in it); `force` "
            "replaces run directories only"
        )
    if is_held(run_path):
        raise InputError(
            f"{run_path}: another hao command is working in it; wait until it has "
            "ended, or choose another name with `run_path`"
        )


def run_state(run_path: Path) -> tuple[int, int] | None:
    """Return what tells one content of a run's place from another; `None` if none."""
    try:
        return run_path.stat().st_ino, (run_path / FILE_NAME).stat().st_mtime_ns
    except OSError:
        return None


def _put(new: Path, run_path: Path, *, force: bool, or_next: bool) -> Path:
    """Move a run to its place, or to the next free name; return where it is."""
    place, number = run_path, 1
    while True:
        if not or_next:
            check_target(place, force=force)  # Another process may have been faster.
        there = os.path.lexists(place)
        if not there or (force and number == 1 and not is_held(place)):
            try:
                put_folder(new, place)
                return place
            except OSError as error:
                if there or error.errno not in (errno.ENOTEMPTY, errno.EEXIST):
                    raise
        number += 1
        place = run_path.with_name(f"{run_path.name}-{number}")


def _texts(result: SearchResult) -> dict[str, str]:
    """Return the content of the text files, by name."""
    parts = [render_summary(result), render_invocations(result)]
    texts = {FILE_NAME: render_design(result)}
    if result.others:
        parts.append(render_others(result))
    if result.front:
        parts.append(render_front(result.front))
        texts["front.csv"] = render_front_csv(result.front)
    text = "\n".join(parts)
    texts["report.txt"] = f"{text}\n{render_legend(text)}"
    return texts


def _write_pictures(result: SearchResult, folder: Path) -> None:
    # matplotlib takes half a second to import, which searches need not wait for.
    from hao.report.plots import write_front_picture, write_stage_picture

    write_stage_picture(result, folder / "stages.png")
    write_front_picture(result, folder / "front.png")


def render_front_csv(points: Sequence[FrontPoint]) -> str:
    """Return the points as CSV with a header; what is unknown is empty."""
    stream = io.StringIO()
    writer = csv.writer(stream, lineterminator="\n")
    writer.writerow(FRONT_COLUMNS)
    for point in points:
        accuracy = point.accuracy
        known = [""] * 3
        if accuracy is not None:
            known = [f"{v:.4f}" for v in (accuracy.mean, accuracy.low, accuracy.high)]
        basis = point.basis
        evidence = "" if basis is None else basis.evidence.value
        power = [""] * 2
        if point.power_mw is not None and point.fps_per_watt is not None:
            power = [f"{point.power_mw / 1000:.3f}", f"{point.fps_per_watt:.4f}"]
        writer.writerow(
            [
                point.network,
                f"{point.fps:.4f}",
                f"{point.latency_ms:.6f}",
                *known,
                f"{point.cost_points:.6f}",
                f"{point.mean_bits:.4f}",
                point.status.value,
                *power,
                f"{point.ranked:.4f}",
                *([""] * 2 if basis is None else (basis.recipe.value, evidence)),
            ]
        )
    return stream.getvalue()
