"""How the made-up films move: one style per function, each a loop without a seam."""

from collections.abc import Callable
from typing import TypeAlias

import numpy as np

from reelrank.films.canvas import COLUMNS, HEIGHT, LINES, WIDTH, Canvas, Palette, Plane, edge, mix

TAU = 2 * np.pi
Draw: TypeAlias = Callable[[Canvas, float], None]  # paints the picture at a phase from 0 to 1, where 1 is 0 again
Style: TypeAlias = Callable[[Palette, np.random.Generator], Draw]

_ACROSS = COLUMNS[0] / WIDTH  # (WIDTH,)


def backdrop(colours: Palette, rng: np.random.Generator) -> Draw:
    """A gradient with slow lights in it; every film begins with it."""
    tilt = rng.uniform(-0.25, 0.25)
    share = np.clip(LINES / HEIGHT + tilt * (COLUMNS / WIDTH - 0.5), 0, 1).astype(np.float32)
    stops = [colours.dark, mix(colours.dark, colours.low, 0.7), mix(colours.low, colours.middle, 0.35)]
    if rng.random() < 0.35:
        stops.reverse()
    still = Canvas()
    for plane, values in (
        (still.y, [stop.y for stop in stops]), (still.u, [stop.u for stop in stops]), (still.v, [stop.v for stop in stops]),
    ):  # fmt: skip
        step = HEIGHT // plane.shape[0]
        plane[:] = np.interp(share[::step, ::step], (0, 0.55, 1), values)
    tones = (colours.middle, colours.high, colours.low)
    x, start = rng.uniform(0, WIDTH, (3, 1)), rng.uniform(0, TAU, (3, 1))
    y, spread = rng.uniform(0, HEIGHT, 3), rng.uniform(60, 130, 3)
    gains = [np.array([0.42 * (tone[plane] - stops[1][plane]) for tone in tones], dtype=np.float32) for plane in range(3)]

    def draw(canvas: Canvas, phase: float) -> None:
        # a round light is the product of two bells, which keeps this cheap
        across = np.exp(-(((COLUMNS - x - 40 * np.cos(TAU * phase + start)) / spread[:, None]) ** 2)).astype(np.float32)  # (3, WIDTH)
        down = np.exp(-(((LINES - y - 60 * np.sin(TAU * phase + start[:, 0])) / (1.4 * spread)) ** 2)).astype(np.float32)  # (HEIGHT, 3)
        canvas.y[:], canvas.u[:], canvas.v[:] = still.y, still.u, still.v
        for light in range(3):
            bell, wide = down[:, light : light + 1], across[light : light + 1]
            canvas.y += (bell * gains[0][light]) * wide
            canvas.u += (bell[::2] * gains[1][light]) * wide[:, ::2]
            canvas.v += (bell[::2] * gains[2][light]) * wide[:, ::2]

    return draw


def waves(colours: Palette, rng: np.random.Generator) -> Draw:
    tones = [mix(colours.middle, colours.light, 0.75), colours.high, colours.middle, mix(colours.middle, colours.low, 0.6), colours.low, colours.dark]
    rows = [(tone, rng.uniform(0, TAU), rng.uniform(0.7, 1.5), rng.uniform(18, 40), rng.choice([-1, 1])) for tone in tones]
    sun_x, horizon = rng.uniform(90, 270), rng.uniform(210, 290)

    def draw(canvas: Canvas, phase: float) -> None:
        for ring in range(3):
            canvas.disc(sun_x, horizon - 30, 62 + 26 * ring + 5 * np.sin(TAU * phase), colours.light, 0.75 if ring == 0 else 0.14, 1.5 if ring == 0 else 24)
        for depth, (tone, start, length, swell, way) in enumerate(rows):
            line = horizon + 58 * depth + swell * np.sin(TAU * (length * _ACROSS + way * phase) + start) + 9 * np.sin(TAU * (2.3 * _ACROSS - 2 * phase) + depth)
            canvas.below(line, tone, 0.86)
            canvas.band(line, 1.4, colours.light, 0.55)

    return draw


