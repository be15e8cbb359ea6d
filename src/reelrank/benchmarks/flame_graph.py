"""A flame graph as an SVG file that needs nothing else: each call a box as wide as the time it took, what it called below it."""

from collections.abc import Iterator, Mapping
from typing import NamedTuple
from xml.sax.saxutils import escape

from reelrank.benchmarks.cpu_stacks import Frame, Stack

_WIDTH, _MARGIN, _ROW = 1_000.0, 10.0, 19.0
_TOP, _BOTTOM = 34.0, 40.0  # for the heading and the legend
_FONT_PX = 11.0
_CHARACTER = 0.602 * _FONT_PX  # the widest of the fonts below
_NARROWEST = 0.7  # of a box that is drawn at all
_SHORTEST = 4  # characters that still say something
_ROOT = "request"
_VERBS = {"propose", "judge", "hydrate", "score", "select"}  # of contracts: whose they are says more
# the folders of the package, libraries, and what is none of them: (light, dark)
_COLOURS = {
    "feed": ("#ffd9a8", "#7a4a12"),
    "candidates": ("#ffb3a1", "#8a3420"),
    "features": ("#bfe3b4", "#2f5f2a"),
    "models": ("#b9d4ff", "#27508f"),
    "ranking": ("#f4c6e8", "#74326a"),
    "serving": ("#fff0a6", "#6b5c0d"),
    "storage": ("#b5e6e2", "#1f5f5b"),
    "libraries": ("#dfe3e8", "#3f4650"),
}
_FOLDERS = {"pipeline": "feed", "feed": "feed", "domain": "feed", "": "feed"}  # those that share a colour
_STYLE = """
  svg {{ --ink: #1c1f24; --ground: #ffffff; {light} }}
  @media (prefers-color-scheme: dark) {{ svg {{ --ink: #eef1f5; --ground: #14171c; {dark} }} }}
  text {{ font: {font}px ui-monospace, SFMono-Regular, Menlo, Consolas, "DejaVu Sans Mono", monospace; fill: var(--ink); }}
  .heading {{ font: 600 14px system-ui, -apple-system, "Segoe UI", Roboto, "DejaVu Sans", sans-serif; }}
  .ground {{ fill: var(--ground); }}
  g:hover > rect {{ stroke: var(--ink); }}
  {classes}
"""


class _Box(NamedTuple):
    frame: Frame
    ms: float
    left: float  # in milliseconds
    depth: int


def flame_graph(ms: Mapping[Stack, float], heading: str) -> str:
    """The milliseconds of each stack, as a picture. Boxes tell their name and time when they are pointed at; text is there where it fits."""
    total = sum(ms.values())
    if total <= 0:
        raise ValueError("there is nothing to draw: no stack took any time")
    scale = (_WIDTH - 2 * _MARGIN) / total
    boxes = [box for box in _boxes(ms) if box.ms * scale >= _NARROWEST]
    height = _TOP + _ROW * (1 + max(box.depth for box in boxes)) + _BOTTOM
    drawn = "\n".join(_drawn(box, scale, total) for box in boxes)
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH:g} {height:g}" role="img" aria-labelledby="title">\n'
        f'<title id="title">{escape(heading)}</title>\n<style>{_style()}</style>\n'
        f'<rect class="ground" width="{_WIDTH:g}" height="{height:g}" rx="8"/>\n'
        f'<text class="heading" x="{_MARGIN:g}" y="22">{escape(heading)}</text>\n{drawn}\n{_legend(height - 16)}\n</svg>\n'
    )


def _boxes(ms: Mapping[Stack, float]) -> Iterator[_Box]:
    """Every call with what it called, the longest first."""
    yield _Box(("", _ROOT), sum(ms.values()), 0.0, 0)
    yield from _below(ms, 0.0, 1)


def _below(ms: Mapping[Stack, float], left: float, depth: int) -> Iterator[_Box]:
    called: dict[Frame, dict[Stack, float]] = {}
    for stack, took in ms.items():
        if stack:
            within = called.setdefault(stack[0], {})
            within[stack[1:]] = within.get(stack[1:], 0.0) + took
    for frame, within in sorted(called.items(), key=lambda item: (-sum(item[1].values()), item[0])):
        took = sum(within.values())
        yield _Box(frame, took, left, depth)
        yield from _below(within, left, depth + 1)
        left += took


def _drawn(box: _Box, scale: float, total: float) -> str:
    (module, name), ms = box.frame, box.ms
    x, y, width = _MARGIN + box.left * scale, _TOP + box.depth * _ROW, box.ms * scale
    told = f"{module}.{name}" if module else name
    text = _fitting(box.frame, ms, width - 6)
    written = f'<text x="{x + 3:.1f}" y="{y + 13:g}">{escape(text)}</text>' if text else ""
    return (
        f"<g><title>{escape(told)}: {ms:.2f} ms, {ms / total:.1%}</title>"
        f'<rect class="{_kind(module)}" x="{x:.1f}" y="{y:g}" width="{max(0.4, width - 0.6):.1f}" height="{_ROW - 1:g}" rx="2"/>{written}</g>'
    )


def _fitting(frame: Frame, ms: float, width: float) -> str:
    """As much of the name as there is room for, with the milliseconds if they fit, too."""
    module, name = frame
    name = name.replace(".<locals>", "")
    package, (owner, _, method) = module.partition(".")[0], name.rpartition(".")
    if package not in {"", "reelrank"}:
        name, short = f"{package} {name}", package
    else:
        short = owner if owner and method in _VERBS else method
    room = int(width / _CHARACTER)
    for text in (f"{name} {ms:.2f} ms", f"{name} {ms:.2f}", name, short):
        if len(text) <= room:
            return text
    return f"{short[: room - 1]}…" if room >= _SHORTEST else ""


def _kind(module: str) -> str:
    package, _, rest = module.partition(".")
    folder = rest.partition(".")[0] if package == "reelrank" else "" if not package else "libraries"
    folder = _FOLDERS.get(folder, folder)
    return folder if folder in _COLOURS else "libraries"


def _style() -> str:
    light, dark = (" ".join(f"--{kind}: {colours[place]};" for kind, colours in _COLOURS.items()) for place in (0, 1))
    return _STYLE.format(light=light, dark=dark, font=f"{_FONT_PX:g}", classes=" ".join(f".{kind} {{ fill: var(--{kind}); }}" for kind in _COLOURS))


def _legend(y: float) -> str:
    drawn, x = "", _MARGIN
    for kind in _COLOURS:
        drawn += f'<rect class="{kind}" x="{x:.1f}" y="{y - 10:g}" width="12" height="12" rx="2"/><text x="{x + 17:.1f}" y="{y:g}">{kind}</text>'
        x += 17 + len(kind) * _CHARACTER + 18
    return drawn
