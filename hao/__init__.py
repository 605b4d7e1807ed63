"""Choose a CNN, the bits of every layer and its FPGA accelerator together.

Start reading at `hao.flow`. Importing this package loads no solver, no torch and no
ONNX: what needs them is imported from its own module.
"""

__version__ = "0.1.0"
