"""GET /v1/models: which models a process works with, and what came of their last trainings."""

import time
from pathlib import Path

import msgspec
import numpy as np

from reelrank.candidates import similar_users
from reelrank.storage.artifacts import PARENT
from reelrank.storage.last_runs import LastRun, LastRuns
from serving.running_service import Service, running, within

ABOUT = {"users": 3, "auc_long_view": 0.7631}


def publish(service: Service, made_at: float) -> str:
    """Publishes lists of similar users; returns their version."""
    lists = similar_users.collect([np.array([0, 1])], [np.array([1.0, 2.0])], posting=10)
    artifact = service.system.artifacts.publish(similar_users.SIMILAR_USERS, made_at, lambda folder: lists.save(folder / similar_users.FILE), ABOUT)
    return artifact.manifest.version


def test_before_anything_is_published_no_model_is_live(shared: Service) -> None:
    answer = shared.get("/v1/models").json()
    assert (answer["models"], answer["ranked_by"]) == ([], "quality_taste")
    assert abs(answer["now"] - time.time()) < 10


def test_a_published_model_is_told_with_its_numbers_and_since_when_it_is_used(service: Service) -> None:
    before = time.time()
    version = publish(service, made_at=1_750_000_000.0)
    within(lambda: service.get("/v1/models").json()["models"])
    answer = service.get("/v1/models").json()
    (model,) = answer["models"]
    assert (model["name"], model["version"], model["created_at"], model["about"]) == ("similar_users", version, 1_750_000_000.0, {**ABOUT, PARENT: ""})
    assert before - 1 <= model["since"] <= answer["now"]
    newer = publish(service, made_at=1_750_000_100.0)
    within(lambda: service.get("/v1/models").json()["models"][0]["version"] == newer)
    assert service.get("/v1/models").json()["models"][0]["since"] > model["since"]


def test_a_model_that_can_not_be_read_is_counted_and_not_told(service: Service) -> None:
    service.system.artifacts.publish("ranker", 1_750_000_000.0, lambda folder: (folder / "nothing").write_text("to see"))
    within(lambda: b'reelrank_model_refused_total{model="ranker"} 1.0' in service.get("/metrics").data)
    assert service.get("/v1/models").json()["models"] == []
    assert service.get("/v1/feed?user_id=ana").json()["ranked_by"] == "quality_taste"


def test_the_last_training_of_each_model_is_told_by_whichever_process_it_was(service: Service) -> None:
    assert service.get("/v1/models").json()["trainings"] == []
    run = LastRun(model="ranker", outcome="refused", ended_at=1_750_000_000.0, seconds=2.5, reasons=("it is worse",), metrics={"auc_click": 0.7})
    LastRuns(service.system.artifacts.root).keep(run)
    assert service.get("/v1/models").json()["trainings"] == [msgspec.json.decode(msgspec.json.encode(run))]
    assert b'outcome="refused"} 1.0' in service.get("/metrics").data


def test_it_takes_no_parameters(shared: Service) -> None:
    answer = shared.get("/v1/models?name=ranker")
    assert (answer.status, "there is no parameter" in answer.json()["error"]) == (400, True)


def test_where_keys_are_asked_for_the_right_to_read_feeds_is_needed(tmp_path: Path) -> None:
    for service in running(tmp_path, auth="on"):
        now = service.system.clock.now()
        _, reader = service.system.keys.create("reader", ["feed:read"], now)
        _, writer = service.system.keys.create("writer", ["events:write"], now)
        statuses = [service.get("/v1/models", headers={"Authorization": f"Bearer {key}"} if key else {}).status for key in (reader, writer, "")]
        assert statuses == [200, 403, 401]
