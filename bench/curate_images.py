"""Precision and recall of `eadnet curate images` on 500 pairs that are made on the spot.

    python bench/curate_images.py                 makes the pairs in a folder of its own, and prints the tables
    python bench/curate_images.py --keep FOLDER   leaves pairs, shards and report there

Heads of the corpus (`eadnet download heads`) are laid on backdrops and textures: one to five of them, large or small.
The pictures of scikit-image that its wheel holds come beside, and backdrops without anybody. Captions are written from
templates, traps among them. Truth is known as everything is made: a pair is good where the picture has one to three
faces, the largest of 4 % or more, both sides have 512 pixels, the caption speaks of a person, and the picture is new.
"""

from __future__ import annotations

import argparse
import io
import json
import tarfile
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from eadnet_core.corpus.stage import open_stage
from eadnet_core.curation.captions import keywords
from eadnet_core.curation.image_run import curate_images
from eadnet_core.curation.images import DUPLICATE, ImageRules
from eadnet_core.curation.manifest import read_rows
from eadnet_core.emotion.code import emotion_code
from eadnet_core.heads.backdrop import draw_backdrop
from eadnet_core.heads.rig import STATE, STATE_INDEX
from eadnet_core.taxonomy import ACTION_UNITS, EMOTIONS

N_PAIRS, N_HEADS, HEAD_PX = 500, 60, 256
FACE_IN_HEAD = 0.2
"""Least part of a rendered square that its face covers, and so what the truth of a large face is reckoned with."""
PEOPLE = (
    "Portrait of a smiling woman", "An elderly man looks out of the window", "Two friends laughing", "young girl",
    "A Chinese businessman in an office", "the president of the chess club", "The doctor explains the results",
    "East Asian student with glasses", "Margaret Thatcher in 1983", "Rose Wilson, close-up", "Barack Obama speaks",
    "Mark Johnson at the premiere", "A Nigerian in traditional clothes", "The French at the final", "Dr. Hope at work",
    "Mr. Frank and the others", "retired engineer from Ohio", "Latina singer on stage", "Jennifer before the interview",
    "a man called Victor", "the woman behind the Margaret River winery", "baby asleep",
    "Schauspielerin bei der Premiere",
    "eine junge Frau am Fenster", "un homme sourit", "une infirmière au travail", "retrato de una mujer mexicana",
    "el profesor en clase", "uma menina sorrindo", "ritratto di una ragazza", "портрет девушки", "учитель в классе",
    "一位老师在教室里", "微笑的女孩", "窓辺の女性", "웃는 여자", "Grandfather telling stories", "Serena Williams, 2015",
    "Priya at the market", "Sergey from Moscow", "Muhammad, the goalkeeper", "The CEO's speech: a leader at work",
    "Queen of the carnival", "Kurdish refugees", "wrestlers before the fight", "HIS HOLINESS THE POPE",
    "selfie in the mountains", "Ritratto di Giovanni", "Björk live", "Winnie Mandela", "Someone you know",
)  # fmt: skip
THINGS = (
    "a rose called Margaret", "chess club trophy", "Margaret River wine", "Chinese blue porcelain vase", "French toast",
    "Men's leather shoes", "Hurricane Katrina from space", "St. James Church", "Queen size bed", "King Charles spaniel",
    "Victoria sponge cake", "a couple of apples", "model train on its track", "nail polish in red", "baby shark toy",
    "German shepherd", "Doctor fish in the aquarium", "Japanese maple in autumn", "Charlotte skyline at night",
    "Grace and beauty of the sea", "In June the roses bloom", "Amber and jade on velvet", "Brazilian coffee beans",
    "Baker Street sign", "Indian elephant", "The Bill passed", "Swiss army knife", "Turkish delight", "Guard rail",
    "wallpaper with flowers", "abstract texture in grey", "mountain lake at dawn", "old car in a barn", "Sandy beach",
    "sunset over the sea", "wooden table with bread", "download icon", "rote Rosen im Garten", "un chat sur le toit",
    "una casa blanca", "um carro azul", "закат над морем", "山上的雪", "東京の夜景", "city map", "Basil and rosemary",
    "Lily pond", "Lincoln Memorial", "Washington in spring", "Orlando airport", "Ford Mustang", "Tesla Model 3",
    "Victorian sofa", "English breakfast", "Kitchen of the house", "Dutch cheese", "the Georgia coast", "Pilot episode",
)  # fmt: skip

