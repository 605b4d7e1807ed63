"""Counts of the small networks, worked by hand."""

from hao.zoo import build_network


def test_resnet8_has_the_macs_and_parameters_of_mlperf_tiny() -> None:
    # stem 3*16*9*1024 = 442,368; stage 1 2*(16*16*9)*1024 = 4,718,592; stages 2 and 3
    # each 16*32*9*256 + 32*32*9*256 + 16*32*256 = 3,670,016; classifier 640.
    network = build_network("resnet8_cifar")
    assert network.macs == 442_368 + 4_718_592 + 2 * 3_670_016 + 640 == 12_501_632
    # Keras prints 78,666 for MLPerf Tiny's model: biases, and four values per channel
    # of the seven batch norms, 16 * 3 + 32 * 2 + 64 * 2 = 240 channels.
    assert network.parameters + 4 * 240 == 78_666


def test_resnet20_macs_worked_by_hand() -> None:
    # stem as above; 6 * 2,359,296; twice 1,179,648 + 5 * 2,359,296 and a 1x1 shortcut
    # of 131,072; classifier 640.
    stages = 6 * 2_359_296 + 2 * (1_179_648 + 5 * 2_359_296 + 131_072)
    network = build_network("resnet20_cifar")
    assert network.macs == 442_368 + stages + 640 == 40_813_184
    # He et al., arXiv:1512.03385, Table 6: 0.27 M.
    assert round(network.parameters / 1e6, 2) == 0.27


def test_cnv_worked_by_hand() -> None:
    # Maps 30, 28 | 14 -> 12, 10 | 5 -> 3, 1.
    weights_per_conv = (
        27 * 64,
        576 * 64,
        576 * 128,
        1152 * 128,
        1152 * 256,
        2304 * 256,
    )
    sizes = (30, 28, 12, 10, 3, 1)
    linear = 256 * 512 + 512 * 512 + 512 * 10
    network = build_network("cnv_cifar")
    pairs = zip(weights_per_conv, sizes, strict=True)
    assert network.macs == sum(w * size**2 for w, size in pairs) + linear == 59_461_376
    weights = sum(layer.weights for layer in network.compute_layers)
    assert weights == sum(weights_per_conv) + linear == 1_542_848


def test_vgg_cifar_worked_by_hand() -> None:
    # 32x32: 27*64 + 576*64 weights per pixel; 16x16: 576*128 + 1152*128;
    # 8x8: 1152*256 + 2 * 2304*256; classifier 256*4*4*10.
    macs = 1024 * 38_592 + 256 * 221_184 + 64 * 1_474_560 + 40_960
    assert build_network("vgg_cifar").macs == macs == 190_554_112


def test_vgg16_cifar_worked_by_hand() -> None:
    # The three groups above, then 4x4: 2304*512 + 2 * 4608*512; 2x2: 3 * 4608*512;
    # classifier 512*10.
    macs = 190_554_112 - 40_960 + 16 * 5_898_240 + 4 * 7_077_888 + 5_120
    assert build_network("vgg16_cifar").macs == macs == 313_201_664


def test_digits_worked_by_hand() -> None:
    # (weights, output pixels) per layer, in order.
    layers = (
        (9 * 16, 256),
        (16 * 32, 256),
        (9 * 32, 256),
        (32 * 16, 256),
        (16 * 48, 256),
        (9 * 48, 64),
        (48 * 24, 64),
        (24 * 48, 64),
        (9 * 48, 64),
        (48 * 24, 64),
        (24 * 48, 64),
        (9 * 48, 16),
        (48 * 32, 16),
        (32 * 48, 16),
        (48 * 10, 1),
    )
    biases = 16 + (32 + 32 + 16) + (48 + 48 + 24) * 2 + (48 + 48 + 32) + 48 + 10
    network = build_network("digits")
    assert network.macs == sum(count * pixels for count, pixels in layers)
    assert network.parameters == sum(count for count, _ in layers) + biases == 12_202
