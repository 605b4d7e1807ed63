"""Files and modules of other tools to networks.

Nothing is imported here: `hao.frontends.from_onnx` needs onnx,
`hao.frontends.from_torch` needs torch, and neither is loaded before it is asked for.
"""
