"""The online store in Redis or Redis Cluster: one round trip for a user, one script for a commit, a partition in one hash slot."""

import hashlib
import logging
import re
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from redis.exceptions import NoScriptError

from reelrank.storage.event_log import StorageError, partition_of
from reelrank.storage.fingerprints import FingerprintBlocks, check_commit
from reelrank.storage.online_store import FINGERPRINT_BYTES, FoldConflict, Snapshot
from reelrank.storage.redis_nodes import Client, RedisAway, RedisNodes

logger = logging.getLogger(__name__)

_FORMAT_NUMBER = 3  # of what is stored here and of the records themselves; a new one makes the stream fold again
_BLOCK = 4_000  # fingerprints; with its head a block just fits the 32 kB that Redis's allocator has for it
_REST_S = 0.25  # so long nobody asks a server that did not answer
_SCANNED = 1_000  # keys looked at, and users read, per round trip of a scan
_READ, _WRITE = "can't read users", "can't write users"

# KEYS: offset, format, blocks written, users written, blocks removed.
# ARGV: folded_from, folded_to, format, blocks, users, bytes of a whole block, (at, data) of each block, the users' records.
# A new block is made as long as it will get: a string that grows piece by piece takes up to twice its length.
_COMMIT = """
local format = redis.call('GET', KEYS[2])
if format and format ~= ARGV[3] then return {'format', format} end
local folded_to = redis.call('GET', KEYS[1]) or '0'
if folded_to ~= ARGV[1] then return {'offset', folded_to} end
if not format then redis.call('SET', KEYS[2], ARGV[3]) end
local blocks, users = tonumber(ARGV[4]), tonumber(ARGV[5])
for i = 1, blocks do
  local key, at = KEYS[2 + i], ARGV[5 + 2 * i]
  if at == '0' then redis.call('SETRANGE', key, ARGV[6] - 1, '\\0') end
  redis.call('SETRANGE', key, at, ARGV[6 + 2 * i])
end
for first = 1, users, 1000 do
  local pairs = {}
  for i = first, math.min(users, first + 999) do
    pairs[#pairs + 1] = KEYS[2 + blocks + i]
    pairs[#pairs + 1] = ARGV[6 + 2 * blocks + i]
  end
  redis.call('MSET', unpack(pairs))
end
for i = 3 + blocks + users, #KEYS do redis.call('DEL', KEYS[i]) end
redis.call('SET', KEYS[1], ARGV[2])
return {'done'}
"""
_COMMIT_NAME = hashlib.sha1(_COMMIT.encode()).hexdigest()  # as Redis names scripts


