"""What choices are made on: pairs to learn from, and pairs that were held out of them."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array


class Fold(NamedTuple):
    """Pairs to learn from and pairs to be found, (users, v) both."""

    watched: csr_array
    wanted: csr_array
    among: NDArray[np.bool_] | None = None  # (v,) which videos are listed at all; None = all that the user has not watched
