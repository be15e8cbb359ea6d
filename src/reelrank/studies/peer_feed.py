"""Peers of the feed: the most popular, item neighbours, the closed form with popularity, and matrix factorisation (implicit's ALS and BPR)."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array, csr_matrix

from reelrank.domain.arrays import Floats
from reelrank.domain.event import History
from reelrank.evaluation import retrieval
from reelrank.models import item_to_item
from reelrank.models.item_to_item import ItemToItemConfig
from reelrank.simulation.kuairand import Exposures, KuaiRand
from reelrank.studies.feed_questions import FeedQuestions, days_before, split

Ints = NDArray[np.int64]
Scorer = Callable[[Ints], Floats]  # users (u,) -> (u, V)

_DAY_S = 86_400.0
_AT_A_TIME = 1_000  # users whose scores are in memory together


class FeedPast(NamedTuple):
    """What everybody watched until the question is asked; users and videos in dense numbers."""

    users: NDArray[np.str_]  # (U,)
    owner: Ints  # (w,) whose
    video: Ints  # (w,)
    long_view: NDArray[np.bool_]  # (w,)
    age_s: NDArray[np.float64]  # (w,) inf where nobody took the time
    videos: int

    @property
    def watched(self) -> csr_array:
        """1 for each pair of a user and a video: (U, V)."""
        pairs = np.unique(self.owner * self.videos + self.video)
        return csr_array((np.ones(len(pairs), dtype=np.float32), np.divmod(pairs, self.videos)), shape=(len(self.users), self.videos))

    def long_views(self, days: float) -> Floats:
        """How often each video was watched long in the last `days`: (V,)."""
        lately = self.long_view & (self.age_s <= days * _DAY_S)
        return np.bincount(self.video[lately], minlength=self.videos).astype(np.float32)


def past_of(histories: Sequence[History], known: Exposures, asked: FeedQuestions) -> FeedPast:
    """Base histories and exposures, as of the moment that is asked."""
    of_base = np.repeat([one.user_id for one in histories], [len(one.watched) for one in histories])
    base = np.array([video for one in histories for video in one.watched], dtype=asked.video_ids.dtype)
    base_long = np.array([video in long for one in histories for long in (set(one.long_viewed),) for video in one.watched], dtype=np.bool_)
    users = np.unique(np.concatenate([of_base, known.user_ids, asked.user_ids]))
    order = np.argsort(asked.video_ids)
    return FeedPast(
        users=users,
        owner=np.searchsorted(users, np.concatenate([of_base, known.user_ids])),
        video=order[np.searchsorted(asked.video_ids, np.concatenate([base, known.video_ids]), sorter=order)],
        long_view=np.concatenate([base_long, known.long_view]),
        age_s=np.concatenate([np.full(len(base), np.inf), asked.at - known.ended_ms / 1000]),
        videos=len(asked.video_ids),
    )


def lists_of(scorer: Scorer, past: FeedPast, asked: FeedQuestions, count: int) -> Ints:
    """The best videos for each user asked about that they did not have on screen: (n, count)."""
    users = np.searchsorted(past.users, asked.user_ids)
    lists = np.empty((len(users), count), dtype=np.int64)
    for start in range(0, len(users), _AT_A_TIME):
        some = slice(start, min(start + _AT_A_TIME, len(users)))
        scores = np.array(scorer(users[some]), dtype=np.float32)
        begin, end = asked.shown_indptr[some.start], asked.shown_indptr[some.stop]
        rows = np.repeat(np.arange(len(scores)), np.diff(asked.shown_indptr[some.start : some.stop + 1]))
        scores[rows, asked.shown[begin:end]] = -np.inf
        lists[some] = retrieval.top(scores, count)
    return lists


def popular(past: FeedPast, days: float = 3.0) -> Scorer:
    """The same for everybody: what was watched long most often lately."""
    scores = past.long_views(days)
    return lambda users: np.broadcast_to(scores, (len(users), len(scores)))


def item_knn(past: FeedPast, neighbours: int = 200) -> Scorer:
    """The sum of the cosines of a video's audience with those of all that a user watched, of its nearest `neighbours`."""
    watched = past.watched
    both = (watched.T @ watched).toarray()
    length = np.sqrt(np.maximum(np.diagonal(both), 1))
    both /= length[:, None] * length
    np.fill_diagonal(both, 0)
    keep = min(neighbours, len(both))
    nearest = np.argpartition(-both, keep - 1, axis=1)[:, :keep]
    places = (np.repeat(np.arange(len(both)), keep), nearest.ravel())
    weights = csr_array((both[places], places), shape=both.shape)
    return lambda users: (watched[users] @ weights.T).toarray()


