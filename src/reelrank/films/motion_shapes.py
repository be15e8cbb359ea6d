"""The film styles made of many small shapes: bubbles, confetti, petals, balls, stars; each a loop without a seam."""

import numpy as np

from reelrank.films.canvas import HEIGHT, WIDTH, Canvas, Colour, Palette, Plane, edge, mix
from reelrank.films.motion import TAU, Draw


def bubbles(colours: Palette, rng: np.random.Generator) -> Draw:
    tones = (colours.middle, colours.high, mix(colours.high, colours.light, 0.5))
    rising = sorted(
        ((rng.uniform(0, WIDTH), rng.uniform(0, 1), 8 + 52 * rng.beta(1.2, 2.6), int(rng.integers(1, 3)), tones[at % 3]) for at in range(26)),
        key=lambda bubble: -bubble[2],
    )

    def draw(canvas: Canvas, phase: float) -> None:
        for x, start, size, laps, tone in rising:
            gone = (start + laps * phase) % 1
            y = HEIGHT + size - gone * (HEIGHT + 2 * size)
            sway = x + 22 * np.sin(TAU * (2 * gone + start))
            canvas.disc(sway, y, size, tone, 0.5, 2, lit=colours.light)
            canvas.ring(sway, y, size - 1, 1.6, colours.light, 0.55)
            canvas.disc(sway - size * 0.38, y - size * 0.38, size * 0.16, colours.light, 0.9, 2)

    return draw


def confetti(colours: Palette, rng: np.random.Generator) -> Draw:
    tones = (colours.light, colours.high, colours.middle, mix(colours.middle, colours.light, 0.5))
    pieces = [
        (rng.uniform(0, WIDTH), rng.uniform(0, 1), rng.uniform(6, 15), int(rng.integers(1, 3)), rng.uniform(0, TAU), rng.choice([-2, -1, 1, 2]), tones[at % 4])
        for at in range(70)
    ]

    def draw(canvas: Canvas, phase: float) -> None:
        for x, start, size, laps, turn, spins, tone in pieces:
            gone = (start + laps * phase) % 1
            flutter = abs(np.cos(TAU * 2 * gone + turn)) * 0.8 + 0.2
            canvas.box(x + 26 * np.sin(TAU * gone + turn), gone * (HEIGHT + 60) - 30, size, size * 0.55 * flutter, turn + spins * TAU * gone, tone, 0.95)

    return draw


def petals(colours: Palette, rng: np.random.Generator) -> Draw:
    spots = [(60, 130, 58), (292, 232, 74), (92, 386, 84), (284, 520, 66), (40, 606, 54), (190, 40, 40)]
    flowers = [(x, y, size, int(rng.integers(5, 8)), rng.uniform(0, TAU), rng.choice([-1, 1]), rng.permutation(3)) for x, y, size in spots]
    tones = (colours.middle, colours.high, colours.light)
    dust = [(rng.uniform(0, WIDTH), rng.uniform(0, 1), rng.uniform(1.5, 3.5)) for _ in range(24)]

    def draw(canvas: Canvas, phase: float) -> None:
        for x, y, size, points, start, way, order in flowers:
            breath = 1 + 0.06 * np.sin(TAU * phase + start)
            turn = start + way * TAU / points * phase
            canvas.star(x + 4, y + 10, size * breath * 1.05, points, 0.3, turn, colours.dark, 0.35)
            canvas.star(x, y, size * breath, points, 0.3, turn, tones[order[0]], 0.96)
            canvas.star(x, y, size * breath * 0.66, points, 0.28, turn + np.pi / points, tones[order[1]], 0.96)
            canvas.disc(x, y, size * 0.24, tones[order[2]], 1.0, 2, lit=colours.light)
        for x, start, size in dust:
            gone = (start + phase) % 1
            canvas.disc(x + 30 * np.sin(TAU * (gone + start)), HEIGHT * (1 - gone), size, colours.light, 0.8 * np.sin(np.pi * gone), 2)

    return draw


