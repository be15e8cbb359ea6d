"""What the made-up world is about: themes with their words, colours, motion and captions; cities, sounds, effects."""

from typing import NamedTuple


class Theme(NamedTuple):
    """One subject of the world. `palette` runs from the darkest colour to the lightest, `motion` names a style of `film.MOTIONS`."""

    name: str
    motion: str
    palette: tuple[str, str, str, str, str]
    tags: tuple[str, ...]
    handles: tuple[str, ...]  # second halves of author handles
    captions: tuple[str, ...]


class Place(NamedTuple):
    """A city with its language; `weight` is its share of the people, up to a factor."""

    name: str
    language: str
    utc_offset_h: float
    weight: float


def _theme(name: str, motion: str, palette: str, tags: str, handles: str, *captions: str) -> Theme:
    dark, low, middle, high, light = palette.split()
    return Theme(name, motion, (dark, low, middle, high, light), tuple(tags.split()), tuple(handles.split()), captions)


THEMES: tuple[Theme, ...] = (
    _theme(
        "cooking", "bubbles", "#3b0d11 #8c2f1b #e2711d #ffb627 #fff1d0", "recipe dinner homemade streetfood", "cooks kitchen eats",
        "5-minute noodles that saved my week 🍜", "never skip toasting the spices", "grandma's tomato sauce, finally written down 🍅",
        "one pan, zero stress", "the crunch at the end 🔊"),
    _theme(
        "baking", "confetti", "#4a1942 #893168 #ea8c9b #ffd5c2 #fff7f0", "bread cake sourdough sweet", "bakes crumbs oven",
        "sourdough, day 9 🍞", "cinnamon rolls before sunrise", "the layer reveal… 🎂", "butter temperature matters, here's proof",
        "my first croissants, be kind 🥐"),
    _theme(
        "coffee", "ripples", "#1e1210 #4a2c21 #9c6644 #ddb892 #f8ede0", "latteart espresso barista morning", "brews roasts pours",
        "slow pour on a rainy morning ☕", "rosetta attempt no. 47", "dialing in a new Ethiopian", "iced, three ways 🧊",
        "what 18 grams in, 36 out tastes like"),
    _theme(
        "pottery", "rings", "#2d1e2f #6d4c5b #c17c74 #e8b298 #fbeee6", "ceramics clay handmade glaze", "throws clay kiln",
        "centering, in one breath", "kiln opening day 🔥", "a mug from a lump in 10 seconds", "trimming is the best part", "this glaze was an accident"),
    _theme(
        "watercolor", "bloom", "#22223b #4356a5 #2bb1ab #f28482 #fffaf4", "painting art sketchbook colors", "paints inks studio",
        "wet on wet, watch it travel 💧", "painting the light before it's gone", "a sky in three strokes", "ugly stage → trust the process",
        "sketchbook tour, spring 🌸"),
    _theme(
        "origami", "shards", "#12263a #06617d #06aed5 #f0c808 #fff8e8", "paper folding craft diy", "folds paper crane",
        "one square, no cuts 🕊️", "a crane smaller than a rice grain", "fold along with me, part 3", "107 steps in 12 seconds", "modular star ⭐ 30 units"),
    _theme(
        "knitting", "halftone", "#331832 #694873 #d81e5b #f0879a #fbe9e7", "yarn crochet handmade cozy", "knits yarn stitches",
        "cast on with me 🧶", "the sweater that took two winters", "dropped a stitch, fixed a stitch", "stash haul (help)", "cables look hard. they aren't."),
    _theme(
        "gardening", "petals", "#0b3d2e #1f6f50 #6fb98f #ffd166 #f7fbe8", "plants flowers balcony green", "grows garden roots",
        "balcony jungle update 🌿", "from seed to salad in 30 days", "who lives under this leaf?", "propagation station 🌱", "first bloom of the year!!"),
    _theme(
        "birds", "ribbons", "#13293d #1b4965 #5fa8d3 #f4a261 #f6f9fb", "nature wildlife birdwatching morning", "birds wings hides",
        "he comes every day at 7:04 🐦", "wait for the dive", "murmuration over the pier", "kingfisher, 1/2000 s", "listen until the end 🎧"),
    _theme(
        "cats", "breathing", "#2b193d #6b3fa0 #f48668 #ffcb77 #fff4e0", "pets kitten funny cute", "meows purrs cat",
        "he thinks the box is his office 📦", "3 a.m. zoomies, again", "the slow blink 🥹", "she chose violence", "POV: you opened the fridge"),
    _theme(
        "dogs", "bounce", "#14342b #3d7068 #60b69d #ffb86f #fff3e0", "pets puppy funny walk", "barks walks dog",
        "he's never been so proud of a stick", "puppy meets snow ❄️", "first swim!! 🐶", "the head tilt gets me every time", "waiting at the door like"),
    _theme(
        "ocean", "waves", "#03045e #0353a4 #00b4d8 #90e0ef #f1fdff", "sea diving underwater blue", "dives tides reef",
        "20 metres down, no sound", "bioluminescence, no filter ✨", "manta at cleaning station", "low tide finds 🐚", "breathe with it"),
    _theme(
        "surf", "waves", "#0d1b4c #3a3d98 #f26a8d #ffb56b #fff3da", "waves beach summer sea", "surfs swell sets",
        "glassy at dawn 🌅", "worst wipeout of the season", "waited 3 hours for this one", "first green wave!", "offshore all morning 🤙"),
    _theme(
        "skate", "streaks", "#10002b #3c096c #ff5400 #ff9e00 #fff0d6", "skateboarding street trick park", "skates rolls kickflip",
        "try 61 of 61 🛹", "the sound of fresh concrete", "kickflip at golden hour", "she's six. SIX.", "session before the rain"),
    _theme(
        "bouldering", "holds", "#1d2d44 #3e5c76 #ef767a #f7d488 #f5f1e8", "climbing gym outdoor strength", "climbs sends chalk",
        "project done after 14 sessions 🧗", "beta break: watch the left foot", "that last hold lied to me", "rest day is a myth", "V4 in my style, finally"),
    _theme(
        "running", "streaks", "#081c3a #1d4e89 #00b2ca #f79256 #fbf2e3", "marathon training morning fitness", "runs miles pace",
        "km 32 is where it starts 🏃", "5 a.m. club, population: me", "easy pace, hard hill", "couch to 10k, week 8", "negative split!!"),
    _theme(
        "cycling", "orbits", "#1b1b3a #44318d #e98074 #f2c14e #fdf3e1", "bike road gravel ride", "rides spokes gravel",
        "coffee stop at km 80 ☕🚲", "hairpins with no cars", "the descent we came for", "rebuilding a 1984 frame", "headwind both ways, somehow"),
    _theme(
        "hiking", "hills", "#1a2a3a #34586b #7a9e9f #f2a97e #fdeedc", "mountains trail nature camping", "hikes trails wanders",
        "above the clouds at 6:12 ⛰️", "hut to hut, day 4", "the bridge everyone warned us about", "tent with a view", "1,900 m up for this soup 🥣"),
    _theme(
        "football", "bounce", "#062c22 #0b6e4f #2bb673 #f4e409 #fdffee", "soccer goal skills matchday", "dribbles kicks pitch",
        "top corner from 30 metres ⚽", "nutmeg of the week", "sunday league drama", "keeper went for it 😅", "100 touches a day, day 100"),
    _theme(
        "dance", "ribbons", "#240046 #7b2cbf #f72585 #ffba49 #fff0f6", "choreography music party moves", "dances moves steps",
        "learned this in one hour 💃", "teach your dad challenge", "the floor is so slippery lol", "salsa basics, count of 8", "wait for the drop"),
    _theme(
        "guitar", "strings", "#1f1300 #5e3023 #c08552 #f3c677 #fff6e3", "music acoustic cover songwriting", "strums chords plays",
        "four chords, one rainy sunday 🎸", "wrote this in the car", "new strings, old song", "fingerstyle slowed down for you", "that one bend…"),
    _theme(
        "chess", "tiles", "#14213d #2f4a6d #8d99ae #fca311 #fdf6e9", "puzzle strategy blitz mate", "plays gambit knight",
        "mate in 3. do you see it? ♟️", "grandpa vs. the park hustler", "the quietest queen sacrifice", "blitz with 2 seconds left", "why this pawn wins"),
    _theme(
        "astronomy", "stars", "#03071e #1b1f4b #5a4fcf #f7a072 #fef6e4", "space nightsky telescope stars", "gazes orbit nightsky",
        "Saturn through my window 🪐", "4 hours of sky in 8 seconds", "meteor at 0:05 ☄️", "the moon, stitched from 60 photos", "how far is that, really?"),
    _theme(
        "magic", "rays", "#1a0b2e #461873 #c13584 #fdc500 #fff6d6", "cards illusion trick street", "conjures cards tricks",
        "watch my left hand 🃏", "she kept the coin", "the sugar packet trick", "it's all in the thumb", "he asked for it again. and again."),
)  # fmt: skip

