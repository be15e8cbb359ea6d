"""Big round letters for film titles, drawn as strokes: no font files, no imaging library."""

from functools import lru_cache

import numpy as np

from reelrank.films.canvas import Plane, edge

TALL, GAP = 6.0, 1.9  # how high a letter is in units, and the air between two
_WIDTHS = {"E": 3.6, "F": 3.6, "I": 0.0, "J": 3.2, "L": 3.4, "M": 4.2, "W": 4.6, " ": 2.0}  # of letters that are not 4 wide
_THICK = 0.56  # half a stroke, in units

Arc = tuple[float, float, float, float, float, float]  # middle x y, radius x y, from and to in degrees, clockwise from the right

# Per letter: open lines "x,y x,y …" and arcs.
_LINES: dict[str, str] = {
    "A": "0,6 2,0 4,6|0.75,4 3.25,4", "B": "2.2,0 0,0 0,6 2.4,6|0,2.9 2.4,2.9", "C": "", "D": "1.5,0 0,0 0,6 1.5,6", "E": "3.6,0 0,0 0,6 3.6,6|0,2.9 3,2.9",
    "F": "3.6,0 0,0 0,6|0,2.9 3,2.9", "G": "2.4,3.2 4.1,3.2 4.1,4.6", "H": "0,0 0,6|4,0 4,6|0,3 4,3", "I": "0,0 0,6", "J": "3.2,0 3.2,4.3",
    "K": "0,0 0,6|3.8,0 0,3.6|1.4,2.5 3.9,6", "L": "0,0 0,6 3.4,6", "M": "0,6 0,0 2.1,3.4 4.2,0 4.2,6", "N": "0,6 0,0 4,6 4,0", "O": "",
    "P": "2.2,0 0,0 0,6|0,3.3 2.2,3.3", "Q": "2.8,4.4 4.1,6.1", "R": "2.2,0 0,0 0,6|0,3.2 2.2,3.2|1.9,3.2 3.9,6", "S": "", "T": "0,0 4,0|2,0 2,6",
    "U": "0,0 0,4|4,0 4,4", "V": "0,0 2,6 4,0", "W": "0,0 1,6 2.2,2 3.4,6 4.4,0", "X": "0,0 4,6|4,0 0,6", "Y": "0,0 2,3 4,0|2,3 2,6", "Z": "0,0 4,0 0,6 4,6",
}  # fmt: skip
_ARCS: dict[str, tuple[Arc, ...]] = {
    "B": ((2.2, 1.45, 1.5, 1.45, -90, 90), (2.4, 4.45, 1.6, 1.55, -90, 90)), "C": ((2.2, 3, 2.2, 3, 42, 318),), "D": ((1.5, 3, 2.5, 3, -90, 90),),
    "G": ((2.2, 3, 2.2, 3, 32, 318),), "J": ((1.6, 4.3, 1.6, 1.7, 0, 170),), "O": ((2, 3, 2.2, 3, 0, 360),), "P": ((2.2, 1.65, 1.65, 1.65, -90, 90),),
    "Q": ((2, 3, 2.2, 3, 0, 360),), "R": ((2.2, 1.6, 1.6, 1.6, -90, 90),), "S": ((2, 1.5, 1.85, 1.5, -28, -270), (2, 4.5, 1.95, 1.5, -90, 152)),
    "U": ((2, 4, 2, 2, 0, 180),),
}  # fmt: skip


def _strokes(letter: str) -> list[np.ndarray]:
    """The lines of a letter, each (points, 2) in units."""
    lines = [np.array([[float(value) for value in point.split(",")] for point in line.split()]) for line in _LINES[letter].split("|") if line]
    for x, y, radius_x, radius_y, start, end in _ARCS.get(letter, ()):
        turn = np.radians(np.linspace(start, end, max(6, int(abs(end - start) / 16))))
        lines.append(np.stack([x + radius_x * np.cos(turn), y + radius_y * np.sin(turn)], axis=1))
    return lines


@lru_cache(maxsize=128)
def lettering(word: str, width: int, tallest: float = 46.0, softness: float = 1.6, spread: float = 0.0) -> Plane:
    """The opacity of a word, `width` pixels wide and as high as it needs; letters other than A-Z are gaps.

    `spread` widens the strokes by that many pixels: with a large `softness` that is the word's shadow.
    """
    word = "".join(letter if letter in _LINES else " " for letter in word.upper())
    widths = [_WIDTHS.get(letter, 4.0) for letter in word]
    units = sum(widths) + GAP * (len(word) - 1)
    unit = min(tallest / TALL, (width - 84) / max(units, 1))
    height = int(unit * TALL + 40) & ~1
    columns, lines = np.arange(width, dtype=np.float32)[None, :], np.arange(height, dtype=np.float32)[:, None]
    distance = np.full((height, width), 1e3, dtype=np.float32)
    x0 = (width - unit * units) / 2
    for letter, wide in zip(word, widths, strict=True):
        cut = slice(max(0, int(x0 - 24)), min(width, int(x0 + wide * unit + 30)))
        near = distance[:, cut]
        for stroke in _strokes(letter) if letter != " " else ():
            points = stroke * unit + (x0, 20)
            for (ax, ay), (bx, by) in zip(points[:-1], points[1:], strict=True):
                dx, dy = bx - ax, by - ay
                along = np.clip(((columns[:, cut] - ax) * dx + (lines - ay) * dy) / (dx * dx + dy * dy), 0, 1)
                np.minimum(near, np.hypot(columns[:, cut] - ax - along * dx, lines - ay - along * dy), out=near)
        x0 += (wide + GAP) * unit
    return edge(distance - np.float32(_THICK * unit + spread), softness)
