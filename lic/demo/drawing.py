"""The drawn photographs of the demo world: ten kinds of shapes over backgrounds that no task needs.

Every scene is drawn from a seed, so its class, caption, boxes and masks are known exactly. One to three textured,
partly transparent shapes lie over coloured 1/f noise, and the whole has sensor noise. **The background is detail that
no task needs**: it costs bits, and a codec made for machines may throw it away. The shapes are small, finely textured
and often of low contrast, so a codec that throws away the wrong detail loses them.

    from lic.demo.drawing import draw_scene
    scene = draw_scene("val", 0)

Only numpy and Pillow are needed: worker processes start fast.
"""

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

SCENE_PX = 128
WORLD_SEED = 20_261_120
WORLD_VERSION = 1  # raise it when the drawing changes: it names the cache folder
SPLITS = ("train", "val", "networks", "preferences")
SHAPES = ("arrow", "circle", "crescent", "cross", "diamond", "heart", "ring", "square", "star", "triangle")
COLOURS = {
    "red": (200, 40, 40), "orange": (235, 130, 30), "yellow": (230, 210, 50), "green": (50, 160, 60),
    "cyan": (50, 190, 200), "blue": (50, 80, 210), "purple": (140, 60, 180), "pink": (240, 130, 180),
    "white": (240, 240, 240), "black": (25, 25, 25),
}  # fmt: skip
TEXTURES = ("plain", "striped", "dotted", "checked")
SIZES = {"small": 0.0, "medium": 14.0, "large": 22.0}  # smallest radius of each word, px

MAIN_RADIUS_PX = (17.0, 30.0)
OTHER_RADIUS_PX = (10.0, 0.6)  # smallest, and largest as a share of the main object's radius
OPACITY = (0.3, 0.9)
LEAST_COLOUR_DISTANCE = 110.0  # Euclidean, RGB in [0, 255], between a colour and the mean background
TEXTURE_PERIOD_PX = (4.0, 7.0)
MOST_TURN = 0.4  # radians, either way
TEXTURE_CONTRAST = (0.2, 0.45)
BACKGROUND_SLOPE = (1.1, 1.6)  # the exponent of 1/f
BACKGROUND_LUMA_STD = (10.0, 24.0)
BACKGROUND_CHROMA_STD = 7.0
SENSOR_NOISE_STD = (2.0, 5.0)
LEAST_VISIBLE = 0.6  # share of an object's pixels that no later object may cover
SUPERSAMPLING = 4


class SceneObject(NamedTuple):
    """One shape: its class, the box around its visible part (x0, y0, x1, y1; px), its visible mask (H, W)."""

    label: int
    box: tuple[float, float, float, float]
    mask: NDArray[np.bool_]


class Scene(NamedTuple):
    """A drawn photograph (128, 128, 3) with what is known about it; the label is the clearly largest object's."""

    image: NDArray[np.uint8]
    label: int
    caption: str
    objects: tuple[SceneObject, ...]


class _Shape(NamedTuple):
    """What is chosen before anything is drawn; centre and radius in px, angle in radians."""

    label: int
    colour: str
    texture: str
    centre: tuple[float, float]
    radius: float
    angle: float


def draw_scene(split: str, index: int) -> Scene:
    """Scene number `index` of a split, always the same; scenes of different splits share nothing but the world."""
    if split not in SPLITS:
        raise ValueError(f"split '{split}' is unknown; choose from: {', '.join(SPLITS)}")
    rng = np.random.default_rng((WORLD_SEED, SPLITS.index(split), index))
    canvas = _background(rng)
    shapes, masks = _arrange(rng, canvas.mean(axis=(0, 1)))
    for shape, coverage in zip(shapes, masks, strict=True):
        canvas = _paint(rng, canvas, shape, coverage)
    canvas = canvas + rng.normal(0, rng.uniform(*SENSOR_NOISE_STD), canvas.shape)
    image = np.clip(np.rint(canvas), 0, 255).astype(np.uint8)
    visible = _visible(masks)
    order = sorted(range(len(shapes)), key=lambda i: -shapes[i].radius)
    objects = tuple(SceneObject(shapes[i].label, _box(visible[i]), visible[i]) for i in order)
    caption = " and ".join(_describe(shapes[i]) for i in order)
    return Scene(image, objects[0].label, caption, objects)