THEME_BY_NAME = {theme.name: theme for theme in THEMES}

# Captions in the author's own language: what people everywhere write under a clip.
CAPTIONS_BY_LANGUAGE: dict[str, tuple[str, ...]] = {
    "ar": ("شاهد حتى النهاية ✨", "لحظة هدوء وسط الزحام", "أول محاولة لي، ما رأيكم؟ 😅", "من أجمل صباحات هذا الأسبوع", "الجزء الثاني قريبًا إن شاء الله"),
    "ja": ("最後まで見てね 👀", "今日の一本。", "朝からこれができた日は勝ち 🌸", "三年かかりました", "音あり推奨 🎧"),
    "es": ("espera al final 👀", "otra vez domingo y otra vez esto", "parte 2 si llegamos a 100 ❤️", "así empezó todo"),
    "pt": ("olha até o fim ✨", "domingo com calma", "deu certo de primeira (mentira) 😂", "quem mais faz assim?"),
    "fr": ("regardez jusqu'au bout 🥹", "un dimanche comme les autres", "premier essai, soyez gentils", "le son vaut le détour 🎧"),
    "de": ("bis zum Ende schauen 👀", "Sonntagsruhe in 9 Sekunden", "endlich geschafft 🎉", "wer kennt's?"),
    "hi": ("अंत तक देखना 🙏", "आज का छोटा सा पल", "पहली कोशिश 😅", "सुबह की शुरुआत ऐसे ☀️"),
    "ko": ("끝까지 봐주세요 👀", "오늘의 한 장면 🌿", "연습 100일째", "소리 켜고 보세요 🎧"),
    "tr": ("sonuna kadar izle ✨", "bugünün en sakin anı", "ilk denemem 😅", "devamı gelsin mi?"),
}

