"""How a deployment learns, as it is configured. Knows of no torch, so that reading settings loads none."""

from typing import Annotated

import msgspec
from msgspec import Meta

from reelrank.models.ranker_inputs import RankerSettings
from reelrank.training.publish import GateConfig
from reelrank.training.quarantine import QuarantineConfig


class LearnerConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """How fast it learns, and what it does not believe."""

    user_rate: Annotated[float, Meta(ge=0)] = 0.2  # of what is added to the logits of each user's candidates; 0: that is not learned
    row_rate: Annotated[float, Meta(ge=0)] = 0.0  # of all other rows; 0: they are not learned, and no video gets a new one
    dense_rate: Annotated[float, Meta(ge=0)] = 0.0  # of the network; 0: it is not learned
    explodes_at: Annotated[float, Meta(gt=1)] = 8.0  # times the median loss of the last batches: such a batch is left out
    gives_up_after: Annotated[int, Meta(ge=1)] = 50  # batches in a row that were left out: then it is the model that is wrong


class OnlineConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """How examples are learned while people watch."""

    batch: Annotated[int, Meta(ge=1)] = 128  # records of a partition that are read, predicted and learned together
    rows_every_s: Annotated[float, Meta(ge=0)] = 0.5  # between two times that touched rows are sent to who serves
    checkpoint_every_s: Annotated[float, Meta(gt=0)] = 60.0  # what a kill costs at most to learn again
    publish_every_s: Annotated[float, Meta(gt=0)] = 900.0  # between two times that all weights go through the gates
    learner: LearnerConfig = LearnerConfig()
    quarantine: QuarantineConfig = QuarantineConfig()


class TrainConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What the role train learns, and how often it begins anew from the lake."""

    ranker_every_s: Annotated[float, Meta(ge=0)] = 21_600.0  # 0: never
    two_tower_every_s: Annotated[float, Meta(ge=0)] = 21_600.0  # 0: never
    graph_every_s: Annotated[float, Meta(ge=0)] = 21_600.0  # 0: never
    days: Annotated[float, Meta(gt=0)] = 30.0  # how far back examples are learned from
    at_most: Annotated[int, Meta(ge=1)] = 2_000_000  # of them, the newest: bounds memory and time
    min_examples: Annotated[int, Meta(ge=1)] = 2_000  # with fewer there is too little to learn from
    nice: Annotated[int, Meta(ge=0, le=19)] = 10  # how far it stands back behind those who serve
    ranker: RankerSettings = RankerSettings()
    gate: GateConfig = GateConfig()
    online: OnlineConfig = OnlineConfig()
