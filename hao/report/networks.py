"""The networks of the zoo as a table."""

from hao.accuracy.between import LARGEST_ERROR, MEAN_ERROR, known_networks
from hao.zoo import build_network, network_names


def network_table() -> str:
    """Return the networks of the zoo with products, parameters and float top-1."""
    accuracies = known_networks()
    lines = [f"{'network':28} {'size':>5} {'MMACs':>8} {'M params':>9}  best top-1"]
    for name in network_names():
        network = build_network(name)
        best = [
            f"{'~' if entry.interpolated else ''}{entry.top1:.1f}@{size}"
            for (known, size), entry in sorted(accuracies.items())
            if known == name
        ]
        lines.append(
            f"{name:28} {network.input.ofm.width:5} {network.macs / 1e6:8.1f} "
            f"{network.parameters / 1e6:9.2f}  {' '.join(best) or '-'}"
        )
    lines.append(
        "~ interpolated between published image sizes (search --between-sizes): such "
        f"sizes, left\n  out, are hit within {MEAN_ERROR} points on average, "
        f"{LARGEST_ERROR} at most (docs/accuracy.md)"
    )
    return "\n".join(lines)
