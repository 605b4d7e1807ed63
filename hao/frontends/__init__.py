"""Files and modules of other tools to networks.

Nothing is imported here: `hao.frontends.onnx` needs onnx, `hao.frontends.torch` needs
torch, and neither is loaded before it is asked for.
"""
