"""Rest: what no other source found: the newest videos that may be shown to a user at all, and where there are none, why."""

from collections import Counter
from collections.abc import Sequence

import numpy as np

from reelrank.domain.arrays import Rows
from reelrank.domain.candidate import Candidates
from reelrank.domain.user import no_rows
from reelrank.features.columns import VideoColumns
from reelrank.pipeline import runner
from reelrank.pipeline.request_trace import RequestTrace
from reelrank.pipeline.stages import Filter, Proposal, Query

UNPROPOSED = "was proposed by no source"
_AT_A_TIME = 1 << 16  # rows that are looked at together


class RestSource:
    """Goes through the whole catalogue, from what was published last, until it has its quota. So it is asked only when the others leave
    less than a slate: sources propose out of what is new, popular or near, and somebody may have seen all of that."""

    name = "rest"

    def __init__(self, columns: VideoColumns, filters: Sequence[Filter]) -> None:
        """Proposes only what all `filters` keep: else what is hidden from a user could fill the quota for good. The first should keep the fewest."""
        self._columns = columns
        self._filters = filters

    def propose(self, query: Query, quota: int) -> Proposal:
        return Proposal(self._found(query, quota)[0])

    def why_nothing(self, query: Query) -> dict[str, int]:
        """Why no video is shown: for each reason how many there are, most first. They add up to all that are published."""
        found, left_out = self._found(query, self._columns.count)
        left_out[UNPROPOSED] = len(found)
        return dict((+left_out).most_common())

    def _found(self, query: Query, quota: int) -> tuple[Rows, Counter[str]]:
        """At most `quota` rows, the newest first, and why the others on the way to them are left out."""
        columns, found, left_out = self._columns, no_rows(), Counter[str]()
        for end in range(columns.count, 0, -_AT_A_TIME):
            rows = np.arange(max(0, end - _AT_A_TIME), end)
            rows = rows[~columns.removed[rows]]
            trace = RequestTrace()
            kept = runner.remove(query, self._filters, Candidates(rows=rows, sources=np.zeros(len(rows), dtype=np.uint32)), trace)
            for stage in trace.stages.values():
                left_out.update({what.removeprefix(runner.REMOVED): int(count) for what, count in stage.items() if what.startswith(runner.REMOVED)})
            found = np.concatenate([found, kept.rows[::-1]])
            if len(found) >= quota:
                break
        return found[:quota], left_out
