"""The online store in Redis when Redis is away, slow, killed, empty, somebody else's, or a cluster that loses a node."""

import logging
import random
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack

import pytest

from reelrank.benchmarks.local_redis import LocalRedis, LocalRedisCluster
from reelrank.storage.event_log import StorageError, partition_of
from reelrank.storage.online_store import FoldConflict
from reelrank.storage.online_store_redis import RedisOnlineStore
from reelrank.storage.redis_nodes import Breaker, RedisNodes

Opener = Callable[..., RedisOnlineStore]

PARTITIONS = 4
NAMES = [next(name for name in (f"user-{n}" for n in range(100)) if partition_of(name, PARTITIONS) == partition) for partition in range(PARTITIONS)]
ANA = NAMES[0]


@pytest.fixture
def open_store() -> Iterator[Opener]:
    with ExitStack() as opened:

        def _open(url: str, **options: float) -> RedisOnlineStore:
            store = RedisOnlineStore(url, PARTITIONS, **options)
            opened.callback(store.close)
            return store

        yield _open


def within(seconds: float, action: Callable[[], object]) -> None:
    """Tries again until it works."""
    deadline = time.monotonic() + seconds
    while True:
        try:
            action()
            return
        except StorageError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.02)


def took_s(action: Callable[[], object]) -> float:
    began = time.perf_counter()
    with pytest.raises(StorageError):
        action()
    return time.perf_counter() - began


def test_after_a_stop_and_start_everything_is_there_and_the_same_store_goes_on(own_redis: LocalRedis, open_store: Opener) -> None:
    store = open_store(own_redis.url)
    store.commit(0, 0, 2, {ANA: b"a"}, bytes(16))
    own_redis.stop()
    with pytest.raises(StorageError, match=r"can't read users: Redis at 127\.0\.0\.1:\d+"):
        store.read((ANA,))
    with pytest.raises(StorageError, match=r"can't write users: Redis at 127\.0\.0\.1:\d+"):
        store.commit(0, 2, 3, {ANA: b"b"}, bytes(8))
    own_redis.start()
    within(2, lambda: store.read((ANA,)))
    assert store.read((ANA,)) == ([b"a"], [2])
    store.commit(0, 2, 3, {ANA: b"b"}, bytes(8))
    assert store.read((ANA,)) == ([b"b"], [3])


def test_kill_9_under_load_leaves_users_and_offset_of_one_moment(own_redis: LocalRedis, open_store: Opener) -> None:
    store = open_store(own_redis.url)
    for _ in range(3):
        killer = threading.Timer(random.uniform(0.05, 0.3), own_redis.kill)
        killer.start()
        with pytest.raises(StorageError):
            while True:
                [folded] = store.read((ANA,)).offsets
                store.commit(0, folded, folded + 1, {ANA: str(folded + 1).encode()}, (folded + 1).to_bytes(8, "big"))
        killer.join()
        own_redis.start()
        within(2, store.offsets)
        [record], [offset] = store.read((ANA,))
        assert int(record or b"0") == offset
        assert store.recent(0) == (0, offset, b"".join(n.to_bytes(8, "big") for n in range(1, offset + 1)))


def test_a_commit_whose_answer_was_lost_may_have_been_applied_and_then_the_next_one_is_told(own_redis: LocalRedis, open_store: Opener) -> None:
    store = open_store(own_redis.url, commit_timeout_s=0.2)
    store.commit(0, 0, 1, {}, bytes(8))
    own_redis.pause()
    with pytest.raises(StorageError, match=r"can't write users.*[Tt]imeout"):
        store.commit(0, 1, 2, {ANA: b"a"}, bytes(8))
    own_redis.resume()
    within(2, store.offsets)
    assert store.read((ANA,)) == ([b"a"], [2])
    with pytest.raises(FoldConflict, match="folded up to 2, not 1"):
        store.commit(0, 1, 2, {ANA: b"a"}, bytes(8))


