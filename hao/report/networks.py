"""The networks of the zoo as a table."""

import textwrap

from hao.accuracy.between import ERRORS, known_networks
from hao.accuracy.published import Between
from hao.text import WIDTH
from hao.zoo import build_network, network_names


def network_table() -> str:
    """Return the networks of the zoo with products, parameters and float top-1."""
    accuracies = known_networks()
    lines = [f"{'network':28} {'size':>5} {'MMACs':>8} {'M params':>9}  best top-1"]
    lines.append("-" * WIDTH)
    for name in network_names():
        network = build_network(name)
        best = [
            f"{'~' if entry.interpolated else ''}{entry.top1:.1f}@{size}"
            for (known, size), entry in sorted(accuracies.items())
            if known == name
        ]
        begin = (
            f"{name:28} {network.input.ofm.width:5} {network.macs / 1e6:8.1f} "
            f"{network.parameters / 1e6:9.2f}  "
        )
        entries = " ".join(best) or "-"
        indent = " " * len(begin)
        lines += textwrap.wrap(begin + entries, WIDTH, subsequent_indent=indent)
    for between in Between:
        mean, largest = ERRORS[between]
        flag = between.value.rpartition(" ")[2]
        lines.append(
            f"~ interpolated between published {between.value} (search --between-{flag}"
            f"): such {flag}, left\n  out, are hit within {mean} points on average, "
            f"{largest} at most (docs/accuracy.md)"
        )
    return "\n".join(lines)


def networks_json() -> dict[str, object]:
    """Return the figures of `network_table` as JSON values, by name of the network."""
    accuracies = known_networks()
    found: dict[str, object] = {}
    for name in network_names():
        network = build_network(name)
        found[name] = {
            "image_size": network.input.ofm.width,
            "macs": network.macs,
            "parameters": network.parameters,
            "top1": {
                str(size): {
                    "percent": entry.top1,
                    "interpolated": bool(entry.interpolated),
                }
                for (known, size), entry in sorted(accuracies.items())
                if known == name
            },
        }
    return found
