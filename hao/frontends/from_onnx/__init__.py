"""Reads ONNX, QONNX, QCDQ and QDQ files into a network."""
