"""A demo's people go on when the feed was away for a while."""

import threading
import time
from functools import partial
from pathlib import Path

from reelrank.simulation.client import FeedClient
from reelrank.simulation.demo import LivingWorld
from reelrank.simulation.world import World
from serving.running_service import Service, running, within


def test_films_wait_for_a_feed_that_is_away_and_bring_their_past_when_it_is_there(tmp_path: Path, free_port: int) -> None:
    world = World.from_seed(3, videos=3, users=20, now=float(int(time.time())))
    people = LivingWorld(world, FeedClient(f"http://127.0.0.1:{free_port}", timeout_s=1.0, retries=0), tmp_path / "media")
    stopping, waits = threading.Event(), []

    def wait(seconds: float) -> bool:
        waits.append(seconds)
        return stopping.wait(seconds)

    living = threading.Thread(target=people.go_on, args=(wait,))
    living.start()
    within(lambda: len(waits) > 0, 60.0)  # they have come in vain
    for service in running(tmp_path / "service", port=free_port):
        within(partial(_knows_and_heard_of, service, world), 60.0)
        stopping.set()
        living.join(30.0)
    assert not living.is_alive()


def _knows_and_heard_of(service: Service, world: World) -> bool:
    people = {person.user_id for person in world.people}
    known = all(service.get(f"/v1/videos/{video.video_id}").status == 200 for video in world.videos)
    return known and any(accepted.event.key in people for accepted in service.stored())