def _arrange(
    rng: np.random.Generator, mean_colour: NDArray[np.float64]
) -> tuple[list[_Shape], list[NDArray[np.float64]]]:
    """One to three shapes in painting order, and their coverage (H, W) in [0, 1].

    Drawn again until all of them are seen. Their colours are unlike the background's mean (3,).
    """
    distinct = [n for n, c in COLOURS.items() if np.linalg.norm(mean_colour - c) >= LEAST_COLOUR_DISTANCE]
    while True:
        main_radius = rng.uniform(*MAIN_RADIUS_PX)
        radii = [main_radius]
        for _ in range(rng.integers(0, 3)):
            radii.append(rng.uniform(OTHER_RADIUS_PX[0], main_radius * OTHER_RADIUS_PX[1]))
        shapes = [_choose(rng, radii[i], distinct) for i in rng.permutation(len(radii))]
        masks = [_coverage(shape) for shape in shapes]
        visible = _visible(masks)
        if all(v.sum() >= LEAST_VISIBLE * (m > 0.5).sum() for v, m in zip(visible, masks, strict=True)):
            return shapes, masks


def _choose(rng: np.random.Generator, radius: float, colours: list[str]) -> _Shape:
    """A random shape of a given radius (px), in one of the colours, that lies whole inside the scene."""
    x, y = rng.uniform(radius + 1, SCENE_PX - radius - 1, size=2)
    return _Shape(
        label=int(rng.integers(len(SHAPES))),
        colour=colours[rng.integers(len(colours))],
        texture=TEXTURES[rng.integers(len(TEXTURES))],
        centre=(float(x), float(y)),
        radius=radius,
        angle=float(rng.uniform(-MOST_TURN, MOST_TURN)),
    )


def _visible(masks: list[NDArray[np.float64]]) -> list[NDArray[np.bool_]]:
    """The part of each coverage that no later one hides; each pixel belongs to one object at most."""
    seen = []
    for i, mask in enumerate(masks):
        hidden = np.any([later > 0.5 for later in masks[i + 1 :]], axis=0) if masks[i + 1 :] else False
        seen.append((mask > 0.5) & ~np.asarray(hidden))
    return seen


def _box(mask: NDArray[np.bool_]) -> tuple[float, float, float, float]:
    """The tight box (x0, y0, x1, y1) around a mask, px; x1 and y1 are exclusive."""
    ys, xs = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    return float(xs[0]), float(ys[0]), float(xs[-1] + 1), float(ys[-1] + 1)


def _describe(shape: _Shape) -> str:
    """An object's part of the caption: 'a small red striped star at the upper left'."""
    size = [word for word, smallest in SIZES.items() if shape.radius >= smallest][-1]
    x, y = shape.centre
    place = f"{'upper' if y < SCENE_PX / 2 else 'lower'} {'left' if x < SCENE_PX / 2 else 'right'}"
    return f"a {size} {shape.colour} {shape.texture} {SHAPES[shape.label]} at the {place}"


def _background(rng: np.random.Generator) -> NDArray[np.float64]:
    """Coloured 1/f noise (128, 128, 3), about [0, 255]: a mean colour, a luminance field, three weak colour fields."""
    frequency = np.hypot(np.fft.fftfreq(SCENE_PX)[:, None], np.fft.rfftfreq(SCENE_PX)[None])
    frequency[0, 0] = np.inf
    white = np.fft.rfft2(rng.normal(size=(4, SCENE_PX, SCENE_PX)))
    fields = np.fft.irfft2(white / frequency ** rng.uniform(*BACKGROUND_SLOPE), s=(SCENE_PX, SCENE_PX))
    fields /= fields.std(axis=(1, 2), keepdims=True)
    luma = fields[0] * rng.uniform(*BACKGROUND_LUMA_STD)
    chroma = BACKGROUND_CHROMA_STD * fields[1:].transpose(1, 2, 0)
    return np.asarray(rng.uniform(60, 195, size=3) + luma[..., None] + chroma)