LATER_PEOPLE = (
    "Close up of beautiful brunette posing outdoors", "Emma Stone attends the Oscars 2017", "Vintage photo of a sailor",
    "How to look good in pictures: tips from a pro", "Cheerful colleagues in a meeting", "Team members of the company",
    "Hijabi in London", "Passport photograph, smiling", "Sir David Attenborough at 90", "Lead vocalist of the band",
    "LeBron James dunks", "Mugshot released by police", "Beyonce at Coachella", "Freckled redhead with blue eyes",
    "Angela Merkel, 2019", "The winner of the lottery", "Amish farmers in Pennsylvania", "Cosplay at Comic-Con",
    "An old fisherman mends his net", "Yoga instructor in lotus pose", "Curly hair tutorial", "Zuckerberg testifies",
    "Vogue cover with Gigi Hadid", "Bride's makeup by Anna", "Mujer mayor con sombrero", "Vieil homme au café",
    "Großmutter mit Enkel", "una coppia felice", "молодой врач", "年轻的医生", "笑顔の看護師", "행복한 가족",
)  # fmt: skip
LATER_THINGS = (
    "Nike Air Jordan 1 retro high", "Mercedes-Benz C-Class interior", "Calvin Klein perfume 100 ml",
    "St Andrews golf links",
    "The Martin D-28 guitar", "Persian cat on a sofa", "Hotel Maria in Rome", "Levi's 501 jeans", "Tommy Hilfiger polo",
    "Siberian husky puppy", "Greek yoghurt with honey", "Michael Kors handbag", "Swedish meatballs",
    "Victoria, BC harbour",
    "Women's running shoes size 8", "Carter's sleeper set", "Jack Daniel's bottle", "Irish stew recipe",
    "Paul Smith wallet",
    "Canadian Rockies", "Ralph Lauren paint colours", "Kids bedroom ideas", "Wedding invitation template",
    "Harley Davidson",
    "Boys t-shirt with dinosaur", "The Sims 4 screenshot", "Barbie dream house", "Portuguese tiles in Lisbon",
    "John Deere",
    "Old English sheepdog", "Teacher appreciation gift tag", "Nurse badge reel",
)  # fmt: skip
"""Captions that were written after the lists of words, which were not changed for them."""


@dataclass(frozen=True)
class Made:
    """A pair with its truth: whether picture and caption are good, and what kind each is."""

    picture: Image.Image
    caption: str
    kind: str
    has_good_picture: bool
    speaks_of_person: bool


def heads(rng: np.random.Generator, n: int) -> list[Image.Image]:
    """Squares of heads of the corpus, each another one."""
    found = []
    for _ in range(n):
        state = np.zeros(len(STATE), np.float32)
        emotion = str(rng.choice(EMOTIONS))
        for name, value in zip(ACTION_UNITS, emotion_code(emotion, 0.7)[-len(ACTION_UNITS) :], strict=True):
            state[STATE_INDEX[name]] = value
        state[STATE_INDEX["yaw"]], state[STATE_INDEX["pitch"]] = rng.normal(0, 0.12), rng.normal(0, 0.06)
        drawn = open_stage(int(rng.integers(2**31)), HEAD_PX).draw(state[None])[0][0]
        found.append(Image.fromarray(drawn))
    return found


