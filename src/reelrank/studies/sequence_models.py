"""The models that the study of sequences compares: each learns, chooses by validation, and says what it gives every item."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import msgspec
import numpy as np
from scipy.sparse import csr_array, diags_array

from reelrank.domain.arrays import Floats, Rows
from reelrank.evaluation import retrieval
from reelrank.features.tokens import Action, Tokens
from reelrank.models import directed_item_to_item as directed
from reelrank.models.two_tower import TwoTower, TwoTowerConfig, VideoFeatures
from reelrank.studies import sasrec as peer
from reelrank.studies.sequence_data import Dataset, K, Scorer, Split, ndcg
from reelrank.training.negatives import next_positives
from reelrank.training.train_two_tower import TwoTowerTraining, fit, user_vectors, video_vectors

Fitted = tuple[Scorer, dict[str, Any]]  # what it gives every item, and what was chosen
Report = Callable[[int], None]

_SHARES = (0.0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.8, 1.0)  # of the tower
_LIKENESSES = (0.0, 0.2, 0.4, 0.8, 1.6)  # what items alike in content count against those that were counted together
_UNSEEN = 0.1  # the share of what was counted that everything gets
_IMPOSSIBLE = 1e4  # in logarithms: for what is not to be offered
_ALIKE = 100  # items alike in content that an item speaks for
_NEIGHBOURS = (10, 20, 50, 100, 200, 500)


class SequenceSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What the study spends and what it lets each model choose from."""

    network: TwoTowerConfig = TwoTowerConfig(width=64, dropout=0.5)
    training: TwoTowerTraining = TwoTowerTraining(epochs=24, window=50)
    sasrec_widths: tuple[int, ...] = (64, 128)  # every pair with `sasrec_dropouts` is tried
    sasrec_dropouts: tuple[float, ...] = (0.3, 0.5, 0.7)
    sasrec_trial_epochs: int = 10  # after so many the better half goes on for as many again, and so forth
    sasrec_epochs: int = 60  # at most, for the one that is left
    sasrec_bce_epochs: int = 200  # the paper's loss learns less from each


@dataclass(frozen=True, slots=True)
class Job:
    """What a model learns from, and how."""

    data: Dataset
    seed: int
    settings: SequenceSettings
    on_progress: Report


def reelrank(job: Job) -> Fitted:
    """The user tower, directed item-to-item and likeness of content, each as chances of what comes next, mixed as validation says."""
    data, (rows, indptr), valid = job.data, job.data.training, job.data.split(2)
    exponents, alone = directed.choose(rows, indptr, valid.target, len(data.items), on_progress=job.on_progress)
    training = msgspec.structs.replace(job.settings.training, seed=job.seed)
    tokens = as_tokens(rows, indptr)
    towers = fit(
        tokens,
        next_positives(rows, tokens.actions, indptr),
        data.features,
        lambda towers: ndcg(_tower(towers, training.window), valid),
        network=job.settings.network,
        training=training,
        on_progress=job.on_progress,
    )
    tower = _tower(towers, training.window)
    counted = _item_to_item(directed.weights(rows, indptr, len(data.items), exponents), len(data.items), exponents.input_decay)
    alike = _item_to_item(_alike(data.features), len(data.items), exponents.input_decay)
    scorer, mixture = _mixture(tower, counted, alike, valid)
    reached = {"item_to_item": alone, "tower": ndcg(tower, valid), "mixed": ndcg(scorer, valid)}
    return scorer, {"item_to_item": msgspec.to_builtins(exponents), **mixture, "validation_ndcg_at_10": reached}


def popular(job: Job) -> Fitted:
    """How often each item occurs."""
    often = np.bincount(job.data.training[0], minlength=len(job.data.items)).astype(np.float32)
    return lambda split, some: np.tile(often, (len(split.target[some]), 1)), {}