def _outline(name: str) -> list[NDArray[np.float64]]:
    """The polygon of a shape inside the unit circle, (points, 2) as x, y; a second polygon is a hole."""
    turn = np.linspace(0, 2 * math.pi, 49)[:-1]
    circle = np.stack([np.cos(turn), np.sin(turn)], axis=1)
    match name:
        case "circle":
            return [0.9 * circle]
        case "ring":
            return [circle, 0.55 * circle]
        case "square":
            return [circle[6::12]]
        case "triangle":
            return [circle[12::16] * (1, -1)]
        case "diamond":
            return [circle[::12] * (0.6, 1.0)]
        case "star":
            return [_star(5, 0.42)]
        case "cross":
            a, b = 0.94, 0.33
            corners = [(b, b), (b, a), (-b, a), (-b, b), (-a, b), (-a, -b), (-b, -b), (-b, -a), (b, -a), (b, -b)]
            return [np.array([*corners, (a, -b), (a, b)])]
        case "crescent":
            outer = np.linspace(0.22 * math.pi, 1.78 * math.pi, 40)
            inner = np.linspace(1.6 * math.pi, 0.4 * math.pi, 40)
            bow = np.stack([0.25 + 0.72 * np.cos(inner) + 0.25, 0.67 * np.sin(inner)], axis=1)
            return [np.concatenate([np.stack([np.cos(outer), np.sin(outer)], axis=1), bow])]
        case "heart":
            x = 16 * np.sin(turn) ** 3
            y = 13 * np.cos(turn) - 5 * np.cos(2 * turn) - 2 * np.cos(3 * turn) - np.cos(4 * turn)
            return [np.stack([x, -y - 2], axis=1) / 17]
        case _:
            head, wing, stem, tail = 1.0, 0.72, 0.26, -0.95
            points = [(head, 0), (0, wing), (0, stem), (tail, stem), (tail, -stem), (0, -stem), (0, -wing)]
            return [np.array(points)]


def _star(points: int, inner: float) -> NDArray[np.float64]:
    """A star's outline (2 * points, 2) with tips at radius 1."""
    turn = np.arange(2 * points) * math.pi / points
    radius = np.where(np.arange(2 * points) % 2 == 0, 1.0, inner)
    return np.stack([radius * np.cos(turn), radius * np.sin(turn)], axis=1)


def _coverage(shape: _Shape) -> NDArray[np.float64]:
    """How much of each pixel (H, W) a shape covers, in [0, 1]."""
    side = SCENE_PX * SUPERSAMPLING
    drawing = Image.new("L", (side, side))
    pen = ImageDraw.Draw(drawing)
    cos, sin = math.cos(shape.angle), math.sin(shape.angle)
    for polygon, fill in zip(_outline(SHAPES[shape.label]), (255, 0), strict=False):
        placed = shape.radius * polygon @ np.array([[cos, sin], [-sin, cos]]) + shape.centre
        pen.polygon([(x, y) for x, y in placed * SUPERSAMPLING], fill=fill)
    return np.asarray(drawing.reduce(SUPERSAMPLING), dtype=np.float64) / 255


def _paint(
    rng: np.random.Generator, canvas: NDArray[np.float64], shape: _Shape, coverage: NDArray[np.float64]
) -> NDArray[np.float64]:
    """The canvas (H, W, 3) with a textured, partly transparent shape over it."""
    colour = np.array(COLOURS[shape.colour]) + rng.normal(0, 12, size=3)
    y, x = np.mgrid[:SCENE_PX, :SCENE_PX]
    wave = 2 * math.pi / rng.uniform(*TEXTURE_PERIOD_PX)
    angle = rng.uniform(0, math.pi)
    u = np.sin(wave * (x * math.cos(angle) + y * math.sin(angle)))
    v = np.sin(wave * (y * math.cos(angle) - x * math.sin(angle)))
    match shape.texture:
        case "striped":
            pattern = np.sign(u)
        case "dotted":
            pattern = np.where(u + v > 0.6, 1.0, 0.0)
        case "checked":
            pattern = np.sign(u * v)
        case _:
            pattern = np.zeros_like(u)
    towards = -1 if colour.mean() > 127 else 1  # dark colours get light textures and the other way round
    contrast = rng.uniform(*TEXTURE_CONTRAST)
    paint = colour + towards * contrast * 128 * pattern[..., None]
    opacity = (coverage * rng.uniform(*OPACITY))[..., None]
    return np.asarray(canvas * (1 - opacity) + paint * opacity)