def scene(rng: np.random.Generator, width: int, height: int) -> Image.Image:
    """A picture without anybody: a backdrop of the corpus, or a texture."""
    if rng.random() < 0.7:
        drawn = np.clip(draw_backdrop(rng, max(width, height)), 0, 1) ** (1 / 2.2) * 255
        return Image.fromarray(drawn.astype(np.uint8)).crop((0, 0, width, height))
    coarse = rng.integers(0, 255, (int(rng.integers(3, 40)), int(rng.integers(3, 40)), 3), dtype=np.uint8)
    return Image.fromarray(coarse).resize((width, height), Image.Resampling.BICUBIC)


def with_heads(
    rng: np.random.Generator, faces: list[Image.Image], width: int, height: int, n: int, part: float
) -> Image.Image:
    """A scene with `n` heads in a row, each a square of `part` of the place that it has."""
    picture, column = scene(rng, width, height), width // n
    for i in range(n):
        side = max(40, int(part * min(column, height)))
        x = i * column + int(rng.integers(0, max(1, column - side)))
        face = faces[int(rng.integers(len(faces)))].resize((side, side), Image.Resampling.LANCZOS)
        picture.paste(face, (x, int(rng.integers(0, max(1, height - side)))))
    return picture


def from_skimage() -> list[tuple[str, Image.Image, bool]]:
    """(name, picture, has one large face) of what scikit-image holds; enlarged where it is small."""
    try:
        from skimage import data
    except ImportError:
        return []
    found = []
    for name in ("astronaut", "camera", "cat", "coffee", "rocket", "coins", "page", "text", "moon", "brick", "grass"):
        try:
            pixels = getattr(data, name)()
        except Exception as error:  # of a picture that would have to be downloaded
            print(f"scikit-image's {name} is not at hand: {type(error).__name__}")
            continue
        picture = Image.fromarray(pixels).convert("RGB")
        scale = 600 / min(picture.size)
        size = (round(picture.width * scale), round(picture.height * scale))
        found.append((name, picture.resize(size), name == "astronaut"))
    return found


def make(seed: int) -> list[Made]:
    """The pairs, in random order; copies follow what they are copied from."""
    rng = np.random.default_rng(seed)
    faces = heads(rng, N_HEADS)
    made: list[Made] = []

    def caption(is_person: bool) -> str:
        return str(rng.choice(PEOPLE if is_person else THINGS))

    def add(kind: str, picture: Image.Image, is_good: bool, person_share: float) -> None:
        is_person = bool(rng.random() < person_share)
        made.append(Made(picture, caption(is_person), kind, is_good, is_person))

    for name, picture, has_face in from_skimage():
        add(f"scikit-image: {name}", picture, has_face, 0.5)
    plans = [("one face", 200, 1, (0.5, 1.0)), ("two or three faces", 60, 0, (0.8, 1.0))]
    plans += [("four or five faces", 35, 4, (0.8, 1.0)), ("small face", 45, 1, (0.18, 0.26)), ("nobody", 90, 0, (0, 0))]
    for kind, n, n_faces, parts in plans:
        for _ in range(n):
            width, height = (int(v) for v in rng.integers(560, 1300, 2))
            part = rng.uniform(*parts)
            if kind == "nobody":
                add(kind, scene(rng, width, height), False, 0.5)
                continue
            count = n_faces + int(rng.integers(0, 2)) if n_faces != 1 else 1
            count = count if n_faces else int(rng.integers(2, 4))
            if count > 1:
                width, height = int(width * 1.2), 560
            picture = with_heads(rng, faces, width, height, count, part)
            add(kind, picture, kind in ("one face", "two or three faces"), 0.65)
    while len(made) < N_PAIRS - 25:
        width, height = (int(v) for v in rng.integers(200, 500, 2))
        add("low resolution", with_heads(rng, faces, width, height, 1, 0.9), False, 0.8)
    made = [made[i] for i in rng.permutation(len(made))]
    originals = [m for m in made if m.kind == "one face" and m.speaks_of_person][:25]
    for original in originals:
        smaller = original.picture.resize((int(original.picture.width * 0.95), int(original.picture.height * 0.95)))
        made.append(Made(smaller, original.caption, "copy", False, True))
    return made


