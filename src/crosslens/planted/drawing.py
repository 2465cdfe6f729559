"""Draw a scene as a 64 x 64 RGB picture; nothing random but what the scene's key decides.

Gender shows in hair, garment and face only, each drawn as a blend of its masculine and its feminine form at
the strength given by `scenes.scene_cues`. An ambiguous person wears a visor helmet and a shapeless overall.
"""

import random
from collections.abc import Callable

import numpy as np
from PIL import Image, ImageDraw

from crosslens.planted.scenes import Cues, Scene, scene_cues

SIZE = 64
NOISE = 10
"""Half width of the uniform brightness noise, in grey levels of 255."""

Colour = tuple[int, int, int]
Pen = ImageDraw.ImageDraw
WHITE, BLACK = (255, 255, 255), (25, 25, 25)
PAINT: dict[str, Colour] = {
    "red": (210, 40, 40),
    "blue": (40, 70, 215),
    "green": (30, 160, 60),
    "yellow": (235, 205, 30),
}
WALL_FLOOR: dict[str, tuple[Colour, Colour]] = {
    "kitchen": ((250, 240, 215), (190, 150, 120)),
    "street": ((190, 205, 220), (95, 95, 100)),
    "park": ((175, 220, 250), (95, 175, 80)),
    "office": ((225, 225, 235), (120, 125, 150)),
    "school": ((245, 225, 190), (165, 120, 80)),
    "market": ((250, 215, 170), (205, 180, 130)),
}
SKINS = ((240, 205, 175), (200, 150, 110), (140, 95, 65))
HAIRS = ((40, 25, 15), (90, 60, 30), (20, 20, 20))
CLOTHS = ((90, 90, 160), (160, 90, 90), (90, 140, 110), (130, 130, 130), (170, 140, 80))


class _Jitter:
    """Small random shifts and tints from one generator."""

    def __init__(self, rng: random.Random):
        self.rng = rng

    def shift(self, width: int) -> int:
        return self.rng.randint(-width, width)

    def tint(self, colour: Colour, width: int = 14) -> Colour:
        r, g, b = (max(0, min(255, value + self.shift(width))) for value in colour)
        return r, g, b


def draw(scene: Scene) -> Image.Image:
    """The scene's picture, 64 x 64 RGB; the same scene gives the same bytes."""
    jitter = _Jitter(random.Random(f"draw/{scene.key}"))
    image = Image.new("RGB", (SIZE, SIZE))
    _draw_place(ImageDraw.Draw(image), scene.place, jitter)
    x, y = 22 + jitter.shift(3), 22 + jitter.shift(2)
    image = _draw_person(image, scene_cues(scene), x, y, jitter)
    pen = ImageDraw.Draw(image)
    _draw_occupation(pen, scene.occupation, x, y)
    paint = jitter.tint(PAINT[scene.colour])
    _draw_object(pen, scene.object, 48 + jitter.shift(2), 38 + jitter.shift(2), paint)
    return _add_noise(image, jitter.rng)


def _add_noise(image: Image.Image, rng: random.Random) -> Image.Image:
    """Brightness noise in integers, so that it does not depend on a numpy version's generators."""
    byte_HW1 = np.frombuffer(rng.randbytes(SIZE * SIZE), np.uint8).reshape(SIZE, SIZE, 1).astype(np.int16)
    noise_HW1 = ((byte_HW1 * (2 * NOISE + 1)) >> 8) - NOISE
    pixels_HWC = np.asarray(image, np.int16) + noise_HW1
    return Image.fromarray(np.clip(pixels_HWC, 0, 255).astype(np.uint8))


def _draw_place(pen: Pen, place: str, jitter: _Jitter) -> None:
    wall, floor = WALL_FLOOR[place]
    pen.rectangle((0, 0, SIZE, SIZE), fill=jitter.tint(wall))
    horizon = 46 + jitter.shift(2)
    pen.rectangle((0, horizon, SIZE, SIZE), fill=jitter.tint(floor))
    if place == "kitchen":
        for x in range(0, SIZE, 8):
            pen.line((x, 0, x, 9), fill=(200, 190, 170))
        pen.line((0, 9, SIZE, 9), fill=(160, 140, 120), width=2)
    elif place == "street":
        for x in range(jitter.shift(3), SIZE, 16):
            pen.rectangle((x, 55, x + 8, 57), fill=(240, 240, 240))
        pen.rectangle((50, 2, 58, horizon), fill=(150, 120, 110))
    elif place == "park":
        pen.ellipse((44 + jitter.shift(2), 2, 62, 20), fill=jitter.tint((40, 130, 50)))
        pen.rectangle((52, 18, 55, horizon), fill=(110, 70, 40))
    elif place == "office":
        pen.rectangle((42, 4 + jitter.shift(1), 60, 16), fill=(150, 190, 230))
        pen.line((51, 4, 51, 16), fill=(90, 90, 90))
    elif place == "school":
        pen.rectangle((40, 3, 62, 15 + jitter.shift(1)), fill=(35, 80, 55))
        pen.line((44, 8, 56, 8), fill=(240, 240, 240))
    elif place == "market":
        for stripe, x in enumerate(range(0, SIZE, 8)):
            pen.rectangle((x, 0, x + 7, 6), fill=(215, 60, 60) if stripe % 2 else (250, 250, 250))
    else:
        raise ValueError(f"no drawing for place {place!r}; known: {', '.join(WALL_FLOOR)}")