def test_a_read_waits_no_longer_than_its_time_limit_and_then_is_refused_at_once_for_a_moment(own_redis: LocalRedis, open_store: Opener) -> None:
    store = open_store(own_redis.url)
    store.commit(0, 0, 1, {ANA: b"a"}, bytes(8))
    store.read((ANA,))
    own_redis.pause()
    assert 0.09 < took_s(lambda: store.read((ANA,))) < 0.2
    assert max(took_s(lambda: store.read(NAMES)) for _ in range(20)) < 0.02
    time.sleep(0.3)
    assert took_s(lambda: store.read((ANA,))) > 0.09  # one tries again
    assert took_s(lambda: store.read((ANA,))) < 0.02
    own_redis.resume()
    time.sleep(0.3)
    assert store.read((ANA,)).users == [b"a"]


def test_while_redis_is_away_only_one_of_many_readers_tries_at_a_time() -> None:
    breaker = Breaker(rest_s=0.05)
    assert [breaker.lets_through() for _ in range(3)] == [True] * 3
    breaker.note(worked=False)
    assert not breaker.lets_through()
    time.sleep(0.06)
    assert [breaker.lets_through() for _ in range(3)] == [True, False, False]
    breaker.note(worked=True)
    assert [breaker.lets_through() for _ in range(3)] == [True] * 3


def test_a_store_can_be_opened_while_redis_is_away(own_redis: LocalRedis, open_store: Opener, caplog: pytest.LogCaptureFixture) -> None:
    own_redis.stop()
    with caplog.at_level(logging.WARNING):
        store = open_store(own_redis.url)
    assert "trying again when somebody asks" in caplog.text
    own_redis.start()
    within(2, store.offsets)
    store.commit(0, 0, 1, {ANA: b"a"}, bytes(8))
    assert store.read((ANA,)) == ([b"a"], [1])


def test_a_store_opened_while_redis_was_away_still_refuses_another_format(own_redis: LocalRedis) -> None:
    own_redis.stop()
    other = RedisOnlineStore(own_redis.url, PARTITIONS + 1)
    own_redis.start()
    written = RedisOnlineStore(own_redis.url, PARTITIONS)
    written.commit(0, 0, 1, {ANA: b"a"}, bytes(8))
    time.sleep(0.3)
    for action in (lambda: other.read((ANA,)), lambda: other.commit(0, 0, 1, {}, bytes(8)), lambda: other.commit(0, 1, 2, {}, bytes(8))):
        with pytest.raises(StorageError, match=r"written as '3 partitions=4 .*now it would be '3 partitions=5"):
            action()
    written.close()
    other.close()


def test_a_redis_that_has_lost_everything_is_folded_into_again(own_redis: LocalRedis, open_store: Opener) -> None:
    store = open_store(own_redis.url)
    store.commit(0, 0, 5_000, {ANA: b"a"}, bytes(40_000))
    with own_redis.client() as inside:
        inside.flushall()
    assert store.offsets() == (0,) * PARTITIONS
    with pytest.raises(FoldConflict, match="folded up to 0, not 5000"):
        store.commit(0, 5_000, 5_001, {ANA: b"b"}, bytes(8))
    store.commit(0, 0, 5_001, {ANA: b"b"}, bytes(40_008))
    assert store.read((ANA,)) == ([b"b"], [5_001])
    with pytest.raises(StorageError, match="now it would be"):
        RedisOnlineStore(own_redis.url, PARTITIONS + 1)


def test_fingerprints_that_were_thrown_away_are_noticed(own_redis: LocalRedis, open_store: Opener) -> None:
    store = open_store(own_redis.url)
    store.commit(0, 0, 1, {}, bytes(8))
    with own_redis.client() as inside:
        inside.delete("{reelrank:0}r0")
    with pytest.raises(StorageError, match=r"thrown away fingerprints of partition 0: set maxmemory-policy to noeviction"):
        store.recent(0)


