"""A real log through the whole loop: how many events a second, and how well it predicts what it has not seen yet."""

import time
from collections import Counter
from typing import Any

import numpy as np

from reelrank.benchmarks.percentiles import spread
from reelrank.benchmarks.scratch import scratch_system
from reelrank.domain.clock import ManualClock
from reelrank.evaluation.prediction import auc, gauc, log_loss, user_days
from reelrank.simulation.kuairand import Exposures, KuaiRand, events_in_order
from reelrank.simulation.replay import TOGETHER_S, OnProgress, Predictions, Prequential, ReplayError, bodies_of, post_log
from reelrank.wiring import scratch_reelrank

HISTORIES_AT_ONCE = 250  # in one body; each may name 150 videos
LABELS = ("click", "long_view", "like")


def measure_speed(data: KuaiRand, exposures: Exposures, on_progress: OnProgress = lambda _: None) -> dict[str, Any]:
    """Posts the log to a running system; the clock runs from the first request until the last event is folded."""
    bodies = list(bodies_of(events_in_order(exposures)))
    with scratch_system() as system:
        began = time.perf_counter()
        system.publish(data.videos())
        for body in bodies_of(data.histories(), HISTORIES_AT_ONCE):
            system.client.post_raw(body.content)
        import_s = system.wait_folded() - began

        began = time.perf_counter()
        posted = post_log(system.client, bodies, on_progress)
        post_s = time.perf_counter() - began
        total_s = system.wait_folded() - began
    if posted.refused:
        raise ReplayError(f"{len(posted.refused)} events were refused; the first: {posted.refused[0]}")
    return {
        "events": posted.accepted,
        "exposures": len(exposures),
        "events_per_s": round(posted.accepted / total_s, 1),
        "seconds": round(total_s, 3),
        "post_s": round(post_s, 3),
        "fold_after_s": round(total_s - post_s, 3),
        "import_s": round(import_s, 3),
        "megabytes": round(sum(len(body.content) for body in bodies) / 1e6, 1),
        "batches": len(bodies),
        "batch_ms": spread(posted.request_ms),
    }


def measure_quality(
    data: KuaiRand, exposures: Exposures, seed: int = 0, feeds: int = 2_000, count: int = 50, together_s: float = TOGETHER_S,
    histories: int | None = None, on_progress: OnProgress = lambda _: None,
) -> dict[str, Any]:  # fmt: skip
    """Predicts every exposure before it is seen, in this process with the same parts, and judges the predictions.

    With `histories` only so many users, those seen last, have a past.
    """
    began = time.perf_counter()
    rng = np.random.default_rng(seed)
    long_views = np.flatnonzero(exposures.long_view)
    ask_at = np.sort(rng.choice(long_views, size=min(feeds, len(long_views)), replace=False))
    clock = ManualClock()
    with scratch_reelrank(clock) as system:
        replay = Prequential(system, clock, together_s)
        replay.begin(data, histories)
        imported_s = time.perf_counter() - began
        predictions = replay.run(exposures, ask_at.tolist(), count, seed, on_progress)
    return {
        **_judged(exposures, predictions),
        **_recalled(predictions, count),
        "batches": predictions.batches,
        "together_s": together_s,
        "seed": seed,
        "import_s": round(imported_s, 1),
        "seconds": round(time.perf_counter() - began, 1),
    }


def _judged(exposures: Exposures, predictions: Predictions) -> dict[str, Any]:
    outcomes = {"click": exposures.clicked, "long_view": exposures.long_view, "like": exposures.liked}
    groups = user_days(exposures.user_ids, exposures.days)
    heads = {label: predictions.heads[label] for label in LABELS if label in predictions.heads}
    return {
        "auc": {label: round(auc(outcomes[label], scores), 4) for label, scores in heads.items()},
        "gauc": {label: round(gauc(outcomes[label], scores, groups), 4) for label, scores in heads.items()},
        "log_loss": {label: round(log_loss(outcomes[label], scores), 4) for label, scores in heads.items()},
        "auc_by_day": {
            str(day): {label: round(auc(outcomes[label][exposures.days == day], scores[exposures.days == day]), 4) for label, scores in heads.items()}
            for day in np.unique(exposures.days)
        },
    }


def _recalled(predictions: Predictions, count: int) -> dict[str, Any]:
    """Shares of the long views that were in the list asked for just before; a source gets the finds it proposed, alone or not."""
    answers = predictions.answers
    if not answers:
        return {}
    found = [answer for answer in answers if answer.rank >= 0]
    by_source = Counter(source for answer in found for source in answer.sources)
    return {
        f"recall_at_{count}": round(len(found) / len(answers), 4),
        f"popular_recall_at_{count}": round(sum(answer.popular_rank >= 0 for answer in answers) / len(answers), 4),
        "recall_by_source": {source: round(times / len(answers), 4) for source, times in by_source.most_common()},
        "seen_before": round(sum(answer.known for answer in answers) / len(answers), 4),
        "feeds": len(answers),
    }