def ribbons(colours: Palette, rng: np.random.Generator) -> Draw:
    tones = [colours.low, colours.middle, mix(colours.middle, colours.high, 0.5), colours.high, colours.light]
    lanes = [(tone, rng.uniform(0, TAU), rng.uniform(0.5, 1.0), rng.uniform(60, 130), rng.uniform(14, 46)) for tone in tones]

    def draw(canvas: Canvas, phase: float) -> None:
        for at, (tone, start, length, swing, thick) in enumerate(lanes):
            middle = 190 + 75 * at + swing * np.sin(TAU * (length * _ACROSS + phase) + start)
            body = thick * (0.55 + 0.45 * np.sin(TAU * (0.8 * _ACROSS - phase) + start))
            canvas.band(middle + 10, body + 8, colours.dark, 0.22, 18)
            canvas.band(middle, body, tone, 0.92)
            canvas.band(middle - body * 0.45, body * 0.16 + 0.4, colours.light, 0.35, 5)

    return draw


def hills(colours: Palette, rng: np.random.Generator) -> Draw:
    ridges = []
    for depth in range(5):
        waves_in = [(int(cycles), rng.uniform(0, TAU), 46 / cycles**0.9) for cycles in (1, 2, 3, 5, 8, 13)]
        ridges.append((mix(mix(colours.high, colours.middle, depth / 4), colours.dark, depth / 4.6), waves_in, depth))
    sun_x = rng.uniform(100, 260)

    def draw(canvas: Canvas, phase: float) -> None:
        sun_y = 215 + 14 * np.cos(TAU * phase)
        canvas.disc(sun_x, sun_y, 130, colours.high, 0.25, 120)
        canvas.disc(sun_x, sun_y, 44, colours.light, 0.95, 2)
        for tone, bumps, depth in ridges:
            # each ridge slides by whole repeats, the near ones faster
            along = _ACROSS * 0.75 + phase * (depth // 2)
            line = 265 + 72 * depth + sum(height * np.sin(TAU * cycles * along + start) for cycles, start, height in bumps)
            canvas.below(line, tone, 1.0)
            canvas.below(line, colours.light, 0.16, 1.5, 60)

    return draw


def strings(colours: Palette, rng: np.random.Generator) -> Draw:
    tuned = [
        (int(rng.integers(2, 6)), rng.uniform(0, 1), tone)
        for tone in (colours.light, colours.high, colours.high, colours.middle, colours.middle, colours.light)
    ]
    envelope = np.sin(np.pi * _ACROSS)

    def draw(canvas: Canvas, phase: float) -> None:
        canvas.ring(180, 330, 128, 14, colours.dark, 0.55, 6)
        canvas.disc(180, 330, 112, colours.dark, 0.75, 6)
        for ring in range(3):
            canvas.ring(180, 330, 146 + 22 * ring + 6 * np.sin(TAU * (phase + ring / 3)), 3, colours.high, 0.5 - 0.13 * ring)
        for at, (mode, plucked, tone) in enumerate(tuned):
            loud = 20 * np.exp(-3.2 * ((phase - plucked) % 1))
            swing = envelope * np.sin(np.pi * mode * _ACROSS) * loud
            for ghost in (-1.0, -0.5, 0.0, 0.5, 1.0):
                canvas.band(235 + 38 * at + swing * ghost, 0.9 + 0.25 * at, tone, 0.75 if ghost == 0 else 0.28, 2)

    return draw


def halftone(colours: Palette, rng: np.random.Generator) -> Draw:
    pitch = 24
    inner: Plane = np.sqrt((COLUMNS % pitch - pitch / 2 + 0.5) ** 2 + (LINES % pitch - pitch / 2 + 0.5) ** 2)  # distance to the middle of the cell
    cells_x, cells_y = np.meshgrid(np.arange(WIDTH // pitch), np.arange(-(-HEIGHT // pitch)))
    turn, start = rng.uniform(-0.6, 0.6), rng.uniform(0, TAU)
    seed_x, seed_y = rng.uniform(3, 12), rng.uniform(8, 20)

    def draw(canvas: Canvas, phase: float) -> None:
        roll = np.sin(0.42 * (cells_x * np.cos(turn) + cells_y * np.sin(turn)) - TAU * phase + start)
        rings = np.sin(0.55 * np.hypot(cells_x - seed_x, cells_y - seed_y) - TAU * phase)
        for size, tone in ((6.2 + 5.0 * roll, colours.middle), (3.2 + 4.6 * rings * roll, colours.high), (1.0 + 2.6 * rings, colours.light)):
            radius = np.repeat(np.repeat(size.astype(np.float32), pitch, axis=0)[:HEIGHT], pitch, axis=1)
            canvas.paint(edge(inner - radius), tone)

    return draw


def tiles(colours: Palette, rng: np.random.Generator) -> Draw:
    side = 60
    tones = (colours.middle, colours.light, colours.high)
    cells = [(x, y, tones[int(rng.choice([0, 1, 2], p=[0.3, 0.45, 0.25]))], rng.uniform(0, 0.25)) for y in range(11) for x in range(6) if (x + y) % 2 == 0]

    def draw(canvas: Canvas, phase: float) -> None:
        for x, y, tone, late in cells:
            flip = np.sin(np.pi * ((phase + late + (x + y) / 17) % 1)) ** 2
            half = side / 2 * (0.32 + 0.66 * flip)
            canvas.box(side * x + 30, side * y + 30 - 10, half, half, np.pi / 2 * (1 - flip), tone, 0.3 + 0.6 * flip, 5 + 9 * (1 - flip))

    return draw


def shards(colours: Palette, rng: np.random.Generator) -> Draw:
    tones = (colours.low, colours.middle, colours.high, colours.light)
    folds = [(rng.uniform(0, TAU), rng.uniform(-90, 250), tones[at % 4], rng.choice([-1, 1]), rng.uniform(0, TAU)) for at in range(9)]

    def draw(canvas: Canvas, phase: float) -> None:
        for angle, offset, tone, way, start in folds:
            turned = angle + way * 0.22 * np.sin(TAU * phase + start)
            cos, sin = np.float32(np.cos(turned)), np.float32(np.sin(turned))
            deep = (COLUMNS - 180) * cos + (LINES - 320) * sin - np.float32(offset * 0.8 + 26 * np.sin(TAU * phase + start))
            thickness = np.clip(np.float32(0.9) - deep * np.float32(1 / 260), 0, 0.9).astype(np.float32)
            canvas.paint(edge((-deep).astype(np.float32)) * thickness, tone)

    return draw


def rays(colours: Palette, rng: np.random.Generator) -> Draw:
    x, y = rng.uniform(130, 230), rng.uniform(290, 380)
    angle: Plane = np.arctan2(LINES - np.float32(y), COLUMNS - np.float32(x))
    far: Plane = np.sqrt((LINES - np.float32(y)) ** 2 + (COLUMNS - np.float32(x)) ** 2)
    beams = int(rng.integers(7, 12))
    shine = np.clip(np.float32(1.1) - far * np.float32(1 / 480), 0, 1).astype(np.float32)
    sparks = [(rng.uniform(0, TAU), rng.uniform(0, 1), rng.uniform(2, 6), (colours.light, colours.high)[at % 2]) for at in range(36)]

    def draw(canvas: Canvas, phase: float) -> None:
        beam = np.sin(beams * angle + np.float32(TAU * phase)) * far * np.float32(1 / beams)
        canvas.paint(edge(-beam, 3) * shine * np.float32(0.55), colours.middle)
        canvas.disc(x, y, 150, colours.high, 0.55, 160)
        for way, start, size, tone in sparks:
            gone = (phase + start) % 1
            reach = 40 + 380 * gone
            canvas.sparkle(x + reach * np.cos(way), y + reach * np.sin(way), size * (1.2 + 2.2 * gone), TAU * gone / 4, tone, 1 - gone**3)
        canvas.disc(x, y, 60, colours.light, 0.5, 70)
        for size, turn in ((64, 0.0), (38, np.pi / 4)):
            canvas.sparkle(x, y, size * (1 + 0.12 * np.sin(TAU * phase + turn)), turn + 0.12 * np.sin(TAU * phase), colours.light)

    return draw