def item_knn(job: Job) -> Fitted:
    """The cosine between the users of two items, of each item's nearest neighbours; how many is chosen."""
    data, (rows, indptr) = job.data, job.data.training
    users = csr_array((np.ones(len(rows), dtype=np.float32), rows, indptr), shape=(data.users, len(data.items)))
    lengths = np.sqrt(np.maximum(users.power(2).sum(axis=0), 1e-12))
    cosines = csr_array(diags_array(1 / lengths) @ (users.T @ users) @ diags_array(1 / lengths))
    cosines.setdiag(0)

    def of(neighbours: int) -> Scorer:
        nearest = _nearest(cosines, neighbours)

        def scorer(split: Split, some: slice) -> Floats:
            owner, items = split.held(some)
            histories = csr_array((np.ones(len(items), dtype=np.float32), (owner, items)), shape=(len(split.target[some]), len(data.items)))
            return csr_array(histories @ nearest).toarray()

        return scorer

    neighbours, best = max(((count, ndcg(of(count), data.split(2))) for count in _NEIGHBOURS), key=lambda pair: pair[1])
    return of(neighbours), {"neighbours": neighbours, "validation_ndcg_at_10": best}


def sasrec(job: Job) -> Fitted:
    """SASRec with the full softmax, the best of all pairs of width and dropout: the worse half stops after each round of trials.

    Every seed makes its own search.
    """
    settings = job.settings
    grid = [(width, dropout) for width in settings.sasrec_widths for dropout in settings.sasrec_dropouts]
    left = [peer.begin(len(job.data.items), peer.SasrecConfig(loss="softmax", width=width, dropout=dropout, batch=256), job.seed) for width, dropout in grid]
    trials: list[dict[str, Any]] = []
    epochs = settings.sasrec_trial_epochs
    while len(left) > 1:
        left = [_trained(job, trained, epochs) for trained in left]
        trials += [{"width": one.config.width, "dropout": one.config.dropout, "epochs": one.epochs, "validation_ndcg_at_10": one.quality} for one in left]
        left = sorted(left, key=lambda trained: -trained.quality)[: (len(left) + 1) // 2]
        epochs += settings.sasrec_trial_epochs
    return _peer(_trained(job, left[0], settings.sasrec_epochs), trials)


def sasrec_bce(job: Job) -> Fitted:
    """SASRec as published: the binary loss against one drawn item, and the settings of the paper."""
    return _peer(_trained(job, peer.begin(len(job.data.items), peer.SasrecConfig(), job.seed), job.settings.sasrec_bce_epochs), [])


FITS: dict[str, Callable[[Job], Fitted]] = {
    "reelrank": reelrank,
    "sasrec": sasrec,
    "sasrec_bce": sasrec_bce,
    "item_knn": item_knn,
    "popular": popular,
}
UNSEEDED = {"item_knn", "popular"}  # nothing in them is drawn, and no order is learned


def as_tokens(rows: Rows, indptr: Rows) -> Tokens:
    """Items as tokens of which only the order is known."""
    return Tokens(
        start=indptr,
        video=rows,
        actions=np.full(len(rows), int(Action.CLICK | Action.LONG_VIEW), dtype=np.uint8),
        completion=np.full(len(rows), np.nan, dtype=np.float32),
        occurred_at=np.full(len(rows), -np.inf),
        surface=np.zeros(len(rows), dtype=np.int64),
    )


def _tower(towers: TwoTower, window: int) -> Scorer:
    """The logits of the towers, the temperature of which is the softmax's that they were trained with."""
    videos = video_vectors(towers)

    def scorer(split: Split, some: slice) -> Floats:
        tokens = as_tokens(split.rows, np.append(split.start, len(split.rows)))
        owner = np.arange(len(split.target))[some]
        return user_vectors(towers, tokens, owner, split.end[some], window) @ videos.T

    return scorer


def _item_to_item(weights: csr_array, items: int, input_decay: float) -> Scorer:
    def scorer(split: Split, some: slice) -> Floats:
        owner, rows = split.held(some)
        sizes = (split.end - split.start)[some]
        age = np.repeat(np.cumsum(sizes), sizes) - np.arange(len(owner)) - 1
        histories = csr_array(((input_decay**age).astype(np.float32), (owner, rows)), shape=(len(sizes), items))
        return csr_array(histories @ weights).toarray()

    return scorer


def _mixture(tower: Scorer, counted: Scorer, alike: Scorer, valid: Split) -> tuple[Scorer, dict[str, float]]:
    """share · log softmax(tower) + (1 - share) · log(what is counted): a product of experts (Hinton 2002).

    What is counted are the shares of item-to-item with `likeness` times those of items alike in content, and a little for
    everything: never seen is not impossible. Both constants by validation.
    """

    def tower_says(split: Split, some: slice) -> Floats:
        logits = tower(split, some)
        logits[split.held(some)] = -_IMPOSSIBLE
        logits -= logits.max(axis=1, keepdims=True)
        logits -= np.log(np.exp(logits).sum(axis=1, keepdims=True))
        return logits

    def counts_say(split: Split, some: slice, likeness: float) -> Floats:
        held = split.held(some)
        shares = (_shares(counted(split, some), held) + likeness * _shares(alike(split, some), held)) / (1 + likeness)
        said: Floats = np.log((1 - _UNSEEN) * shares + _UNSEEN / shares.shape[1])
        said[held] = -_IMPOSSIBLE
        return said

    gains = {(likeness, share): 0.0 for likeness in _LIKENESSES for share in _SHARES}
    for some in valid.blocks():
        logits, held = tower_says(valid, some), valid.held(some)
        for likeness in _LIKENESSES:
            said = counts_say(valid, some, likeness)
            for share in _SHARES:
                mixed = share * logits + (1 - share) * said
                mixed[held] = -np.inf
                found = retrieval.places(mixed, valid.target[some])
                gains[likeness, share] += float(retrieval.ndcg_of_places(found, K).sum())
    likeness, share = max(gains, key=lambda pair: gains[pair])

    def scorer(split: Split, some: slice) -> Floats:
        return (share * tower_says(split, some) + (1 - share) * counts_say(split, some, likeness)).astype(np.float32)

    return scorer, {"share_of_tower": share, "likeness": likeness}


def _shares(scores: Floats, held: tuple[Rows, Rows]) -> Floats:
    """Scores as shares of their sum, none for what is held."""
    scores[held] = 0.0
    return scores / np.maximum(scores.sum(axis=1, keepdims=True), 1e-12)


def _alike(features: VideoFeatures) -> csr_array:
    """The cosine of the tags of two items, rare tags counting more; of each item's nearest: (items, items)."""
    owner, place = np.nonzero(features.tags >= 0)
    tags = features.tags[owner, place]
    often = np.bincount(tags, minlength=1)
    rare = np.log(len(features) / np.maximum(often, 1)).astype(np.float32)  # inverse document frequency (Spärck Jones 1972)
    tagged = csr_array((rare[tags], (owner, tags)), shape=(len(features), len(often)))
    lengths = np.sqrt(np.maximum(np.asarray(tagged.power(2).sum(axis=1)), 1e-12))
    tagged = csr_array(diags_array(1 / lengths) @ tagged).astype(np.float32)
    cosines = csr_array(tagged @ tagged.T)
    cosines.setdiag(0)
    return _nearest(cosines, _ALIKE)


def _trained(job: Job, trained: peer.Trained, epochs: int) -> peer.Trained:
    rows, indptr = job.data.training
    return peer.train(trained, rows, indptr, lambda network: ndcg(_sasrec_scorer(network), job.data.split(2)), epochs=epochs, on_progress=job.on_progress)


def _peer(trained: peer.Trained, trials: list[dict[str, Any]]) -> Fitted:
    trained.network.load_state_dict(trained.best)
    chosen = msgspec.to_builtins(trained.config) | {"epochs": trained.epochs, "validation_ndcg_at_10": trained.quality}
    return _sasrec_scorer(trained.network), chosen | ({"trials": trials} if trials else {})


def _sasrec_scorer(network: peer.Sasrec) -> Scorer:
    return lambda split, some: peer.scores(network, split.rows, split.start[some], split.end[some])


def _nearest(similar: csr_array, keep: int) -> csr_array:
    """The `keep` largest entries of each column."""
    by_column = csr_array(similar.T)
    by_column.eliminate_zeros()
    sizes = np.diff(np.asarray(by_column.indptr))
    owner = np.repeat(np.arange(len(sizes)), sizes)
    order = np.lexsort((-np.asarray(by_column.data, dtype=np.float32), owner))
    place = np.arange(len(owner)) - np.repeat(np.cumsum(sizes) - sizes, sizes)
    best = order[place < keep]
    return csr_array((by_column.data[best], (by_column.indices[best], owner[best])), shape=similar.shape)
