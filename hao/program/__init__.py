"""Integer programs that choose the engine and the options of the layers."""
