"""How well predictions order and fit what happened: AUC, AUC within groups, log loss."""

import numpy as np
from numpy.typing import NDArray

Outcomes = NDArray[np.bool_]  # (n,) what happened
Scores = NDArray[np.float64]  # (n,) what was predicted
Groups = NDArray[np.int64]  # (n,) rows with equal numbers are compared with each other


def auc(outcomes: Outcomes, scores: Scores) -> float:
    """The chance that a row where it happened scores above one where it did not; a tie counts half.

    nan if only one of both occurs.
    """
    areas, _ = group_areas(outcomes, scores, np.zeros(len(scores), dtype=np.int64))
    return float(areas[0]) if len(areas) else float("nan")


def gauc(outcomes: Outcomes, scores: Scores, groups: Groups) -> float:
    """The mean AUC of the groups in which both outcomes occur, weighted by their rows. nan if there is no such group."""
    areas, sizes = group_areas(outcomes, scores, groups)
    known = ~np.isnan(areas)
    return float(np.average(areas[known], weights=sizes[known])) if known.any() else float("nan")


def log_loss(outcomes: Outcomes, probabilities: Scores) -> float:
    """The mean negative log likelihood, in nats; a probability of 0 or 1 is taken as one in ten million."""
    if len(outcomes) == 0:
        return float("nan")
    inside = np.clip(probabilities, 1e-7, 1 - 1e-7)
    return float(-np.where(outcomes, np.log(inside), np.log1p(-inside)).mean())


def user_days(user_ids: NDArray[np.str_], days: NDArray[np.int64]) -> Groups:
    """A number for each (user, day), the groups that GAUC is read over.

    Not by user over many days: there a running success rate predicts its own opposite (after the hit, what is
    left are misses) and a good feature looks bad.
    """
    if len(user_ids) == 0:
        return np.empty(0, dtype=np.int64)
    _, users = np.unique(user_ids, return_inverse=True)
    _, dates = np.unique(days, return_inverse=True)
    return users * (int(dates.max()) + 1) + dates


def group_areas(outcomes: Outcomes, scores: Scores, groups: Groups) -> tuple[Scores, NDArray[np.int64]]:
    """The AUC of each group, nan where only one of both outcomes occurs, and its rows, in the order of the groups' numbers: (g,) both.

    From the rank sums of the rows where it happened.
    """
    if len(scores) == 0:
        return np.empty(0), np.empty(0, dtype=np.int64)
    order = np.lexsort((scores, groups))
    happened, score, group = outcomes[order].astype(np.float64), scores[order], groups[order]
    new_group = np.concatenate([[True], group[1:] != group[:-1]])
    starts = np.flatnonzero(new_group)
    sizes = np.diff(np.append(starts, len(group)))

    new_tie = new_group | np.concatenate([[True], score[1:] != score[:-1]])
    tie_starts = np.flatnonzero(new_tie)
    tie_sizes = np.diff(np.append(tie_starts, len(group)))
    mean_places = np.repeat(tie_starts + (tie_sizes - 1) / 2, tie_sizes)  # equal scores share their mean rank
    ranks = mean_places - np.repeat(starts, sizes) + 1

    positives = np.add.reduceat(happened, starts)
    negatives = sizes - positives
    rank_sums = np.add.reduceat(ranks * happened, starts)
    pairs = positives * negatives
    return np.divide(rank_sums - positives * (positives + 1) / 2, pairs, out=np.full(len(pairs), np.nan), where=pairs > 0), sizes