def ease(past: FeedPast, ridge: float = 1_000.0, popularity: float = 0.3) -> Scorer:
    """Linear item-to-item in closed form (Steck 2019), with so much of the log popularity of two days."""
    watched = past.watched
    pairs = watched.tocoo()
    config = ItemToItemConfig(ridge=ridge, max_videos=past.videos, neighbours=past.videos)
    owner, video = (coordinate.astype(np.int64) for coordinate in pairs.coords)
    model = item_to_item.fit(owner, video, np.ones(len(owner), dtype=np.float32), np.zeros(past.videos), config)
    weights = csr_array((model.weights, model.neighbours, model.indptr), shape=(len(model.videos), len(model.videos)))
    lift = popularity * np.log1p(past.long_views(2.0))

    def scores(users: Ints) -> Floats:
        said = np.zeros((len(users), past.videos), dtype=np.float32)
        said[:, model.videos] = (watched[users][:, model.videos] @ weights).toarray()
        said += lift
        return said

    return scores


def als(past: FeedPast, factors: int = 64, alpha: float = 5.0, seed: int = 0) -> Scorer:
    """Weighted matrix factorisation by alternating least squares (Hu, Koren, Volinsky 2008), by implicit."""
    from implicit.als import AlternatingLeastSquares  # of the tools of development
    from threadpoolctl import threadpool_limits

    with threadpool_limits(1, "blas"):  # it has threads of its own, and looks for others when it is made
        model = AlternatingLeastSquares(factors=factors, alpha=alpha, regularization=1.0, iterations=10, random_state=seed)
    return _factorised(model, past)


def bpr(past: FeedPast, factors: int = 64, learning_rate: float = 0.05, seed: int = 0) -> Scorer:
    """Matrix factorisation by pairs (Rendle et al. 2009), by implicit."""
    from implicit.bpr import BayesianPersonalizedRanking

    return _factorised(BayesianPersonalizedRanking(factors=factors, learning_rate=learning_rate, regularization=0.01, iterations=60, random_state=seed), past)


def _factorised(model: Any, past: FeedPast) -> Scorer:
    from threadpoolctl import threadpool_limits

    with threadpool_limits(1, "blas"):  # implicit has threads of its own
        model.fit(csr_matrix(past.watched), show_progress=False)
    return lambda users: model.user_factors[users] @ model.item_factors.T


@dataclass(frozen=True, slots=True)
class FeedPeer:
    """How to fit one, and the settings among which validation chooses."""

    fit: Callable[..., Scorer]
    searched: tuple[dict[str, float], ...]
    random: bool = False  # begins with chance


PEERS: dict[str, FeedPeer] = {
    "popular": FeedPeer(popular, ({"days": 3.0},)),
    "item_knn": FeedPeer(item_knn, ({"neighbours": 50}, {"neighbours": 500})),
    "ease": FeedPeer(ease, ({"ridge": 300.0, "popularity": 0.3}, {"ridge": 1_000.0, "popularity": 0.1}, {"ridge": 1_000.0, "popularity": 0.3})),
    "als": FeedPeer(als, ({"factors": 32, "alpha": 1.0}, {"factors": 32, "alpha": 10.0}, {"factors": 64, "alpha": 10.0}), random=True),
    "bpr": FeedPeer(bpr, ({"factors": 32, "learning_rate": 0.02}, {"factors": 32, "learning_rate": 0.1}), random=True),
}


def compare(
    data: KuaiRand, test_from: int, test_until: int, count: int, seed: int = 0, on_progress: Callable[[int], None] = lambda _: None
) -> dict[str, dict[str, Any]]:
    """Each peer's lists of `count`, judged; its settings are those that did best on as many days just before the test.

    A peer whose library is not installed says so.
    """
    histories = data.histories()
    rounds: list[tuple[FeedPast, FeedQuestions]] = []
    for first, last in (days_before(test_from, test_until), (test_from, test_until)):
        known, asked = split(data, first, last)
        rounds.append((past_of(histories, known, asked), asked))
    found: dict[str, dict[str, Any]] = {}
    for name, peer in PEERS.items():
        try:
            settings = _chosen(peer, *rounds[0], count, seed)
            past, asked = rounds[1]
            found[name] = {**asked.judged(lists_of(_fitted(peer, past, settings, seed), past, asked, count)), "settings": settings}
        except ModuleNotFoundError as missing:
            found[name] = {"skipped": f"{missing.name} is not installed: `make setup` installs what the peers need"}
        on_progress(1)
    return found


def _chosen(peer: FeedPeer, past: FeedPast, asked: FeedQuestions, count: int, seed: int) -> dict[str, float]:
    """The settings of a peer that find most of what these users then watched long."""
    if len(peer.searched) == 1:
        return peer.searched[0]
    found = [asked.judged(lists_of(_fitted(peer, past, settings, seed), past, asked, count))[f"recall_at_{count}"] for settings in peer.searched]
    return peer.searched[int(np.argmax(found))]


def _fitted(peer: FeedPeer, past: FeedPast, settings: dict[str, float], seed: int) -> Scorer:
    return peer.fit(past, **settings, **({"seed": seed} if peer.random else {}))
