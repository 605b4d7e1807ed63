"""The network as data: layers, shapes, integer types, reference semantics."""
