"""Cold start: a tenth of the videos is hidden from training, and whoever watched one afterwards must be offered it."""

from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import polars as pl
from numpy.typing import NDArray
from scipy.sparse import csr_array, diags_array

from reelrank.models.content_space import code_features, one_hot, side_by_side
from reelrank.models.edges import canonical
from reelrank.models.graph_vectors import spectrum, vectors
from reelrank.simulation.kuairand import KuaiRand
from reelrank.studies import pairs
from reelrank.training import train_graph
from reelrank.training.folds import Fold
from reelrank.training.train_graph import Features, recall_at, recall_of

SHARE = 0.1  # of the videos that are hidden
_DURATIONS, _TAGS = 12, 4  # twelfths of the durations; the tags of a video that are looked at
_FOLDS, _FIRST_FOLD = 5, 1_000  # of hidden videos that the choice is made on; others than a test hides
_CODES = 2_048  # author, tags, … that are looked at
_TEST_FROM, _TEST_UNTIL = 20220505, 20220506  # of KuaiRand; choices are made on the days just before
_CHOICE_DAYS = 2


class ColdSet(NamedTuple):
    """A data set for the question; all matrices are (users, videos)."""

    choice: csr_array  # what is known when choices are made
    choice_wanted: csr_array  # what was watched then
    train: csr_array  # what is known before the test
    test: csr_array
    content: csr_array  # (videos, d), rows of unit length: what content-kNN compares
    features: Features  # the same, in the form that our model reads


def evaluate(
    tiktok: Path | None,
    kuairand: Path | None,
    seeds: int = 5,
    on_progress: Callable[[int], None] | None = None,
    test_from: int = _TEST_FROM,
    test_until: int = _TEST_UNTIL,
) -> dict[str, Any]:
    """Recall@50 among the hidden videos, of users with a test pair of one of them, with 95 % intervals over users of all seeds.

    Each seed hides another tenth of the videos, as many popular as rare ones. Content-kNN ranks by the cosine to the
    mean of what the user watched; chance is what a list of 50 finds by itself. Our shape is chosen on the validation pairs
    of other hidden videos, five times a tenth. KuaiRand is tested on the days from
    `test_from` to `test_until` (as 20220505, both included). `on_progress` hears 1 for each setting that was measured.
    """
    told: dict[str, dict[str, Any]] = {}
    if kuairand is not None:
        told["kuairand"] = _measured(_kuairand(kuairand, test_from, test_until), seeds, on_progress)
    if tiktok is not None:
        told["tiktok"] = _measured(_tiktok(tiktok), seeds, on_progress)
    return {"dataset": ", ".join(told), **told}


def _measured(data: ColdSet, seeds: int, on_progress: Callable[[int], None] | None) -> dict[str, Any]:
    folds = []
    for fold in range(_FOLDS):
        hidden = _hidden(data.choice, _FIRST_FOLD + fold)
        folds.append(Fold(_only(data.choice, ~hidden), _only(data.choice_wanted, hidden), hidden))
    shape, recall = train_graph.choose(folds, data.features, on_progress=on_progress)
    runs: dict[str, list[NDArray[np.float64]]] = {"reelrank": [], "content_knn": [], "random": []}
    for seed in range(seeds):
        hidden = _hidden(data.train, seed)
        watched, wanted = _only(data.train, ~hidden), _only(data.test, hidden)
        users = np.flatnonzero((np.diff(wanted.indptr) > 0) & (np.diff(watched.indptr) > 0))
        histories, targets = watched[users], wanted[users]
        model = vectors(spectrum(watched, shape.width), shape, data.features)
        runs["reelrank"].append(recall_of(model, histories, targets, hidden))
        alike = np.asarray((histories @ data.content @ data.content.T).toarray(), dtype=np.float32)
        runs["content_knn"].append(recall_at(alike, histories, targets, hidden))
        chance = np.random.default_rng(seed).random((len(users), len(hidden)), dtype=np.float32)
        runs["random"].append(recall_at(chance, histories, targets, hidden))
    told: dict[str, Any] = {name: _interval(np.concatenate(values)) for name, values in runs.items()}
    ours = np.concatenate(runs["reelrank"])
    told["ahead_of"] = {name: _interval(ours - np.concatenate(values)) for name, values in runs.items() if name != "reelrank"}
    told["users"], told["hidden_share"], told["seeds"] = len(ours), SHARE, seeds
    told["chosen"] = {name: getattr(shape, name) for name in shape.__struct_fields__} | {"validation_recall_at_50": recall}
    return told


