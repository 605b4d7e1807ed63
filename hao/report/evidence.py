"""What a predicted accuracy rests on, in words that stand alone."""

from hao.accuracy.between import known_networks
from hao.accuracy.drops import MIN_ACT_BITS, Evidence
from hao.accuracy.terms import Recipe
from hao.answer.candidates import Stance
from hao.ir.integer import requantization_of
from hao.report.result import SearchResult
from hao.report.words import count_in_words

RECIPES = {
    Recipe.PTQ: "post-training quantization",
    Recipe.QAT: "quantization-aware training",
}
OTHERWISE = {
    Recipe.PTQ: "",
    Recipe.QAT: "; without training data, search with --recipe ptq",
}
STANCES = {
    Stance.CAUTIOUS: "the mean less what results fall short of it on average",
    Stance.PESSIMISTIC: "the low end of the interval",
    Stance.MEAN: "the mean",
}
_OLD = {
    Evidence.MEASURED: "this network was measured at these bits",
    Evidence.FAMILY: "its family was measured at these bits",
    Evidence.NONE: "other families or other bits only",
}


def unknown_in_words(network: str) -> str:
    """Return that no float accuracy of a network is known, and where one is.

    Args:
        network: Its name, with "@" and the image size [pixels] if it is of the zoo.
    """
    name, _, size = network.partition("@")
    known = [pixels for other, pixels in known_networks() if other == name]
    if not known:
        return "no float accuracy of this network is known"
    return (
        f"no float accuracy of {name} is known at {size} pixels; known, or "
        f"interpolated between published sizes, from {min(known)} to {max(known)}"
    )


def basis_in_words(result: SearchResult) -> str:
    """Return which published results the accuracy rests on, and by which recipe."""
    basis = result.basis
    if basis is None:
        return _OLD[result.evidence]
    fewer = " (or fewer)" if basis.act_bits > MIN_ACT_BITS else ""
    bits = (
        f"{basis.weight_bits}-bit weights and {basis.act_bits}-bit activations{fewer}"
    )
    if requantization_of(result.design.network).multiplies:
        bits += ", scales of weights free"
    how = f"{RECIPES[basis.recipe]} to {bits}"
    if not basis.related:
        return (
            f"no published result of this network's family for {how}: reckoned from "
            f"other families and other bits{OTHERWISE[basis.recipe]}"
        )
    return (
        f"{count_in_words(basis.related, 'published result')} of its family "
        f"({count_in_words(basis.networks, 'network')}, "
        f"{count_in_words(basis.sources, 'source')}) for {how}; "
        f"{basis.own or 'none'} of this network{OTHERWISE[basis.recipe]}"
    )


def ranked_in_words(result: SearchResult) -> str:
    """Return what the search ranked the accuracy by, with a semicolon before it."""
    accuracy = result.accuracy
    if accuracy is None or result.stance is None:
        return ""
    return f"; ranked as {accuracy.ranked:.2f} %, {STANCES[result.stance]}"


def basis_json(result: SearchResult) -> dict[str, object]:
    """Return recipe, stance and counts of published results as JSON values."""
    basis, accuracy = result.basis, result.accuracy
    return {
        "recipe": None if basis is None else basis.recipe.value,
        "stance": None if result.stance is None else result.stance.value,
        "top1_ranked": None if accuracy is None else round(accuracy.ranked, 4),
        "results_of_network": None if basis is None else basis.own,
        "results_of_family": None if basis is None else basis.related,
    }
