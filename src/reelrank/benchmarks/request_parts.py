"""The parts of a feed request: what each does, what was done so that it takes no longer, and which functions it is."""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

from reelrank.benchmarks.cpu_stacks import Frame, Stack
from reelrank.features.definitions import WIDTH

BEGIN, END = "<!-- parts of a request -->", "<!-- end of the parts -->"  # around the table in a page
_MARKED = re.compile(f"{re.escape(BEGIN)}.*{re.escape(END)}", re.DOTALL)


class Part(NamedTuple):
    """A row of the table. `functions` are (module, the beginning of a qualified name)."""

    name: str
    does: str
    done: str
    functions: tuple[Frame, ...]


_FEED, _CANDIDATES, _RANKING, _RUNNER = "reelrank.feed", "reelrank.candidates.", "reelrank.ranking.", "reelrank.pipeline.runner"
_TREND = _CANDIDATES + "trending"

PARTS = (
    Part(
        "HTTP",
        "reads the request, looks at key and query, writes the answer",
        "httptools and uvloop; msgspec reads and writes; head and body go out in one piece",
        (("", "HTTP"),),
    ),
    Part(
        "user",
        "reads the user's record: 256 watches, all that was seen, tastes",
        "one read of one packed record, of which arrays are views",
        ((_FEED, "Feed._user"),),
    ),
    Part(
        "source nearest",
        "the user tower encodes the history, and the videos nearest to it are searched",
        "as few cells are searched as a recall of .98 needs, in files that all processes map",
        ((_CANDIDATES + "nearest", "NearestSource."),),
    ),
    Part(
        "source graph_neighbours",
        "the user's place in the graph, from what they watched; the videos nearest to it",
        "vectors of the graph are looked up, not propagated; the same index",
        ((_CANDIDATES + "graph_neighbours", "GraphNeighboursSource."),),
    ),
    Part(
        "source similar_content",
        "videos that share tags, authors and sounds with what the user liked",
        "videos lie sorted by author, sound and tag; a request looks at 6,000 places of these lists at most, the rarest first",
        ((_CANDIDATES + "similar_content", "SimilarContentSource."),),
    ),
    Part(
        "source co_watched",
        "videos that others watched after the same ones",
        "learned by the role index; what the history speaks for is summed once, for proposing and for the features",
        ((_CANDIDATES + "co_watched", "CoWatchedSource."),),
    ),
    Part(
        "source similar_users",
        "videos of users who watched the same",
        "the role index makes the lists, of videos by user and users by video; a request cuts pieces out of them",
        ((_CANDIDATES + "similar_users", "SimilarUsersSource."),),
    ),
    Part("source following", "the newest of those whom the user follows", "videos lie sorted by author", ((_CANDIDATES + "following", "FollowingSource."),)),
    Part(
        "sources trending",
        "what is watched most: everywhere, at the user's place, by their tags",
        "ranked in the background every few seconds, and of every counter only what has changed",
        ((_TREND, "TrendingSource."), (_TREND, "TrendingPlaceSource."), (_TREND, "TrendingTagSource.")),
    ),
    Part(
        "sources fresh, pinned",
        "new videos that have not had their first impressions; what was pinned by rules",
        "the pool is made in the background; a request adds what was published since",
        ((_CANDIDATES + "fresh", "FreshSource."), (_CANDIDATES + "pinned", "PinnedSource.")),
    ),
    Part(
        "asking the sources, uniting",
        "hands the sources to a thread with a deadline, and makes one list of what they say",
        "one thread asks all of them; another goes on only where one keeps it waiting",
        ((_RUNNER, "gather"),),
    ),
    Part(
        "filters",
        "removes what was seen, served lately, blocked, taken down or repeated, each with its reason",
        "each is one operation on columns that lie in memory, by row",
        ((_RUNNER, "remove"),),
    ),
    Part(
        "features",
        f"{WIDTH} numbers for each candidate: rates, trends, tastes, habits",
        "counters that were read lately stay decoded in memory; each feature is computed for all candidates at once",
        ((_RANKING + "hydrators", "FeatureHydrator."),),
    ),
    Part(
        "co-watches of candidates",
        "how often each was watched after what the user watched",
        "the sums are those of the source; each candidate looks its own up",
        ((_RANKING + "hydrators", "CoWatchHydrator."),),
    ),
    Part(
        "light score, value",
        "a first score from rates and tastes; wishes and boosts; one value out of all predictions",
        "a few operations on columns; only the best 500 go to the ranker",
        (
            (_RANKING + "scorers", ""),
            (_RANKING + "lifts", ""),
            (_RUNNER, "shorten"),
            (_RUNNER, "score"),
            (_RANKING + "selectors", "SlateSelector.explorable"),
            (_RANKING + "pinned_selector", "PinnedSelector.pinned"),
        ),
    ),
    Part(
        "ranker: history",
        "encodes 256 watches into keys and values",
        "once for all candidates, with caches on, only tokens that are new",
        ((_RANKING + "ranker_session", "KeptHistories."),),
    ),
    Part(
        "ranker: candidates",
        "500 candidates look at the history; every head and the watch time",
        "ONNX Runtime on one thread, from a graph laid out for it; what all candidates share goes through the first layer once",
        ((_RANKING + "ranker_scorer", "RankerScorer."),),
    ),
    Part(
        "slate",
        "ten places, one after the other: what is alike gives way, new videos get their chance",
        "each place compares with the one before it alone; one grid of rates serves all draws",
        ((_RUNNER, "select"),),
    ),
    Part(
        "record",
        "writes the slate as it was scored into the log, with what it takes to make it again",
        "a thread of its own appends, as many slates at once as are waiting",
        ((_FEED, "Feed.recorded"), (_RANKING + "served_log", ""), ("", "the slate into the log")),
    ),
    Part(
        "the rest",
        "puts the answer together, counts metrics, keeps what is left for the next page, moves between threads",
        "",
        (("", ""),),
    ),
)


def by_part(ms: Mapping[Stack, float]) -> dict[str, float]:
    """The milliseconds of each part, in the order of a request: those of a stack belong to its innermost function that a part knows."""
    found = {part.name: 0.0 for part in PARTS}
    for stack, took in ms.items():
        found[_part_of(stack)] += took
    return found


def table(ms: Mapping[str, float], about: str) -> str:
    """What each part takes, does and was spared, as Markdown; `about` says what was measured."""
    rows = [f"| {part.name} | {ms[part.name]:.2f} | {part.does} | {part.done} |" for part in PARTS]
    return "\n".join(
        [
            f"{about}.",
            "",
            "| part | ms | what it does | what was done for it |",
            "|---|--:|---|---|",
            *rows,
            f"| **together** | **{sum(ms.values()):.2f}** | | |",
        ]
    )


def marked(page: Path) -> bool:
    """Whether a page says where the table goes."""
    return _MARKED.search(page.read_text(encoding="utf-8")) is not None


def write_table(page: Path, ms: Mapping[str, float], about: str) -> None:
    """Puts the table between its marks in a page."""
    text = page.read_text(encoding="utf-8")
    page.write_text(_MARKED.sub(lambda _: f"{BEGIN}\n{table(ms, about)}\n{END}", text), encoding="utf-8")


def _part_of(stack: Stack) -> str:
    for module, name in reversed(stack):
        for part in PARTS[:-1]:
            if any(module == home and name.startswith(beginning) for home, beginning in part.functions):
                return part.name
    return PARTS[-1].name