def _hidden(known: csr_array, seed: int) -> NDArray[np.bool_]:
    return train_graph.hide(np.asarray(known.sum(axis=0)).ravel(), SHARE, np.random.default_rng(seed))


def _only(watched: csr_array, videos: NDArray[np.bool_]) -> csr_array:
    """The pairs with these videos: the same shape."""
    return canonical(watched @ diags_array(videos.astype(np.float32)))


def _interval(values: NDArray[np.float64]) -> dict[str, float]:
    half = 1.96 * float(values.std(ddof=1)) / len(values) ** 0.5
    return {"mean": float(values.mean()), "lo": float(values.mean()) - half, "hi": float(values.mean()) + half}


def _tiktok(folder: Path) -> ColdSet:
    """Any folder of pairs with a validation file and content vectors."""
    data = pairs.load(folder)
    if data.validation is None or not data.content:
        raise pairs.DataError(f"{folder} needs validation.parquet and content as *_features.npy for a study of cold videos")
    content = side_by_side(list(data.content.values()))
    return ColdSet(data.train, data.validation, data.train, data.test, csr_array(content), content)


def _kuairand(folder: Path, test_from: int, test_until: int) -> ColdSet:
    """Whatever was on screen is an edge; wanted are long views. Content is author, type, duration, music, tags and the day of upload."""
    source = KuaiRand(folder)
    table = pl.read_parquet(folder / "videos.parquet")
    video_ids = table["video_id"].cast(pl.Int64).to_numpy()
    rows = {str(video): row for row, video in enumerate(video_ids.tolist())}
    shown, histories = source.exposures(until_day=test_until), source.histories()
    user_ids = np.unique(np.concatenate([shown.user_ids, np.array([history.user_id for history in histories])]))
    users, videos = np.searchsorted(user_ids, shown.user_ids), np.array([rows[video] for video in shown.video_ids.tolist()])
    past = [(history.user_id, rows[video]) for history in histories for video in history.watched]
    old_users, old_videos = np.searchsorted(user_ids, np.array([one[0] for one in past])), np.array([one[1] for one in past])
    size = (len(user_ids), len(video_ids))

    days = np.unique(shown.days)
    choice_from = int(days[max(np.searchsorted(days, test_from) - _CHOICE_DAYS, 0)])

    def known(before: int) -> csr_array:
        lately = shown.days < before
        return pairs.matrix(np.concatenate([old_users, users[lately]]), np.concatenate([old_videos, videos[lately]]), size)

    def long_views(since: int, before: int) -> csr_array:
        then = (shown.days >= since) & (shown.days < before) & shown.long_view
        return pairs.matrix(users[then], videos[then], size)

    codes = code_features(_codes(table), _CODES)
    choice = (known(choice_from), long_views(choice_from, test_from))
    return ColdSet(*choice, known(test_from), long_views(test_from, test_until + 1), codes, codes)


def _codes(table: pl.DataFrame) -> list[csr_array]:
    """What KuaiRand's videos share by name, (videos, codes) each."""
    duration = table["video_duration"].cast(pl.Float64).fill_null(0.0).to_numpy()
    twelfths = np.digitize(duration, np.quantile(duration, np.linspace(0, 1, _DURATIONS + 1)[1:-1]))
    single = [_numbered(table[name].cast(pl.String)) for name in ("author_id", "video_type", "music_id", "upload_dt")]
    tags = table["tag"].fill_null("").str.split(",").list.to_struct(fields=[f"tag_{place}" for place in range(_TAGS)]).struct.unnest()
    return [one_hot(codes) for codes in (*single, twelfths, _numbered(*tags.get_columns()))]


def _numbered(*columns: pl.Series) -> NDArray[np.int64]:
    """The same number for the same text in all columns, -1 where there is none: (videos, columns)."""
    texts = pl.concat(columns)
    codes = texts.replace("", None).rank("dense").cast(pl.Int64) - 1
    return codes.fill_null(-1).to_numpy().reshape(len(columns), -1).T
