"""Tests of what free words and missing ones become."""

import numpy as np
import pytest

from reelrank.domain.event import Context
from reelrank.features.moment import Device, Network, device_class, network_class, rendition_fit, stalls, weekdays
from reelrank.features.windows import COUNTERS, Counter


@pytest.mark.parametrize(
    ("said", "meant"),
    [
        ("phone", Device.PHONE), ("iPhone 17 Pro", Device.PHONE), ("Android", Device.PHONE), ("Windows Phone", Device.PHONE),
        ("iPad", Device.TABLET), ("Android tablet", Device.TABLET), ("desktop", Device.DESKTOP), ("MacBook", Device.DESKTOP), ("Windows 11", Device.DESKTOP),
        ("AppleTV", Device.TV), ("android-tv", Device.TV), ("", Device.UNKNOWN), ("fridge", Device.UNKNOWN),
    ],
)  # fmt: skip
def test_a_device_is_known_by_the_usual_words(said: str, meant: Device) -> None:
    assert device_class(said) == meant


@pytest.mark.parametrize(
    ("said", "meant"),
    [
        ("wifi", Network.WIFI), ("Wi-Fi", Network.WIFI), ("ethernet", Network.WIFI), ("5G", Network.G5), ("LTE", Network.G4), ("4g", Network.G4),
        ("HSPA+", Network.G3), ("slow-2g", Network.G2), ("EDGE", Network.G2), ("cellular", Network.OTHER), ("unknown", Network.UNKNOWN), ("", Network.UNKNOWN),
    ],
)  # fmt: skip
def test_a_network_is_known_by_the_usual_words(said: str, meant: Network) -> None:
    assert network_class(said) == meant


def test_a_faster_network_has_a_higher_number() -> None:
    assert Network.G2 < Network.G3 < Network.G4 < Network.G5 < Network.WIFI


def test_without_a_weekday_the_one_of_utc_counts() -> None:
    thursday = 0.0
    days = weekdays([Context(), Context(), Context(local_weekday=0)], np.array([thursday, thursday + 4 * 86_400, thursday]))
    assert days.tolist() == [3, 0, 0]


def test_a_bandwidth_that_nobody_knows_speaks_neither_for_nor_against() -> None:
    assert rendition_fit(np.array([0.0, 1_000.0, 1e9]), np.array([900.0, 0.0, 1.0])).tolist() == [0, 0, 4]


def test_a_short_stall_is_no_verdict() -> None:
    counts = np.zeros((3, COUNTERS), dtype=np.int64)
    counts[1, Counter.STALLED_DS] = 10
    counts[2, [Counter.STALLED_DS, Counter.WATCHED_DS]] = 50_000, 50_000
    never, shortly, always = stalls(counts, 0.01)
    assert never == pytest.approx(0.01)
    assert 0.01 < shortly < 0.02
    assert always == pytest.approx(0.5, abs=0.02)
