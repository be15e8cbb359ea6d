"""How long the ranker takes for one request, and how much of that is arithmetic: the default network, and a fixed shape that others can be compared with."""

import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
import numpy as np
import onnx
import onnxruntime
import torch
from onnx import TensorProto, helper, numpy_helper

from reelrank.benchmarks.made_examples import made_examples
from reelrank.benchmarks.percentiles import spread
from reelrank.domain.arrays import Floats, Rows
from reelrank.features.definitions import SHARED, WIDTH
from reelrank.features.tokens import Action, Tokens
from reelrank.models.ranker_inputs import RankerSettings, VideoTraits
from reelrank.models.sessions import EncodedHistory, RankerSession
from reelrank.ranking.ranker_session import KeptHistories
from reelrank.training.examples import TrainingSet
from reelrank.training.export import export
from reelrank.training.ranker_data import traits_of
from reelrank.training.train_ranker import begin

SHAPES = {"published": RankerSettings(), "fixed": RankerSettings(layers=2, width=64, window=256, strong=0)}
VIDEOS = 7_500
_NOW = 1_700_000_000.0
_MATRIX = 1_024  # rows and columns of the matrices whose product is what the machine can do
_REENCODED = 3  # rounds of candidates for which the history is encoded again; the time of all is worked out from these
_WARM_UP = 1  # rounds that don't count
_IN_A_ROW = 10  # of each side in a round: the first finds what the others have left in the caches


class Request(NamedTuple):
    """Candidates for one user."""

    tokens: Tokens
    videos: Rows  # (n,)
    features: Floats  # (n, WIDTH)
    traits: VideoTraits

    def first(self, candidates: int) -> "Request":
        """The same for so many of them."""
        return self._replace(videos=self.videos[:candidates], features=self.features[:candidates])


def measure(candidates: int = 500, rounds: int = 20, seed: int = 0, on_progress: Callable[[int], None] = lambda _: None) -> dict[str, Any]:
    """Untrained networks of both shapes, exported as the product exports them, one thread, full histories; the fixed shape's figures also on top.

    `ms` is what scoring takes whose history was kept: looking it up, transforming the features, gathering rows, the network and the
    calibration. `flops` are the matrix products of the shape, `gflops` these by the second, and `share_of_sgemm` compares that with a
    product of two square matrices in the same runtime, precision and run, in turn; whatever ends in `_done` counts what candidates
    share once, as it is computed. `speedup_over_reencoding` is how many times as long it takes to encode the history again for each
    candidate, one after the other in the same runtime.
    """
    shapes = {name: _shape(settings, candidates, rounds, seed, on_progress) for name, settings in SHAPES.items()}
    fixed = shapes["fixed"]
    top = {key: fixed[key] for key in ("gflops", "share_of_sgemm", "speedup_over_reencoding")}
    return {"ms": fixed["ms"]["p50"], **top, "shapes": shapes, "candidates": candidates, "rounds": rounds, "seed": seed}


def rounds_in_all(rounds: int) -> int:
    """How far `on_progress` counts."""
    return len(SHAPES) * (rounds + _REENCODED)


def flops(settings: RankerSettings, heads: int, candidates: int, tokens: int, shared: int = 0) -> int:
    """Of the matrix products in scoring candidates that look at `tokens`, a product and a sum each.

    Each candidate asks, looks at its history and an empty one by products of d / h numbers and a bias, answers and thinks, layer by
    layer; 2 d of itself and of the surface, 2 d of what it saw, and F dense inputs with what is encoded of them go through the experts,
    whose answers the heads and the thresholds read. Of F, `shared` and the surface are the same for all candidates: by themselves they
    go through the first layer of the experts once.
    """
    d, experts, hidden, k = settings.width, settings.experts, settings.hidden, settings.thresholds
    look = d * (d + settings.attention_heads) + (tokens + 1) * (2 * d + settings.attention_heads) + d * d + 2 * d * 2 * d
    told = experts * hidden // 2 * (hidden + heads + k) + k * k + k - 1
    first, bends = experts * (hidden + heads + 1) + heads, settings.bins * settings.encoded
    of_each = 4 * d + WIDTH * (1 + settings.encoded)
    once = d + shared * (1 + settings.encoded) if shared else 0
    each = settings.layers * look + (WIDTH - shared) * bends + (of_each - once) * first + told
    return 2 * (candidates * each + shared * bends + once * first)