def _draw_person(image: Image.Image, cues: Cues | None, x: int, y: int, jitter: _Jitter) -> Image.Image:
    skin = jitter.tint(jitter.rng.choice(SKINS), 8)
    hair = jitter.rng.choice(HAIRS)
    cloth = jitter.tint(jitter.rng.choice(CLOTHS))
    if cues is None:
        pen = ImageDraw.Draw(image)
        pen.ellipse((x - 7, y - 8, x + 7, y + 7), fill=(150, 155, 160))
        pen.rectangle((x - 5, y - 2, x + 5, y + 2), fill=(40, 45, 55))
        pen.rectangle((x - 9, y + 7, x + 9, y + 35), fill=cloth)
        return image

    def long_hair(pen: Pen) -> None:
        pen.ellipse((x - 9, y - 9, x + 9, y + 7), fill=hair)
        pen.rectangle((x - 9, y - 1, x - 5, y + 13), fill=hair)
        pen.rectangle((x + 5, y - 1, x + 9, y + 13), fill=hair)

    def trousers(pen: Pen) -> None:
        pen.rectangle((x - 8, y + 8, x + 8, y + 24), fill=cloth)
        pen.rectangle((x - 7, y + 24, x - 1, y + 35), fill=(50, 50, 70))
        pen.rectangle((x + 1, y + 24, x + 7, y + 35), fill=(50, 50, 70))

    def dress(pen: Pen) -> None:
        pen.polygon([(x - 4, y + 7), (x + 4, y + 7), (x + 12, y + 33), (x - 12, y + 33)], fill=cloth)

    def head(pen: Pen) -> None:
        pen.ellipse((x - 6, y - 7, x + 6, y + 7), fill=skin)
        pen.rectangle((x - 5, y - 7, x + 5, y - 4), fill=hair)

    def beard(pen: Pen) -> None:
        pen.ellipse((x - 6, y + 1, x + 6, y + 9), fill=hair)

    image = _blend(image, trousers, dress, cues.garment)
    image = _blend(image, _nothing, long_hair, cues.hair)
    head(ImageDraw.Draw(image))
    image = _blend(image, beard, _nothing, cues.face)
    ImageDraw.Draw(image).rectangle((x - 2, y + 3, x + 2, y + 4), fill=(190, 90, 90))
    return image


def _nothing(pen: Pen) -> None:
    """The absent form of a cue."""


def _blend(
    image: Image.Image, masculine: Callable[[Pen], None], feminine: Callable[[Pen], None], strength: float
) -> Image.Image:
    """Both forms drawn over `image` and mixed: strength 0 is wholly masculine, 1 wholly feminine."""
    layers = []
    for form in (masculine, feminine):
        layer = image.copy()
        form(ImageDraw.Draw(layer))
        layers.append(layer)
    return Image.blend(layers[0], layers[1], strength)


