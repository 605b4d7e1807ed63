"""The networks of the zoo as a table."""

from hao.accuracy.published import published_networks
from hao.zoo import build_network, network_names


def network_table() -> str:
    """Return the networks of the zoo with products, parameters and published top-1."""
    published = published_networks()
    lines = [f"{'network':28} {'size':>5} {'MMACs':>8} {'M params':>9}  best top-1"]
    for name in network_names():
        network = build_network(name)
        best = [
            f"{entry.top1:.1f}@{size}"
            for (known, size), entry in sorted(published.items())
            if known == name
        ]
        lines.append(
            f"{name:28} {network.input.ofm.width:5} {network.macs / 1e6:8.1f} "
            f"{network.parameters / 1e6:9.2f}  {' '.join(best) or '-'}"
        )
    return "\n".join(lines)