TAILS = ("", "", "", "", " (sound on)", " pt. 2", " ✨", " 😭", " – wait for it", " #fyp", " 🙌", " (no cuts)")

PLACES: tuple[Place, ...] = (
    Place("Lisbon", "pt", 0, 6), Place("London", "en", 0, 9), Place("Berlin", "de", 1, 8), Place("Paris", "fr", 1, 8),
    Place("Cairo", "ar", 2, 7), Place("Istanbul", "tr", 3, 6), Place("Mumbai", "hi", 5.5, 9), Place("Seoul", "ko", 9, 6),
    Place("Tokyo", "ja", 9, 9), Place("Mexico City", "es", -6, 8), Place("New York", "en", -5, 9), Place("São Paulo", "pt", -3, 8),
)  # fmt: skip

# Sound ids, as an app shows them: name and maker.
SOUNDS: tuple[str, ...] = (
    "sunlit-keys.nova", "slow-tide.marlo", "paper-lanterns.ito", "left-on-read.kasi", "golden-hour.ama", "night-bus.lune", "tiny-steps.olo",
    "blue-hour.fern", "cassette-summer.rio", "rooftop.sade-k", "glass-garden.miu", "slow-motion.teo", "first-train.hana", "honey.bee-loop",
    "postcards.vera", "echo-park.jun", "lemonade.soli", "north-star.aki", "second-cup.mo", "kite.wen", "velvet.dara", "open-window.pia",
    "moss.elin", "home-video.tam", "firefly.noor", "long-weekend.cal", "origin-story.zed", "sea-glass.ina", "sparrow.bo", "afterglow.lia",
)  # fmt: skip

EFFECTS: tuple[str, ...] = ("slow_motion", "green_screen", "timelapse", "film_grain", "split_screen", "mirror", "zoom_beat", "freeze_frame")

FIRST_NAMES: tuple[str, ...] = (
    "mara", "teo", "ines", "yuki", "omar", "lena", "kofi", "noor", "finn", "aiko", "rafa", "zoe", "milo", "priya", "jun", "sofia", "emre", "hana",
    "luca", "amina", "bruno", "dilan", "greta", "ivo", "joao", "kira", "leila", "mateo", "nina", "otto", "pablo", "rosa", "samir", "tara", "ugo", "vera",
    "wren", "ximena", "yara", "zane",
)  # fmt: skip
