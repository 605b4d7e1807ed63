"""What a scheme does to the float network, and how it is measured."""

from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray

from hao.emission.weights import stage_words
from hao.errors import InputError, UnsupportedError
from hao.ir.change import Bits, Channels, LeaveOut, Replace, Scheme, scheme_of
from hao.ir.layer import Conv
from hao.ir.network import Network
from hao.ir.sparsity import kept_words, with_densities
from hao.measure.sample import Part, Trial
from hao.measure.subject import evaluate, make_subject, network_under, quantized
from hao.program.codesign import choose_fastest
from hao.quant.float_net import FloatNet, with_parameters
from hao.quant.modules import module_key
from hao.quant.outputs import cross_entropy, divergence, log_probabilities
from hao.quant.statistics import channel_statistics, with_statistics
from hao.quant.train import accuracy_of_net
from hao.zoo import build_network
from tests.measure.samples import problem, subject, trained
from tests.quant.networks import (
    chain,
    every_kind,
    frames_for,
    stripes,
    with_random_parameters,
)


def bits(count: int) -> Trial:
    names = [layer.name for layer in trained().compute_layers]
    return Trial(scheme=scheme_of(dict.fromkeys(names, count)), act_bits=8)


def under(network: Network, scheme: Scheme, frames: NDArray[np.float32]) -> Network:
    return network_under(replace(subject(), calibration=frames), network, scheme)


def test_what_is_measured_equals_the_quantized_model() -> None:
    trial = replace(bits(4), part=Part.TEST)
    result = evaluate(subject(), trial).result
    assert result is not None
    model = quantized(subject(), trial)
    test = stripes().test
    assert result.frames == len(test)
    assert result.top1 == pytest.approx(100 * accuracy_of_net(model, test))
    outputs = log_probabilities(model, test.frames)
    exact = log_probabilities(FloatNet(trained(), batch_norm=False), test.frames)
    chosen = -np.mean([outputs[i, label] for i, label in enumerate(test.labels)])
    assert result.loss == pytest.approx(chosen)
    p, q = np.exp(exact), np.exp(outputs)
    assert result.divergence == pytest.approx(np.sum(p * np.log(p / q)) / len(test))
    assert np.sum(q, axis=1) == pytest.approx(1)


def test_divergence_is_the_rise_of_the_loss_towards_the_exact_outputs() -> None:
    frames = frames_for(trained(), 20)
    exact = log_probabilities(FloatNet(trained(), batch_norm=False), frames)
    other = np.roll(exact, 1, axis=0)
    towards = -(np.exp(exact) * other).sum(1).mean()
    own = -(np.exp(exact) * exact).sum(1).mean()
    assert divergence(exact, other) == pytest.approx(towards - own)
    assert divergence(exact, exact) == 0
    assert cross_entropy(exact, exact.argmax(1)) == pytest.approx(-exact.max(1).mean())


def test_training_moves_what_is_measured_and_its_seed_counts() -> None:
    plain, tuned = bits(2), replace(bits(2), epochs=2)
    first, second = evaluate(subject(), plain).result, evaluate(subject(), tuned).result
    assert first is not None
    assert second is not None
    assert first.divergence != second.divergence
    again = evaluate(subject(), tuned).result
    assert again is not None
    assert again.divergence == second.divergence


def test_top1_is_counted_on_frames_that_nothing_was_trained_with() -> None:
    # 20 validation frames, then 10 training frames behind the 4 that calibrate.
    few = make_subject({8: trained()}, stripes(), calibration=4, search=30)
    result = evaluate(few, bits(2)).result
    assert result is not None
    outputs = log_probabilities(quantized(few, bits(2)), few.parts[Part.SEARCH].frames)
    held = stripes().validation
    assert (len(outputs), len(held), result.frames) == (30, 20, 20)
    right = outputs[:20].argmax(1) == held.labels
    assert result.top1 == pytest.approx(100 * right.mean())
    assert result.loss == pytest.approx(cross_entropy(outputs[:20], held.labels))
    exact = few.parts[Part.SEARCH].exact
    assert result.divergence == pytest.approx(divergence(exact, outputs))