def test_settings_that_do_not_suit_a_store_are_told(own_redis: LocalRedis, open_store: Opener, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        open_store(own_redis.url)
    assert caplog.text == ""
    with own_redis.client() as inside:
        inside.config_set("appendonly", "no")
        inside.config_set("maxmemory-policy", "allkeys-lru")
    with caplog.at_level(logging.WARNING):
        open_store(own_redis.url)
    assert "set appendonly yes" in caplog.text
    assert "set maxmemory-policy noeviction" in caplog.text


def test_a_full_redis_refuses_a_commit_and_keeps_the_state_before(own_redis: LocalRedis, open_store: Opener) -> None:
    store = open_store(own_redis.url)
    store.commit(0, 0, 1, {ANA: b"0"}, bytes(8))
    with own_redis.client() as inside:
        inside.config_set("maxmemory", "6mb")
        folded = 1
        with pytest.raises(StorageError, match=r"can't write users.*memory"):
            while folded < 100:
                store.commit(0, folded, folded + 1, {ANA: str(folded).encode(), f"{folded}": bytes(500_000)}, bytes(8))
                folded += 1
        assert store.offsets()[0] == folded
        assert int(store.read((ANA,)).users[0] or b"0") == folded - 1
        inside.config_set("maxmemory", "0")
    store.commit(0, folded, folded + 1, {}, bytes(8))


@pytest.mark.parametrize("wrong", ["other-password", ""])
def test_a_wrong_password_is_told_at_once_and_no_password_is_ever_shown(own_redis: LocalRedis, wrong: str, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.DEBUG), pytest.raises(StorageError) as refused:
        RedisOnlineStore(own_redis.url.replace(own_redis.password, wrong), PARTITIONS)
    store = RedisOnlineStore(own_redis.url, PARTITIONS)
    own_redis.stop()
    with caplog.at_level(logging.DEBUG), pytest.raises(StorageError) as away:
        store.read((ANA,))
    store.close()
    shown = f"{caplog.text} {refused.value} {refused.value.__cause__!r} {away.value} {away.value.__cause__!r} {store!r}"
    assert own_redis.password not in shown
    assert not wrong or wrong not in shown


@pytest.mark.parametrize(
    "url",
    [
        "redis://:secret@host:port/0",
        "redis://:secret@host:6379/x",
        "redis://:secret@:6379/0",
        "redis://:secret@one:1,two:2",
        "redis-cluster://:secret@one:1/3",
        "kafka://:secret@one:1",
        "se:cret",
    ],
)
def test_a_url_that_can_not_be_read_is_refused_without_showing_the_password(url: str) -> None:
    with pytest.raises(ValueError, match=r"the online store's URL .*redis://\[user:password@\]host") as refused:
        RedisOnlineStore(url, PARTITIONS)
    assert "cret" not in str(refused.value)
    assert refused.value.__cause__ is None


def test_what_a_url_may_say() -> None:
    nodes = RedisNodes("rediss://ana:p%40ss@example.org/3", 1.0)
    assert nodes.where == "example.org:6379"
    options = nodes._options
    assert (options["username"], options["password"], options["db"], options["ssl"]) == ("ana", "p@ss", 3, True)
    assert RedisNodes("redis://:p@s/s:w@localhost", 1.0)._options["password"] == "p@s/s:w"
    assert RedisNodes("redis-cluster://[::1]:7000,two:7001", 1.0).where == "::1:7000, two:7001"


@pytest.mark.parametrize("prefix", ["", "a{b", "a b", "a*"])
def test_a_prefix_that_would_confuse_keys_is_refused(prefix: str) -> None:
    with pytest.raises(ValueError, match="can't be the beginning of all keys"):
        RedisOnlineStore("redis://localhost", PARTITIONS, prefix=prefix)


def test_deployments_with_different_prefixes_do_not_meet(own_redis: LocalRedis) -> None:
    one, other = RedisOnlineStore(own_redis.url, PARTITIONS, prefix="one"), RedisOnlineStore(own_redis.url, 2, prefix="one.more")
    one.commit(0, 0, 1, {ANA: b"a"}, bytes(8))
    assert list(other.scan_users()) == []
    assert other.offsets() == (0, 0)
    assert list(one.scan_users()) == [(ANA, b"a")]
    one.close()
    other.close()


def test_a_read_is_one_round_trip(own_redis: LocalRedis, open_store: Opener) -> None:
    store = open_store(own_redis.url)
    store.commit(0, 0, 1, {ANA: b"a"}, bytes(8))
    with own_redis.client() as inside:
        for names in ((ANA,), tuple(NAMES)):
            store.read(names)
            before = inside.info("stats")["total_reads_processed"]
            store.read(names)
            assert inside.info("stats")["total_reads_processed"] - before == 2  # this question and the read


def test_the_fingerprints_of_a_window_take_no_more_memory_than_they_are_long(own_redis: LocalRedis, open_store: Opener) -> None:
    store = open_store(own_redis.url, repeat_window=50_000)
    for start in range(0, 60_000, 500):
        store.commit(0, start, start + 500, {}, bytes(4_000))
    with own_redis.client() as inside:
        blocks = [inside.memory_usage(key) or 0 for key in inside.scan_iter("*r*[0-9]")]
    assert sum(blocks) <= 1.15 * 8 * 54_000


def test_a_full_history_takes_at_most_8_kib(own_redis: LocalRedis, open_store: Opener) -> None:
    store, rng = open_store(own_redis.url), random.Random(3)
    with own_redis.client() as inside:
        before = inside.info("memory")["used_memory"]
        for at in range(0, 4_000, 500):
            store.commit(0, at, at + 500, {f"user-{number}": rng.randbytes(rng.randint(5_000, 6_800)) for number in range(at, at + 500)}, bytes(4_000))
        inside.config_set("client-output-buffer-limit", "normal 0 0 0")
        assert (inside.info("memory")["used_memory"] - before) / 4_000 <= 8_192


def test_the_partitions_of_a_node_that_is_away_are_missed_and_the_others_go_on(own_redis_cluster: LocalRedisCluster, open_store: Opener) -> None:
    for node in own_redis_cluster.nodes:
        with node.client() as inside:
            inside.config_set("cluster-require-full-coverage", "no")
    store = open_store(own_redis_cluster.url)
    for partition, name in enumerate(NAMES):
        store.commit(partition, 0, 1, {name: name.encode()}, bytes(8))
    assert store.read(NAMES) == ([name.encode() for name in NAMES], [1] * PARTITIONS)
    own_redis_cluster.nodes[0].kill()
    for _ in range(3):
        answered = [name for name in NAMES if answers(store, name)]
        assert 0 < len(answered) < PARTITIONS
        time.sleep(0.3)
    own_redis_cluster.start()
    within(5, lambda: store.read(NAMES))
    assert store.read(NAMES).users == [name.encode() for name in NAMES]
    assert sorted(store.scan_users()) == sorted((name, name.encode()) for name in NAMES)


def answers(store: RedisOnlineStore, name: str) -> bool:
    began = time.perf_counter()
    try:
        return store.read((name,)).users == [name.encode()]
    except StorageError:
        return False
    finally:
        assert time.perf_counter() - began < 0.5


def test_a_slot_that_moves_to_another_master_is_found_there(own_redis_cluster: LocalRedisCluster, open_store: Opener) -> None:
    store = open_store(own_redis_cluster.url)
    store.commit(0, 0, 1, {ANA: b"a"}, bytes(8))
    clients = [node.client() for node in own_redis_cluster.nodes]
    slot = clients[0].execute_command("CLUSTER KEYSLOT", "{reelrank:0}")
    ids = [client.execute_command("CLUSTER MYID").decode() for client in clients]
    source = next(at for at, client in enumerate(clients) if client.execute_command("CLUSTER COUNTKEYSINSLOT", slot))
    target = (source + 1) % 3
    clients[target].execute_command("CLUSTER SETSLOT", slot, "IMPORTING", ids[source])
    clients[source].execute_command("CLUSTER SETSLOT", slot, "MIGRATING", ids[target])
    for key in clients[source].execute_command("CLUSTER GETKEYSINSLOT", slot, 100):
        clients[source].execute_command("MIGRATE", "127.0.0.1", own_redis_cluster.nodes[target].port, key, 0, 5_000, "AUTH", own_redis_cluster.password)
    for at in (target, source):
        clients[at].execute_command("CLUSTER SETSLOT", slot, "NODE", ids[target])
    assert store.read((ANA,)) == ([b"a"], [1])
    store.commit(0, 1, 2, {ANA: b"b"}, bytes(8))
    assert store.read((ANA,)) == ([b"b"], [2])
    for client in clients:
        client.close()
