"""A trained network in integers: train, quantize with Brevitas, convert, export.

The way through, one call per step; each result is handed to the next:

    dataset.load_dataset              frames and labels, split for good
    train.train_float                 Network with float parameters
    weights.load_weights              the same, from a file
    ptq.quantize_network              QuantNet: a Brevitas model on frozen powers of two
    train.train_quantized             the same after quantization-aware training
    integers.integer_network          IntegerNetwork: what the accelerator computes
    integers.count_differences        how many integers the two disagree on
    weights_file.render_integers      and `load_integers`
    export.export_qonnx               a QONNX file with the same outputs
    imported.imported_integers        IntegerNetwork of an imported QONNX network

What a quantized network may look like is decided in `scheme` (bits) and `scales`
(powers of two that the accelerator's shifts can reach).
"""
