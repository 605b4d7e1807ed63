"""Calibration: constants of the cost model fitted to reports of emitted designs."""
