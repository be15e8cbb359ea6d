"""A little tune per sound: the same sound id is the same tune in every film."""

import zlib
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

SAMPLE_RATE = 44_100
_LOUDNESS_DBFS = -20.0
_PENTATONIC = np.array([0, 2, 4, 7, 9, 12, 14, 16])  # semitones; any two of them sound well together
_BASS = (0, -3, -5, 2)  # the fundamental of each bar, in semitones from the root


@lru_cache(maxsize=64)
def _loop(sound_id: str) -> NDArray[np.float32]:
    """Four bars of a sound, without a seam."""
    rng = np.random.default_rng(zlib.crc32(sound_id.encode()))
    root_hz = 220.0 * 2 ** (int(rng.integers(-3, 6)) / 12)
    step = int(SAMPLE_RATE * 60 / float(rng.uniform(76, 112)) / 2)  # an eighth note
    samples = np.zeros(32 * step, dtype=np.float32)
    warmth = rng.uniform(0.12, 0.35, size=3) / (1, 2, 4)

    def ring(at: int, semitones: float, seconds: float, loud: float, attack_s: float) -> None:
        time = np.arange(int(seconds * SAMPLE_RATE), dtype=np.float32) / SAMPLE_RATE
        hz = root_hz * 2 ** (semitones / 12)
        wave = np.sin(np.float32(2 * np.pi * hz) * time)
        for overtone, share in enumerate(warmth, start=2):
            wave += np.float32(share) * np.sin(np.float32(2 * np.pi * hz * overtone) * time) * np.exp(-time * np.float32(3 * overtone))
        wave *= np.minimum(time / np.float32(attack_s), 1) * np.exp(-time * np.float32(3.6 / seconds)) * np.minimum((seconds - time) * 20, 1)
        place = (at + np.arange(len(wave))) % len(samples)
        samples[place] += np.float32(loud) * wave

    degree = int(rng.integers(len(_PENTATONIC)))
    motif = [(int(rng.integers(-2, 3)), rng.random() < 0.62) for _ in range(8)]
    for bar in range(4):
        ring(bar * 8 * step, _BASS[bar] - 12, 9 * step / SAMPLE_RATE, 0.5, 0.06)
        ring(bar * 8 * step, _BASS[bar] - 5, 9 * step / SAMPLE_RATE, 0.16, 0.3)
        for beat, (move, played) in enumerate(motif):
            degree = int(np.clip(degree + (move if bar % 2 == 0 else -move), 0, len(_PENTATONIC) - 1))
            if played:
                ring((bar * 8 + beat) * step, float(_PENTATONIC[degree]), 0.9, 0.42 if beat % 4 == 0 else 0.3, 0.012)
    samples += 0.3 * np.roll(samples, 3 * step) + 0.12 * np.roll(samples, 6 * step)  # the room
    loudness = np.sqrt(np.mean(samples**2))
    return np.clip(samples * (10 ** (_LOUDNESS_DBFS / 20) / loudness), -0.9, 0.9).astype(np.float32)


def melody(sound_id: str, duration_s: float) -> NDArray[np.float32]:
    """(1, samples) of a sound from its beginning, fading at both ends; silence without a sound."""
    count = round(duration_s * SAMPLE_RATE)
    if not sound_id:
        return np.zeros((1, count), dtype=np.float32)
    samples = np.resize(_loop(sound_id), count).copy()
    fade = min(count, SAMPLE_RATE // 25)
    ramp = np.linspace(0, 1, fade, dtype=np.float32)
    samples[:fade] *= ramp
    samples[count - fade :] *= ramp[::-1]
    return samples[None, :]