def breathing(colours: Palette, rng: np.random.Generator) -> Draw:
    tones = (colours.low, mix(colours.low, colours.middle, 0.5), colours.middle, mix(colours.middle, colours.high, 0.5), colours.high, colours.light)
    x, y, late = rng.uniform(150, 210), rng.uniform(300, 370), rng.uniform(0.05, 0.1)
    moons = [(rng.uniform(0, TAU), rng.uniform(180, 290), rng.uniform(8, 22), rng.choice([-1, 1])) for _ in range(7)]

    def draw(canvas: Canvas, phase: float) -> None:
        for at, tone in enumerate(tones):
            pulse = np.sin(TAU * (phase - late * at))
            canvas.disc(x + 6 * at * np.sin(TAU * phase), y - 5 * at, (205 - 36 * at) * (1 + 0.11 * pulse), tone, 0.85, 3)
        for start, reach, size, way in moons:
            turn = start + way * TAU * phase
            canvas.disc(x + 0.62 * reach * np.cos(turn), y + reach * np.sin(turn), size, colours.high, 0.95, 2, lit=colours.light)

    return draw


def bounce(colours: Palette, rng: np.random.Generator) -> Draw:
    tones = (colours.high, colours.middle, colours.light, mix(colours.middle, colours.high, 0.5))
    balls = [
        (48 + 66 * at + rng.uniform(-14, 14), rng.uniform(0, 1), rng.uniform(22, 42), rng.uniform(150, 330), int(rng.integers(1, 4)), tones[at % 4])
        for at in range(5)
    ]
    floor = 520

    def draw(canvas: Canvas, phase: float) -> None:
        canvas.paint(np.full((HEIGHT - floor, WIDTH), 0.55, dtype=np.float32), colours.dark, floor, 0)
        canvas.paint(np.full((4, WIDTH), 0.5, dtype=np.float32), colours.high, floor, 0)
        for x, start, size, height, hops, tone in balls:
            air = (start + hops * phase) % 1
            y = floor - size - height * 4 * air * (1 - air)
            near = 1 - (floor - size - y) / (height + 1)
            canvas.box(x, floor + 26, size * (0.6 + 0.5 * near), 5 + 3 * near, 0, colours.dark, 0.35 + 0.4 * near, 5)
            for ghost in (2, 1):
                was = (start + hops * (phase - 0.018 * ghost)) % 1
                canvas.disc(x, floor - size - height * 4 * was * (1 - was), size * 0.96, tone, 0.16, 6)
            canvas.disc(x, y, size, tone, 1.0, 1.6, lit=colours.light)

    return draw


def orbits(colours: Palette, rng: np.random.Generator) -> Draw:
    wheels = [(180 + rng.uniform(-60, 60), y, size, rng.choice([-1, 1]), int(rng.integers(8, 15))) for y, size in ((170, 92), (352, 128), (545, 82))]

    def draw(canvas: Canvas, phase: float) -> None:
        for at, (x, y, size, way, spokes) in enumerate(wheels):
            canvas.disc(x, y, size * 1.1, colours.dark, 0.4, 30)
            canvas.ring(x, y, size, 9, colours.light if at % 2 else colours.high, 0.95)
            canvas.ring(x, y, size * 0.84, 2, colours.middle, 0.8)
            for spoke in range(spokes):
                turn = TAU * (spoke / spokes) + way * TAU / spokes * 3 * phase
                canvas.box(x + size / 2 * np.cos(turn), y + size / 2 * np.sin(turn), size / 2, 1.1, turn, colours.light, 0.5, 1)
            for bead in range(3):
                turn = TAU * (bead / 3 + way * phase)
                canvas.disc(x + size * np.cos(turn), y + size * np.sin(turn), 12, colours.middle, 1.0, 2, lit=colours.light)
            canvas.disc(x, y, size * 0.17, colours.high, 1.0, 2, lit=colours.light)

    return draw