def _shape(settings: RankerSettings, candidates: int, rounds: int, seed: int, on_progress: Callable[[int], None]) -> dict[str, Any]:
    data, rng = made_examples(60, 16, VIDEOS, seed), np.random.default_rng(seed)
    with tempfile.TemporaryDirectory(prefix="reelrank-ranker-") as folder:
        session = _exported(data, settings, Path(folder), seed)
        request = _request(settings, candidates, data, rng)
        histories = KeptHistories(2**30, 0.0)
        product, product_flops = _sgemm(Path(folder), rng)

        def anew(some: Request = request) -> None:
            _scored(session, some, session.encode(some.tokens, some.traits))

        def kept() -> None:
            _scored(session, request, histories.encode(session, "u", request.tokens, request.traits, _NOW))

        history = session.encode(request.tokens, request.traits)
        took = _in_turn({"anew": anew, "kept": kept, "encode": lambda: session.encode(request.tokens, request.traits), "sgemm": product}, rounds, on_progress)
        again = _in_turn({"again": lambda: anew(request.first(1))}, _REENCODED, on_progress)["again"]
    asked, done = (flops(settings, len(session.heads), candidates, len(history), shared) for shared in (0, len(SHARED)))
    kept_s, sgemm = float(np.median(took["kept"])), product_flops / float(np.median(took["sgemm"]))
    return {
        "ms": spread(np.array(took["kept"]) * 1e3),
        "ms_with_history": spread(np.array(took["anew"]) * 1e3),
        "ms_history": spread(np.array(took["encode"]) * 1e3),
        "flops": asked,
        "flops_done": done,
        "gflops": round(asked / kept_s / 1e9, 1),
        "gflops_done": round(done / kept_s / 1e9, 1),
        "sgemm_gflops": round(sgemm / 1e9, 1),
        "share_of_sgemm": round(asked / kept_s / sgemm, 3),
        "share_of_sgemm_done": round(done / kept_s / sgemm, 3),
        "reencoding_ms": round(float(np.median(again)) * candidates * 1e3, 1),
        "speedup_over_reencoding": round(float(np.median(again)) * candidates / kept_s, 1),
        "tokens": len(history),
        "kept_bytes": history.nbytes,
        "settings": {
            name: value for name, value in msgspec.to_builtins(settings).items() if name in ("layers", "width", "attention_heads", "experts", "hidden")
        },
    }


def _exported(data: TrainingSet, settings: RankerSettings, folder: Path, seed: int) -> RankerSession:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        export(begin(data, settings), {}, folder)
    return RankerSession(folder)


def _request(settings: RankerSettings, candidates: int, data: TrainingSet, rng: np.random.Generator) -> Request:
    """Somebody with as much history as is read, and candidates that differ in whatever can differ between them."""
    count = settings.window + settings.strong
    tokens = Tokens(
        start=np.array([0, count]),
        video=rng.integers(0, VIDEOS, count),
        actions=np.full(count, int(Action.CLICK | Action.LONG_VIEW), dtype=np.uint8),
        completion=rng.random(count).astype(np.float32),
        occurred_at=_NOW - np.cumsum(rng.exponential(120.0, count))[::-1],
        surface=np.ones(count, dtype=np.int64),
    )
    features = rng.standard_normal((candidates, WIDTH), dtype=np.float32)
    features[:, SHARED] = features[:1, SHARED]
    return Request(tokens, rng.permutation(VIDEOS)[:candidates], features, traits_of(data))


def _scored(session: RankerSession, request: Request, history: EncodedHistory) -> dict[str, Floats]:
    return session.score("u", history, request.videos, request.features, 1, _NOW, request.traits)


def _sgemm(folder: Path, rng: np.random.Generator) -> tuple[Callable[[], object], int]:
    """A product of two square matrices in the runtime that serves, and its FLOPs."""
    one, other = rng.standard_normal((2, _MATRIX, _MATRIX), dtype=np.float32)
    kind = [helper.make_tensor_value_info(name, TensorProto.FLOAT, [_MATRIX, _MATRIX]) for name in ("one", "product")]
    graph = helper.make_graph(
        [helper.make_node("MatMul", ["one", "other"], ["product"])], "sgemm", kind[:1], kind[1:], [numpy_helper.from_array(other, "other")]
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=9)
    onnx.save(model, folder / "sgemm.onnx")
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    product = onnxruntime.InferenceSession(folder / "sgemm.onnx", options, providers=["CPUExecutionProvider"])
    return lambda: product.run(None, {"one": one}), 2 * _MATRIX**3


def _in_turn(sides: dict[str, Callable[[], object]], rounds: int, on_progress: Callable[[int], None]) -> dict[str, list[float]]:
    """Seconds of each, some of one and then some of the next: what disturbs the machine disturbs all of them."""
    took: dict[str, list[float]] = {name: [] for name in sides}
    for number in range(_WARM_UP + rounds):
        for name, side in sides.items():
            for _ in range(_IN_A_ROW):
                began = time.perf_counter()
                side()
                if number >= _WARM_UP:
                    took[name].append(time.perf_counter() - began)
        on_progress(number >= _WARM_UP)
    return took
