"""What videos are by what the catalogue says of them, as columns that a ridge can read."""

import numpy as np
from scipy.sparse import csr_array

from reelrank.models.content_space import code_features, one_hot
from reelrank.models.video_tables import length_buckets
from reelrank.training.examples import Traits

_MOST = 2_000  # columns: the normal equations of a ridge grow with their square
_DAY_S = 86_400.0


def content_of(traits: Traits) -> csr_array:
    """Author, sound, tags, length and day of upload, the most frequent of them: (V, at most `_MOST`)."""
    days = (traits.uploaded_at / _DAY_S).astype(np.int64)
    since = days - int(days.min()) if len(days) else days
    return code_features([one_hot(codes) for codes in (traits.author, traits.sound, traits.tags, length_buckets(traits.duration_s), since)], _MOST)