def ripples(colours: Palette, rng: np.random.Generator) -> Draw:
    drops = [(rng.uniform(60, 300), 120 + 110 * at + rng.uniform(-30, 30), rng.uniform(0, 1), rng.uniform(110, 200)) for at in range(5)]

    def draw(canvas: Canvas, phase: float) -> None:
        for x, y, start, reach in drops:
            for ring in range(4):
                gone = (phase + start + ring / 4) % 1
                canvas.ring(x, y, 6 + reach * gone, 3 + 15 * gone, mix(colours.light, colours.middle, gone), 0.75 * (1 - gone) ** 1.3, 2 + 9 * gone)
            canvas.disc(x, y, 9 + 3 * np.sin(TAU * 4 * phase + start), colours.light, 0.95, 3)

    return draw


def rings(colours: Palette, rng: np.random.Generator) -> Draw:
    lobes, lean = int(rng.integers(2, 4)), rng.uniform(0, TAU)
    tones = (colours.low, colours.middle, mix(colours.middle, colours.high, 0.5), colours.high, colours.light)

    def draw(canvas: Canvas, phase: float) -> None:
        canvas.disc(180, 340, 190, colours.dark, 0.45, 50)
        for at in range(11):
            turn = lean + TAU * phase * (1 if at % 2 else -1) / lobes
            wobble = 0.03 + 0.018 * at * (0.5 + 0.5 * np.sin(TAU * (phase + at / 11)))
            tone = tones[(at * 3) % 5] if at % 4 else tones[at % 5]
            canvas.star(180, 340, 172 - 15 * at, lobes, wobble * 0.5, turn + 0.4 * at, tone, 0.9)

    return draw


def bloom(colours: Palette, rng: np.random.Generator) -> Draw:
    pale = mix(colours.high, colours.light, 0.35), mix(colours.middle, colours.light, 0.3)
    tones = (colours.middle, colours.high, mix(colours.low, colours.middle, 0.4), *pale)
    washes = [
        (rng.uniform(30, 330), rng.uniform(60, 590), rng.uniform(60, 120), rng.uniform(0, TAU), int(rng.integers(3, 6)), tones[at % 5]) for at in range(10)
    ]

    paper = np.full((HEIGHT, WIDTH), 0.93, dtype=np.float32)

    def draw(canvas: Canvas, phase: float) -> None:
        canvas.paint(paper, colours.light)
        for x, y, size, start, lobes, tone in washes:
            grown = size * (0.86 + 0.2 * np.sin(TAU * phase + start))
            drift = TAU * phase / lobes + start
            for layer in (1.0, 0.72):
                canvas.star(x + 10 * np.cos(start + TAU * phase), y, grown * layer, lobes, 0.1 + 0.08 * np.sin(start), drift + layer, tone, 0.46)

    return draw


def streaks(colours: Palette, rng: np.random.Generator) -> Draw:
    slope = rng.uniform(0.25, 0.6) * rng.choice([-1, 1])
    tones = (colours.high, colours.light, colours.middle, mix(colours.middle, colours.high, 0.5))
    lines = [
        (rng.uniform(0, HEIGHT), rng.uniform(0, 1), rng.uniform(30, 100), 2 + 9 * rng.beta(1, 2.5), int(rng.integers(1, 4)), tones[at % 4]) for at in range(26)
    ]

    def draw(canvas: Canvas, phase: float) -> None:
        for y, start, length, thick, laps, tone in lines:
            x = -length + ((start + laps * phase) % 1) * (WIDTH + 2 * length)
            height = y + slope * (x - WIDTH / 2)
            canvas.box(x, height, length, thick, np.arctan(slope), tone, 0.28, thick)
            canvas.box(x + length * 0.45, height + slope * length * 0.45, length * 0.45, thick * 0.7, np.arctan(slope), tone, 0.9, thick * 0.7)

    return draw


