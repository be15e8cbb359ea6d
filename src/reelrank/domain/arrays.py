"""The arrays that all parts speak of, by what is in them."""

import numpy as np
from numpy.typing import NDArray

Rows = NDArray[np.int64]  # dense numbers of users, videos or anything else that has a row; -1 for none
Floats = NDArray[np.float32]  # what is learned, stored and sent
Column = NDArray[np.float64]  # what is computed with: (n,)