def test_without_labels_top1_is_agreement() -> None:
    bare = make_subject({8: trained()}, replace(stripes(), labelled=False))
    result = evaluate(bare, bits(2)).result
    assert result is not None
    assert result.top1 == result.agreement
    assert bare.parts[Part.SEARCH].top1 == 100


def test_statistics_of_the_same_network_change_nothing() -> None:
    network, frames = trained(), frames_for(trained(), 32)
    same = with_statistics(network, channel_statistics(network, frames), frames)
    one = log_probabilities(FloatNet(network, batch_norm=False), frames)
    other = log_probabilities(FloatNet(same, batch_norm=False), frames)
    assert other == pytest.approx(one, abs=1e-4)


def test_statistics_undo_what_a_batch_norm_would_undo() -> None:
    network, frames = every_kind(), frames_for(every_kind(), 32)
    params = dict(network.params)
    params["stem.weight"] = params["stem.weight"].astype(np.float64) * 3
    params["stem.bias"] = params["stem.bias"].astype(np.float64) - 1
    changed = replace(network, params=params)
    adapted = with_statistics(changed, channel_statistics(network, frames), frames)
    one = log_probabilities(FloatNet(network, batch_norm=False), frames)
    other = log_probabilities(FloatNet(adapted, batch_norm=False), frames)
    assert other == pytest.approx(one, abs=1e-3)
    assert log_probabilities(
        FloatNet(changed, batch_norm=False), frames
    ) != pytest.approx(one, abs=1e-3)


def test_statistics_of_another_network_are_refused() -> None:
    frames = frames_for(chain(), 4)
    with pytest.raises(InputError, match="layer 'stem': no statistics are known of it"):
        with_statistics(chain(), {}, frames)


def test_a_block_left_out_keeps_means_and_spreads() -> None:
    network = with_random_parameters(build_network("digits"), 0)
    network = with_parameters(
        network,
        {
            **network.params,
            **{
                f"{layer.name}.bias": np.zeros(layer.ofm.channels)
                for layer in network.compute_layers
            },
        },
    )
    frames = frames_for(network, 32)
    found = under(network, {"block1.add": LeaveOut()}, frames)
    assert not any("block1" in layer.name for layer in found.layers)
    whole = channel_statistics(network, frames)
    for name, (mean, spread) in channel_statistics(found, frames).items():
        if name != "classifier":
            assert mean == pytest.approx(whole[name][0], abs=1e-3, rel=1e-3)
            assert spread == pytest.approx(whole[name][1], abs=1e-3, rel=1e-3)


def test_channels_left_out_keep_means_and_spreads_of_the_others() -> None:
    network, frames = trained(), frames_for(trained(), 32)
    found = under(network, {"stem.channels": Channels((0, 2))}, frames)
    assert [layer.ofm.channels for layer in found.compute_layers] == [2, 2, 3]
    whole = channel_statistics(network, frames)
    for name, (mean, spread) in channel_statistics(found, frames).items():
        if name != "classifier":
            assert mean == pytest.approx(whole[name][0][[0, 2]], abs=1e-4)
            assert spread == pytest.approx(whole[name][1][[0, 2]], abs=1e-4)


