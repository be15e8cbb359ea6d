"""A picture in planar YUV that shapes are painted on: soft edges, no full-frame work for small shapes."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

WIDTH, HEIGHT = 360, 640

Plane = NDArray[np.float32]


class Colour(NamedTuple):
    """A BT.709 colour in video range, as the encoder wants it."""

    y: float
    u: float
    v: float


class Palette(NamedTuple):
    """Five colours from the darkest to the lightest."""

    dark: Colour
    low: Colour
    middle: Colour
    high: Colour
    light: Colour


def colour(code: str) -> Colour:
    """Reads `#rrggbb`."""
    red, green, blue = (int(code[at : at + 2], 16) / 255 for at in (1, 3, 5))
    luma = 0.2126 * red + 0.7152 * green + 0.0722 * blue
    return Colour(16 + 219 * luma, 128 + 224 * (blue - luma) / 1.8556, 128 + 224 * (red - luma) / 1.5748)


def palette(codes: tuple[str, str, str, str, str]) -> Palette:
    return Palette(*(colour(code) for code in codes))


def mix(one: Colour, other: Colour, share: float) -> Colour:
    """`share` of the way from one colour to the other."""
    return Colour(*(a + (b - a) * share for a, b in zip(one, other, strict=True)))


def turned(colours: Palette, radians: float) -> Palette:
    """The same palette further round the colour circle, as light as before."""
    cos, sin = float(np.cos(radians)), float(np.sin(radians))
    return Palette(*(Colour(y, 128 + (u - 128) * cos - (v - 128) * sin, 128 + (u - 128) * sin + (v - 128) * cos) for y, u, v in colours))


COLUMNS = np.arange(WIDTH, dtype=np.float32)[None, :]  # (1, WIDTH)
LINES = np.arange(HEIGHT, dtype=np.float32)[:, None]  # (HEIGHT, 1)


def edge(distance: Plane, softness: float = 1.5) -> Plane:
    """Opacity from a signed distance in pixels (negative = inside), with an edge `softness` pixels wide."""
    return np.clip(0.5 - distance * np.float32(1 / softness), 0, 1)


class Canvas:
    """Luma at full size, chroma at half."""

    def __init__(self) -> None:
        self.y = np.empty((HEIGHT, WIDTH), dtype=np.float32)
        self.u = np.empty((HEIGHT // 2, WIDTH // 2), dtype=np.float32)
        self.v = np.empty((HEIGHT // 2, WIDTH // 2), dtype=np.float32)

    def paint(self, alpha: Plane, paint: Colour, top: int = 0, left: int = 0) -> None:
        """Lays a colour over the rectangle at (`top`, `left`), both even, as thick as `alpha` says."""
        height, width = alpha.shape
        luma = self.y[top : top + height, left : left + width]
        luma += alpha * (np.float32(paint.y) - luma)
        half = alpha[::2, ::2]
        place = slice(top // 2, top // 2 + half.shape[0]), slice(left // 2, left // 2 + half.shape[1])
        for plane, value in ((self.u[place], paint.u), (self.v[place], paint.v)):
            plane += half * (np.float32(value) - plane)

    @staticmethod
    def around(x: float, y: float, reach: float) -> tuple[int, int, Plane, Plane] | None:
        """(top, left, dx, dy) of the part of the picture within `reach` of a point, None if there is none."""
        left, right = max(0, int(x - reach) & ~1), min(WIDTH, int(x + reach + 3) & ~1)
        top, bottom = max(0, int(y - reach) & ~1), min(HEIGHT, int(y + reach + 3) & ~1)
        if left >= right or top >= bottom:
            return None
        return top, left, COLUMNS[:, left:right] - np.float32(x), LINES[top:bottom] - np.float32(y)

    def disc(self, x: float, y: float, radius: float, paint: Colour, opacity: float = 1.0, softness: float = 1.5, lit: Colour | None = None) -> None:
        """A disc; with `lit` it is a ball under a light from above left."""
        if (near := self.around(x, y, radius + softness)) is None:
            return
        top, left, dx, dy = near
        alpha = edge(np.sqrt(dx * dx + dy * dy) - np.float32(radius), softness) * np.float32(opacity)
        self.paint(alpha, paint, top, left)
        if lit is not None:
            light = np.float32(0.35) - (dx + dy) * np.float32(0.55 / radius)
            self.paint(alpha * np.clip(light, 0, 1).astype(np.float32), lit, top, left)

    def ring(self, x: float, y: float, radius: float, thickness: float, paint: Colour, opacity: float = 1.0, softness: float = 1.5) -> None:
        if (near := self.around(x, y, radius + thickness / 2 + softness)) is None:
            return
        top, left, dx, dy = near
        off = np.abs(np.sqrt(dx * dx + dy * dy) - np.float32(radius)) - np.float32(thickness / 2)
        self.paint(edge(off, softness) * np.float32(opacity), paint, top, left)

    def box(self, x: float, y: float, half_width: float, half_height: float, turn: float, paint: Colour, opacity: float = 1.0, round_by: float = 2.0) -> None:
        """A rectangle turned by `turn` radians, with round corners."""
        if (near := self.around(x, y, float(np.hypot(half_width, half_height)) + 2)) is None:
            return
        top, left, dx, dy = near
        cos, sin = np.float32(np.cos(turn)), np.float32(np.sin(turn))
        across = np.maximum(np.abs(dx * cos + dy * sin) - np.float32(half_width - round_by), 0)
        along = np.maximum(np.abs(dy * cos - dx * sin) - np.float32(half_height - round_by), 0)
        alpha = edge(np.sqrt(across * across + along * along) - np.float32(round_by)) * np.float32(opacity)
        self.paint(alpha, paint, top, left)

    def star(self, x: float, y: float, radius: float, points: int, depth: float, turn: float, paint: Colour, opacity: float = 1.0) -> None:
        """A flower of `points` petals, `depth` deep (0 = a disc)."""
        if (near := self.around(x, y, radius * (1 + depth) + 2)) is None:
            return
        top, left, dx, dy = near
        reach = np.float32(radius) * (1 + np.float32(depth) * np.cos(points * (np.arctan2(dy, dx) - np.float32(turn))))
        self.paint(edge(np.sqrt(dx * dx + dy * dy) - reach, 2.0) * np.float32(opacity), paint, top, left)

    def sparkle(self, x: float, y: float, radius: float, turn: float, paint: Colour, opacity: float = 1.0) -> None:
        """A four-pointed star with hollow sides."""
        if (near := self.around(x, y, radius + 2)) is None:
            return
        top, left, dx, dy = near
        cos, sin = np.float32(np.cos(turn)), np.float32(np.sin(turn))
        reach = np.sqrt(np.abs(dx * cos + dy * sin)) + np.sqrt(np.abs(dy * cos - dx * sin))  # an astroid: its sides bend inwards
        self.paint(edge((reach - np.float32(radius**0.5)) * np.float32(radius**0.5), 2.5) * np.float32(opacity), paint, top, left)

    def below(self, line: Plane, paint: Colour, opacity: float = 1.0, softness: float = 1.5, fade: float = 0.0) -> None:
        """Everything below a curve, `line` (WIDTH,) giving its height per column; with `fade` it thins out over that many pixels."""
        top = max(0, int(line.min()) - 2) & ~1
        if top >= HEIGHT:
            return
        deep = LINES[top:] - line[None, :].astype(np.float32)
        alpha = edge(-deep, softness) * np.float32(opacity)
        if fade:
            alpha *= np.clip(1 - deep * np.float32(1 / fade), 0, 1)
        self.paint(alpha, paint, top, 0)

    def band(self, line: Plane, half_thickness: Plane | float, paint: Colour, opacity: float = 1.0, softness: float = 1.5) -> None:
        """A ribbon along a curve, given per column."""
        reach = float(np.max(half_thickness)) + softness + 1
        top, bottom = max(0, int(line.min() - reach) & ~1), min(HEIGHT, int(line.max() + reach + 2) & ~1)
        if top >= bottom:
            return
        off = np.abs(LINES[top:bottom] - line[None, :].astype(np.float32)) - np.float32(half_thickness)
        self.paint(edge(off, softness) * np.float32(opacity), paint, top, 0)

    def into(self, planes: tuple[NDArray[np.uint8], NDArray[np.uint8], NDArray[np.uint8]]) -> None:
        """Writes the picture into 8-bit planes."""
        for source, target in zip((self.y, self.u, self.v), planes, strict=True):
            np.copyto(target, np.clip(source + np.float32(0.5), 16, 240), casting="unsafe")