class RedisOnlineStore:
    """An OnlineStore in Redis.

    A read waits at most `read_timeout_s` and, after a failure, is refused at once for a moment: a feed does without the
    user rather than wait. A commit waits `commit_timeout_s`; when its answer is lost it may have been applied
    all the same: whoever tries again gets FoldConflict, and goes on from the offset that the store has.
    Redis may lose what it has not written to disk; users, offset and fingerprints of a partition go together,
    so that what is missing is folded again from the log.
    """

    def __init__(
        self,
        url: str,
        partitions: int,
        repeat_window: int = 1_000_000,
        prefix: str = "reelrank",
        read_timeout_s: float = 0.1,
        commit_timeout_s: float = 5.0,
    ) -> None:
        if not re.fullmatch(r"[A-Za-z0-9._:-]+", prefix):
            raise ValueError(f"{prefix!r} can't be the beginning of all keys in Redis; letters, digits and . _ : - can")
        self.partitions = partitions
        self._reading = RedisNodes(url, read_timeout_s, _REST_S)
        self._writing = RedisNodes(url, commit_timeout_s)
        self._prefix = prefix
        self._format = f"{_FORMAT_NUMBER} partitions={partitions} repeat_window={repeat_window}"
        self._blocks = FingerprintBlocks(_BLOCK, repeat_window)
        self._slots = [f"{{{prefix}:{partition}}}".encode() for partition in range(partitions)]
        self._checked = False
        try:
            self._check_format()
            self._warn()
        except RedisAway as problem:
            logger.warning("%s; trying again when somebody asks", problem)

    def read(self, user_ids: Sequence[str]) -> Snapshot:
        if not self._checked:
            self._check_format()
        wanted: defaultdict[int, list[int]] = defaultdict(list)  # partition -> places in user_ids
        for place, user_id in enumerate(user_ids):
            wanted[partition_of(user_id, self.partitions)].append(place)
        users: list[bytes | None] = [None] * len(user_ids)
        offsets = [0] * len(user_ids)
        # One MGET for what is in a partition: Redis answers it at one moment.
        questions = {p: ("MGET", self._slots[p] + b"o", *(self._slots[p] + b"u" + user_ids[place].encode() for place in wanted[p])) for p in wanted}
        for partition, (offset, *records) in self._asked(questions).items():
            for place, record in zip(wanted[partition], records, strict=True):
                users[place], offsets[place] = record, int(offset or 0)
        return Snapshot(users, offsets)

    def commit(self, partition: int, folded_from: int, folded_to: int, users: Mapping[str, bytes], fingerprints: bytes) -> None:
        check_commit(partition, folded_from, folded_to, fingerprints)
        slot = self._slots[partition]
        pieces = list(self._blocks.pieces(folded_from, folded_to, fingerprints))
        keys = [slot + b"o", slot + b"f"]
        keys += [self._block_key(partition, piece.block) for piece in pieces]
        keys += [slot + b"u" + user_id.encode() for user_id in users]
        keys += [self._block_key(partition, block) for block in self._blocks.outdated(folded_from, folded_to)]
        arguments: list[bytes | int | str] = [folded_from, folded_to, self._format, len(pieces), len(users), _BLOCK * FINGERPRINT_BYTES]
        for piece in pieces:
            arguments += [piece.at, piece.data]
        arguments += users.values()
        verdict, *detail = self._writing.ask(slot, _WRITE, lambda client: self._run_commit(client, keys, arguments))
        if verdict == b"offset":
            raise FoldConflict(f"partition {partition} is folded up to {int(detail[0])}, not {folded_from}: somebody else folded it in the meantime")
        if verdict == b"format":
            raise self._other_format(detail[0])

    def recent(self, partition: int) -> tuple[int, int, bytes]:
        slot = self._slots[partition]
        expected = b"0"
        while True:  # until the offset is still the one whose blocks were read
            kept = self._blocks.kept(int(expected))
            keys = [slot + b"o", *(self._block_key(partition, block) for block in kept)]
            offset, *blocks = self._writing.ask(slot, _READ, lambda client, keys=keys: client.execute_command("MGET", *keys))
            if (offset or b"0") != expected:
                expected = offset or b"0"
            elif None in blocks:
                raise StorageError(
                    f"Redis at {self._writing.where} has thrown away fingerprints of partition {partition}: "
                    f"set maxmemory-policy to noeviction, then remove every key that begins with {self._prefix!r}: the stream folds them again"
                )
            else:
                first, folded_to = kept.start * _BLOCK, int(expected)
                return first, folded_to, b"".join(blocks)[: (folded_to - first) * FINGERPRINT_BYTES]

    def scan_users(self) -> Iterator[tuple[str, bytes]]:
        for master in self._writing.masters(_READ):
            cursor, met = 0, set[int]()  # a table that grows meanwhile shows some keys twice
            while True:
                page = ("SCAN", cursor, "MATCH", f"{{{self._prefix}:*}}u*", "COUNT", _SCANNED)
                cursor, found = self._writing.ask_at(master, _READ, lambda client, page=page: client.execute_command(*page))
                keys: list[bytes] = [key for key in found if hash(key) not in met]
                met.update(map(hash, keys))
                records = self._writing.ask_at(master, _READ, lambda client, keys=keys: _pipelined(client, [("GET", key) for key in keys])) if keys else []
                for key, record in zip(keys, records, strict=True):
                    if record is not None:
                        yield key.partition(b"}u")[2].decode(), record
                if cursor == 0:
                    break

    def offsets(self) -> tuple[int, ...]:
        answers = self._asked({partition: ("GET", self._slots[partition] + b"o") for partition in range(self.partitions)})
        return tuple(int(answers[partition] or 0) for partition in range(self.partitions))

    def close(self) -> None:
        self._reading.close()
        self._writing.close()

    def _asked(self, questions: Mapping[int, tuple[Any, ...]]) -> dict[int, Any]:
        """The answers to one command per partition, all those of a server in one round trip."""
        if len(questions) == 1:
            [(partition, question)] = questions.items()
            return {partition: self._reading.ask(self._slots[partition], _READ, lambda client: client.execute_command(*question))}
        answers: dict[int, Any] = {}
        places = {self._slots[partition]: partition for partition in questions}
        for slots in self._reading.split(places, _READ):
            partitions = [places[slot] for slot in slots]
            commands = [questions[partition] for partition in partitions]
            found = self._reading.ask(slots[0], _READ, lambda client, commands=commands: _pipelined(client, commands))
            answers |= zip(partitions, found, strict=True)
        return answers

    def _run_commit(self, client: Client, keys: list[bytes], arguments: list[Any]) -> list[Any]:
        answer: Any
        try:
            answer = client.execute_command("EVALSHA", _COMMIT_NAME, len(keys), *keys, *arguments)
        except NoScriptError:  # the first one since the server started
            answer = client.execute_command("EVAL", _COMMIT, len(keys), *keys, *arguments)
        return answer

    def _block_key(self, partition: int, block: int) -> bytes:
        return self._slots[partition] + f"r{block}".encode()

    def _check_format(self) -> None:
        formats = self._asked({partition: ("GET", slot + b"f") for partition, slot in enumerate(self._slots)})
        for stored in formats.values():
            if stored not in (None, self._format.encode()):
                raise self._other_format(stored)
        self._checked = True

    def _other_format(self, stored: bytes) -> StorageError:
        return StorageError(
            f"the online store in Redis at {self._writing.where} was written as '{stored.decode()}', now it would be '{self._format}'; "
            f"remove every key that begins with {self._prefix!r}: the stream folds them again from the event log, or choose another prefix"
        )

    def _warn(self) -> None:
        """Says what of the servers' settings does not suit a store."""
        for master in self._writing.masters(_READ):
            host, port = master
            persistence, memory = self._writing.ask_at(master, _READ, lambda client: (client.info("persistence"), client.info("memory")))
            if not persistence.get("aof_enabled"):
                logger.warning("Redis at %s:%d keeps no append-only file: after a restart users are folded again from the log; set appendonly yes", host, port)
            if memory.get("maxmemory_policy", "noeviction") != "noeviction":
                logger.warning("Redis at %s:%d may throw away users when its memory is full; set maxmemory-policy noeviction", host, port)


def _pipelined(client: Client, commands: Sequence[tuple[Any, ...]]) -> list[Any]:
    """The answers to several commands, in one round trip."""
    with client.pipeline(transaction=False) as pipeline:
        for command in commands:
            pipeline.execute_command(*command)
        return pipeline.execute()