def _draw_occupation(pen: Pen, occupation: str, x: int, y: int) -> None:
    """A hat, an emblem on the chest, or a tool at the left edge."""
    chest = y + 15
    if occupation == "nurse":
        pen.rectangle((x - 6, y - 13, x + 6, y - 7), fill=WHITE)
        pen.rectangle((x - 1, y - 13, x + 1, y - 7), fill=(220, 0, 0))
        pen.rectangle((x - 4, y - 11, x + 4, y - 9), fill=(220, 0, 0))
    elif occupation == "doctor":
        pen.rectangle((x - 8, chest - 5, x + 8, chest + 9), fill=WHITE)
        pen.arc((x - 4, chest - 7, x + 4, chest + 5), 0, 180, fill=(20, 20, 20), width=2)
    elif occupation == "teacher":
        pen.rectangle((1, chest - 6, 11, chest + 2), fill=(20, 60, 40))
        pen.line((3, chest - 3, 9, chest - 3), fill=WHITE)
        pen.line((11, chest - 6, 16, chest - 14), fill=(120, 80, 40), width=2)
    elif occupation == "cleaner":
        pen.line((4, chest - 14, 4, chest + 18), fill=(150, 100, 50), width=2)
        pen.polygon([(0, chest + 20), (9, chest + 20), (4, chest + 12)], fill=(240, 220, 120))
    elif occupation == "cook":
        pen.ellipse((x - 8, y - 18, x + 8, y - 8), fill=WHITE)
        pen.rectangle((x - 6, y - 11, x + 6, y - 7), fill=WHITE)
    elif occupation == "artist":
        pen.ellipse((0, chest - 5, 12, chest + 6), fill=(170, 110, 60))
        pen.ellipse((2, chest - 2, 4, chest), fill=(220, 0, 0))
        pen.ellipse((6, chest - 3, 8, chest - 1), fill=(0, 0, 220))
        pen.ellipse((5, chest + 2, 7, chest + 4), fill=(0, 160, 0))
    elif occupation == "farmer":
        pen.ellipse((x - 12, y - 10, x + 12, y - 5), fill=(225, 190, 90))
        pen.ellipse((x - 6, y - 14, x + 6, y - 6), fill=(225, 190, 90))
    elif occupation == "driver":
        pen.ellipse((x - 6, chest - 4, x + 6, chest + 8), outline=(10, 10, 10), width=2)
        pen.line((x - 6, chest + 2, x + 6, chest + 2), fill=(10, 10, 10))
    elif occupation == "guard":
        pen.rectangle((x - 7, y - 12, x + 7, y - 7), fill=(20, 30, 90))
        pen.rectangle((x - 9, y - 7, x + 9, y - 6), fill=(10, 10, 30))
        pen.polygon([(x - 3, chest - 4), (x + 3, chest - 4), (x, chest + 3)], fill=(250, 210, 40))
    elif occupation == "engineer":
        pen.pieslice((x - 8, y - 15, x + 8, y + 1), 180, 360, fill=(255, 200, 0))
        pen.rectangle((x - 9, y - 8, x + 9, y - 7), fill=(255, 170, 0))
    else:
        raise ValueError(f"no drawing for occupation {occupation!r}")


def _draw_object(pen: Pen, object_: str, x: int, y: int, paint: Colour) -> None:
    if object_ == "book":
        pen.rectangle((x - 7, y - 6, x + 7, y + 6), fill=paint, outline=BLACK)
        pen.line((x, y - 6, x, y + 6), fill=WHITE, width=2)
    elif object_ == "phone":
        pen.rectangle((x - 4, y - 8, x + 4, y + 8), fill=paint, outline=BLACK)
        pen.rectangle((x - 2, y - 6, x + 2, y + 3), fill=(200, 230, 255))
    elif object_ == "key":
        pen.ellipse((x - 9, y - 4, x - 1, y + 4), outline=paint, width=2)
        pen.line((x - 1, y, x + 9, y), fill=paint, width=2)
        pen.line((x + 6, y, x + 6, y + 5), fill=paint, width=2)
        pen.line((x + 9, y, x + 9, y + 4), fill=paint, width=2)
    elif object_ == "cup":
        pen.rectangle((x - 6, y - 5, x + 4, y + 7), fill=paint, outline=BLACK)
        pen.arc((x + 1, y - 3, x + 9, y + 5), 270, 90, fill=paint, width=2)
    elif object_ == "chair":
        pen.rectangle((x - 6, y - 10, x - 3, y + 10), fill=paint)
        pen.rectangle((x - 6, y, x + 7, y + 3), fill=paint)
        pen.rectangle((x + 4, y, x + 7, y + 10), fill=paint)
    elif object_ == "car":
        pen.rectangle((x - 11, y, x + 11, y + 7), fill=paint)
        pen.polygon([(x - 7, y), (x - 4, y - 6), (x + 4, y - 6), (x + 7, y)], fill=paint)
        pen.ellipse((x - 9, y + 4, x - 3, y + 10), fill=BLACK)
        pen.ellipse((x + 3, y + 4, x + 9, y + 10), fill=BLACK)
    elif object_ == "apple":
        pen.ellipse((x - 7, y - 6, x + 7, y + 8), fill=paint)
        pen.line((x, y - 6, x + 2, y - 11), fill=(90, 60, 30), width=2)
    elif object_ == "bag":
        pen.polygon([(x - 8, y + 9), (x + 8, y + 9), (x + 6, y - 3), (x - 6, y - 3)], fill=paint)
        pen.arc((x - 5, y - 10, x + 5, y + 4), 180, 360, fill=paint, width=2)
    elif object_ == "flower":
        pen.line((x, y, x, y + 13), fill=(20, 120, 30), width=2)
        for dx, dy in ((-4, 0), (4, 0), (0, -4), (0, 4)):
            pen.ellipse((x + dx - 3, y - 7 + dy, x + dx + 3, y - 1 + dy), fill=paint)
        pen.ellipse((x - 2, y - 6, x + 2, y - 2), fill=WHITE)
    elif object_ == "clock":
        pen.ellipse((x - 9, y - 9, x + 9, y + 9), fill=paint, outline=BLACK)
        pen.ellipse((x - 6, y - 6, x + 6, y + 6), fill=WHITE)
        pen.line((x, y, x, y - 5), fill=BLACK)
        pen.line((x, y, x + 4, y), fill=BLACK)
    else:
        raise ValueError(f"no drawing for object {object_!r}")
