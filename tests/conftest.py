"""One thread for linear algebra: nets this small lose more by sharing than they gain.

The setting counts only if it is made before NumPy is imported.
"""

import os

for _name in ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(_name, "1")