def write(pairs: list[Made], folder: Path) -> None:
    """img2dataset's shards of 100 pairs, JPEG; the last pictures at a lower quality than the first."""
    for start in range(0, len(pairs), 100):
        with tarfile.open(folder / f"{start // 100:05d}.tar", "w") as shard:
            for number, pair in enumerate(pairs[start : start + 100], start):
                content = io.BytesIO()
                pair.picture.save(content, "JPEG", quality=70 if pair.kind == "copy" else 92)
                for suffix, data in (("jpg", content.getvalue()), ("txt", pair.caption.encode())):
                    info = tarfile.TarInfo(f"{number:09d}.{suffix}")
                    info.size = len(data)
                    shard.addfile(info, io.BytesIO(data))


def rates(name: str, wanted: list[bool], given: list[bool]) -> str:
    """A line of the table: precision and recall."""
    hits = sum(w and g for w, g in zip(wanted, given, strict=True))
    return (
        f"| {name} | {sum(wanted)} | {sum(given)} | {100 * hits / max(1, sum(given)):.1f} % | "
        f"{100 * hits / max(1, sum(wanted)):.1f} % |"
    )


def main() -> None:
    """Make, filter, compare."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--keep", type=Path, metavar="FOLDER")
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        folder = args.keep or Path(temporary)
        source = folder / "pairs"
        source.mkdir(parents=True, exist_ok=True)
        pairs = make(args.seed)
        write(pairs, source)
        began = time.perf_counter()
        report = curate_images(source, folder / "curated", ImageRules())
        seconds = time.perf_counter() - began
        rows = read_rows(folder / "curated" / "manifest.parquet")
    print(report.table())
    compare(pairs, rows)
    print(json.dumps({"pairs": len(pairs), "seconds": round(seconds, 1), "seed": args.seed}))


def compare(pairs: list[Made], rows: list[dict[str, object]]) -> None:
    """Print precision and recall of the whole, of the caption filters and of the face filter, and what was mistaken."""
    good = [p.has_good_picture and p.speaks_of_person for p in pairs]
    print("\n| filter | true | kept | precision | recall |\n|---|---|---|---|---|")
    print(rates("all filters", good, [not row["reason"] for row in rows]))
    persons = [p.speaks_of_person for p in pairs]
    print(rates("captions, guarded", persons, [bool(keywords(p.caption)) for p in pairs]))
    print(rates("captions, plain", persons, [bool(keywords(p.caption, has_guards=False)) for p in pairs]))
    later = [True] * len(LATER_PEOPLE) + [False] * len(LATER_THINGS)
    for name, has_guards in (("guarded", True), ("plain", False)):
        given = [bool(keywords(text, has_guards=has_guards)) for text in LATER_PEOPLE + LATER_THINGS]
        print(rates(f"captions written later, {name}", later, given))
    seen = [(p, r) for p, r in zip(pairs, rows, strict=True) if r["n_faces"] is not None and p.kind != "copy"]
    pictures = [r["reason"] in ("", DUPLICATE) for _, r in seen]
    print(rates("faces, of those that were looked at", [p.has_good_picture for p, _ in seen], pictures))
    copies = [(p.kind == "copy", r["reason"] == DUPLICATE) for p, r in zip(pairs, rows, strict=True)]
    print(rates("duplicates", [c for c, _ in copies], [d for _, d in copies]))
    print("\nmistaken captions:", sorted({p.caption for p in pairs if bool(keywords(p.caption)) != p.speaks_of_person}))
    for p, r in seen:
        if p.has_good_picture != (r["reason"] in ("", DUPLICATE)):
            print("mistaken picture:", p.kind, r["reason"], r["n_faces"], r["face_share"], p.picture.size)


if __name__ == "__main__":
    main()
