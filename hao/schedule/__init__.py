"""Schedule analysis of emitted HLS C++, without the vendor's tools."""
