"""Judges rankers: what an artifact, as it would serve, says of examples from which nobody has learned."""

from pathlib import Path

import numpy as np

from reelrank.evaluation.paired import auc_shares, log_likelihoods
from reelrank.models.sessions import RankerSession
from reelrank.training.examples import TrainingSet
from reelrank.training.online_ranker import OnlineRanker
from reelrank.training.publish import Judged, Unfit, predicted
from reelrank.training.score_examples import score_examples
from reelrank.training.unreadable import reading

_COMMON = 50  # outcomes of either kind, from which on a head is measured by itself
_COMPARED = 500  # examples on which network and export are compared


class RankerJudge:
    """Held-out examples, and how rankers predict them."""

    def __init__(self, held_out: TrainingSet) -> None:
        self._held_out = held_out

    def __call__(self, folder: Path) -> Judged:
        """AUCs of the heads that are not rare, the likelihood of all that is known, and how near watch times are. Raises Unfit."""
        examples = self._held_out.examples
        try:
            session = RankerSession(folder)
            logits, seconds = score_examples(session, self._held_out)
        except Exception as problem:  # whatever damaged files or another release's do to a session
            raise Unfit(f"it can't be loaded: {problem}") from problem
        chances = session.predictions(logits, seconds)
        likelihood = np.zeros(len(examples))
        measures: dict[str, np.ndarray] = {}
        for head in session.heads:
            labels, chance = examples.label(head), predicted(head, chances[head])
            known = ~np.isnan(labels)
            happened = labels[known] > 0
            likelihood[known] += log_likelihoods(happened, chance[known])
            if min(happened.sum(), len(happened) - happened.sum()) >= _COMMON:
                measures[f"auc_{head}"] = np.full(len(examples), np.nan)
                measures[f"auc_{head}"][known] = auc_shares(happened, chance[known])
        error_s = np.abs(examples.watched_s - predicted("watch time", seconds))
        return Judged(examples.user, {**measures, "likelihood": likelihood, "watch_nearness_s": -error_s.astype(np.float64)})


def parity(folder: Path, seen: TrainingSet) -> float:
    """The largest difference between the logits of who learns on and of who serves, over some of the examples. Raises Unreadable if either can't."""
    some = TrainingSet(seen.examples.take(np.arange(min(len(seen.examples), _COMPARED))), seen.tokens, seen.traits, seen.user_ids)
    with reading(folder):
        learned, served = OnlineRanker.load(folder, now=0.0).predict(some), score_examples(RankerSession(folder), some)[0]
    return float(np.abs(learned - served).max(initial=0.0))