def holds(colours: Palette, rng: np.random.Generator) -> Draw:
    tones = (colours.middle, colours.high, colours.light)
    wall = [
        (40 + 70 * at + rng.uniform(-20, 20), 70 + 88 * line + rng.uniform(-24, 24), rng.uniform(17, 36), int(rng.integers(2, 5)), rng.uniform(0, TAU))
        for line in range(7)
        for at in range(5)
    ]
    route = sorted((wall[int(at)] for at in rng.choice(len(wall), 7, replace=False)), key=lambda hold: -hold[1])

    shapes: list[tuple[Plane, Colour, int, int]] = []  # the wall stands still: its shapes are worked out once
    for number, (x, y, size, lobes, turn) in enumerate(wall):
        tone = tones[(number * number + lobes) % 3]
        for shift, kind in ((7, colours.dark), (0, tone)):
            if (near := Canvas.around(x + shift / 2, y + shift, size * 1.2 + 2)) is not None:
                top, left, dx, dy = near
                reach = np.float32(size) * (1 + np.float32(0.16) * np.cos(lobes * (np.arctan2(dy, dx) - np.float32(turn))))
                far = np.sqrt(dx * dx + dy * dy)
                bolt = edge(far - np.float32(3.2)) if kind is tone else np.zeros_like(far)
                shapes.append((edge(far - reach, 2.0) * np.float32(0.5 if shift else 0.95) * (1 - np.float32(0.7) * bolt), kind, top, left))

    def draw(canvas: Canvas, phase: float) -> None:
        for alpha, tone, top, left in shapes:
            canvas.paint(alpha, tone, top, left)
        at = phase * len(route)
        now, then = route[int(at) % len(route)], route[(int(at) + 1) % len(route)]
        step = 0.5 - 0.5 * np.cos(np.pi * (at % 1))
        x, y = now[0] + (then[0] - now[0]) * step, now[1] + (then[1] - now[1]) * step
        canvas.disc(x, y, 70, colours.light, 0.3, 60)
        canvas.ring(x, y, 40 + 4 * np.sin(TAU * 4 * phase), 4, colours.light, 0.95)

    return draw


def stars(colours: Palette, rng: np.random.Generator) -> Draw:
    sky = [(rng.uniform(0, WIDTH), rng.uniform(0, HEIGHT), 0.6 + 2.2 * rng.beta(1, 4), rng.uniform(0, TAU), int(rng.integers(1, 4))) for _ in range(110)]
    x, y, size = rng.uniform(120, 240), rng.uniform(320, 420), rng.uniform(70, 105)
    fall_x, fall_y = rng.uniform(200, 380), rng.uniform(20, 160)

    def draw(canvas: Canvas, phase: float) -> None:
        for star_x, star_y, bright, start, blinks in sky:
            canvas.disc(star_x, star_y, bright, colours.light, 0.55 + 0.45 * np.sin(TAU * blinks * phase + start), 1.8)
        canvas.disc(x, y, size * 1.5, colours.middle, 0.35, size)
        canvas.disc(x, y, size, colours.middle, 1.0, 2, lit=colours.high)
        for at in range(3):
            canvas.ring(x, y, size * (1.42 + 0.22 * at), 1.5, colours.high, 0.55 - 0.12 * at)
            turn = TAU * ((at + 1) * phase * (1 if at != 1 else -1) + at / 3)
            reach = size * (1.42 + 0.22 * at)
            canvas.disc(x + reach * np.cos(turn), y + reach * np.sin(turn), 10 - 2 * at, colours.high, 1.0, 2, lit=colours.light)
        if phase < 0.4:
            for tail in range(14):
                flown = 420 * phase / 0.4 - 9 * tail
                canvas.disc(fall_x - flown, fall_y + 0.55 * flown, 3.2 - 0.2 * tail, colours.light, (1 - tail / 14) * (1 - phase / 0.4), 2)

    return draw