def test_words_are_pruned_in_what_channels_leave() -> None:
    design = choose_fastest(problem()).design
    whole = stage_words(design)
    name = next(iter(whole))
    given = replace(subject(), words=design)
    scheme: Scheme = {
        name: Bits(weight_bits=8, density=50),
        "stem.channels": Channels((0, 1, 2)),
    }
    found = network_under(given, trained(), scheme)
    cut = network_under(given, trained(), {"stem.channels": Channels((0, 1, 2))})
    assert found.layers == with_densities(cut, {name: 50}).layers
    words = stage_words(design, cut)[name]
    weight = found.params[f"{name}.weight"]
    used = words.sums(weight.astype(np.float64) ** 2) > 0
    assert used.sum(axis=1).tolist() == [kept_words(words.count, 50)] * len(used)
    assert kept_words(words.count, 50) < words.count
    # As post-training quantization leaves them.
    codes = quantized(given, Trial(scheme={**bits(8).scheme, **scheme}, act_bits=8))
    kept = codes.state_dict()[f"compute.{module_key(name)}.weight"].numpy() != 0
    assert not np.any(kept & (weight == 0))


def test_words_of_no_design_are_refused() -> None:
    pruned: Scheme = {"stem": Bits(weight_bits=8, density=50)}
    with pytest.raises(UnsupportedError, match="no design says what a word holds"):
        network_under(subject(), trained(), pruned)


def test_a_scheme_of_bits_alone_is_the_network_itself() -> None:
    scheme = {"stem": Bits(weight_bits=2)}
    assert under(trained(), scheme, frames_for(trained(), 2)) is trained()


def test_operations_without_weights_are_refused() -> None:
    layer = next(layer for layer in chain().layers if isinstance(layer, Conv))
    change = Replace(operation="other", layers=(layer,), weight_bits=4)
    with pytest.raises(UnsupportedError, match="operation 'other' has no trained weig"):
        under(trained(), {"block": change}, frames_for(trained(), 2))


def test_what_cannot_be_measured_says_why() -> None:
    unknown = replace(bits(4), scheme={"block": LeaveOut()})
    sample = evaluate(subject(), unknown)
    assert sample.result is None
    assert "has no block 'block' that may be left out" in sample.failure
    narrow = evaluate(subject(), replace(bits(4), act_bits=5))
    assert narrow.failure == "activations of 5 bits; this subject has 8"


def test_losses_that_are_not_finite_say_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        "hao.measure.subject.log_probabilities",
        lambda net, frames: np.full((len(frames), 3), np.nan),
    )
    assert evaluate(subject(), bits(4)).failure == "its loss is not finite"


@pytest.mark.parametrize("words", [{"calibration": 0}, {"search": 0}])
def test_no_frames_are_refused(words: dict[str, int]) -> None:
    with pytest.raises(InputError, match="search frames; must be at least 1"):
        make_subject({8: trained()}, stripes(), **words)


def test_outputs_that_are_not_finite_are_refused() -> None:
    huge = {
        key: array.astype(np.float64) * 1e30 for key, array in trained().params.items()
    }
    broken = replace(trained(), params=huge)
    with pytest.raises(InputError, match="20 of 20 overflow single precision"):
        make_subject({8: broken}, stripes())


def dead(factor: float) -> Network:
    last = trained().compute_layers[-1].name
    params = dict(trained().params)
    for key in params:
        if key.startswith(f"{last}."):
            params[key] = params[key].astype(np.float64) * factor
    return replace(trained(), params=params)


def test_outputs_that_are_all_the_same_are_refused() -> None:
    with pytest.raises(InputError, match="its outputs are the same for all 20 frames"):
        make_subject({8: dead(0)}, stripes(), calibration=24, search=40)


def test_a_network_that_only_guesses_is_named() -> None:
    assert subject().notes == ()
    (note,) = make_subject({8: dead(-1)}, stripes(), calibration=24, search=40).notes
    assert "no better than a guess" in note


def test_other_parameters_and_data_have_other_digests() -> None:
    own = subject().about()
    other = make_subject({8: with_parameters(chain(), chain().params)}, stripes())
    assert own["network"] != ""
    assert own["parameters"] != other.about()["parameters"]
    fewer = make_subject({8: trained()}, stripes(), calibration=5)
    assert own["data set"] != fewer.about()["data set"]
    assert own["parameters"] == fewer.about()["parameters"]
