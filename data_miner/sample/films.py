"""The catalogue of rendered films: titles, people who uploaded them, and which shots each is cut from."""

from dataclasses import dataclass

CREATIVE = "Creative Commons Attribution license (reuse allowed)"
STANDARD = "Standard licence"


@dataclass(frozen=True, slots=True)
class Shot:
    """One uncut piece. Equal shots give equal pictures: a film that repeats one holds another's clip."""

    kind: str  # of scenes.KINDS
    seconds: int
    scene: int  # number of the scene; with the set's seed it fixes every random choice
    move: str = "pan"  # pan | push | hold
    effect: str = ""  # "" | blur | dark
    people: bool = False
    cartoon: bool = False


@dataclass(frozen=True, slots=True)
class Film:
    """A film before it is rendered. Names are yt-dlp's."""

    name: str
    title: str
    description: str
    tags: tuple[str, ...]
    uploader: str
    license: str
    upload_date: str  # YYYYMMDD
    shots: tuple[Shot, ...]

    @property
    def seconds(self) -> int:
        return sum(shot.seconds for shot in self.shots)


LOBBY = (
    Shot("title", 3, 1, "hold"),
    Shot("glass_door", 9, 2, people=True),
    Shot("corridor", 5, 3, "push"),
    Shot("glass_door", 8, 4, "push"),
    Shot("wooden_door", 6, 5),
)

CATALOGUE: tuple[Film, ...] = (
    Film(
        "office_lobby_tour",
        "Office lobby tour",
        "A walk from the street through the lobby of an office building.",
        ("office", "lobby", "entrance"),
        "ACME Interiors",
        CREATIVE,
        "20240311",
        LOBBY,
    ),
    Film(
        "hotel_entrance",
        "Hotel entrance walkthrough, glass doors and corridor",
        "Arriving at a hotel: two entrances, a corridor and the rooms.",
        ("hotel", "glass door", "walkthrough"),
        "Travel Notes",
        STANDARD,
        "20230704",
        (
            Shot("glass_door", 8, 11),
            Shot("glass_door", 6, 12, "push", people=True),
            Shot("corridor", 6, 13, "push"),
            Shot("wooden_door", 6, 14),
        ),
    ),
    Film(
        "front_door_camera",
        "Front door camera, one hour in thirty seconds",
        "The camera above the entrance never moves.",
        ("security camera", "entrance"),
        "House Watch",
        STANDARD,
        "20240119",
        (Shot("glass_door", 30, 21, "hold", people=True), Shot("window", 4, 22)),
    ),
    Film(
        "wooden_doors",
        "Wooden doors of the old town hall",
        "Oak, pine and painted doors, one after the other.",
        ("wooden door", "carpenter"),
        "Oak and Pine",
        CREATIVE,
        "20220930",
        tuple(Shot("wooden_door", 6, 30 + k, "pan" if k % 2 else "push") for k in range(4)),
    ),
    Film(
        "entrances_compilation",
        "Best building entrances compilation",
        "The finest entrances of the year, with a clip from the office lobby tour.",
        ("compilation", "entrance", "glass door"),
        "Door Fans",
        STANDARD,
        "20240502",
        (Shot("glass_door", 6, 41), LOBBY[1], Shot("glass_door", 6, 42, "push"), Shot("window", 5, 43)),
    ),
    Film(
        "window_showroom",
        "Window showroom visit",
        "Windows of all sizes, and how they are fitted.",
        ("windows", "showroom"),
        "Bright Panes",
        STANDARD,
        "20231012",
        tuple(Shot("window", 6, 50 + k, "push" if k % 2 else "pan") for k in range(4)),
    ),
    Film(
        "handheld_mall",
        "Shopping mall walking tour, handheld",
        "The focus was lost in the middle, sorry.",
        ("shopping mall", "walking tour"),
        "City Walker",
        CREATIVE,
        "20240608",
        (
            Shot("glass_door", 7, 61, people=True),
            Shot("glass_door", 6, 62, effect="blur"),
            Shot("corridor", 5, 63, "push"),
            Shot("glass_door", 7, 64, "push"),
            Shot("window", 5, 65),
        ),
    ),
    Film(
        "night_watch",
        "Night watch round with the lights out",
        "A round through the building; the lights go out for a while.",
        ("night", "building"),
        "House Watch",
        STANDARD,
        "20231201",
        (
            Shot("corridor", 5, 71, "push"),
            Shot("glass_door", 7, 72, effect="dark"),
            Shot("glass_door", 8, 73),
            Shot("wooden_door", 6, 74),
        ),
    ),
    Film(
        "entrance_animation",
        "Modern entrance 3d animation",
        "Drawn on a computer, none of it exists.",
        ("3d animation", "architecture"),
        "Render Farmers",
        STANDARD,
        "20240215",
        tuple(Shot("glass_door", 7, 80 + k, cartoon=True) for k in range(3)),
    ),
    Film(
        "empty_corridors",
        "Empty corridors for an hour",
        "Corridors, nothing else.",
        ("corridor", "liminal"),
        "Quiet Places",
        CREATIVE,
        "20230822",
        (Shot("title", 3, 90, "hold"), *(Shot("corridor", 6, 91 + k, "push") for k in range(4))),
    ),
    Film(
        "clinic_doors",
        "Clinic sliding glass doors installation",
        "New sliding doors for a clinic, before and after.",
        ("installation", "sliding glass door"),
        "Glazier Jones",
        STANDARD,
        "20240417",
        (
            Shot("wooden_door", 5, 101),
            Shot("glass_door", 8, 102, "push"),
            Shot("glass_door", 8, 103, people=True),
            Shot("window", 4, 104),
            Shot("glass_door", 7, 105),
        ),
    ),
    Film(
        "campus_walk",
        "University campus walk, library and lecture halls",
        "From the library to the lecture halls.",
        ("campus", "library", "walk"),
        "City Walker",
        CREATIVE,
        "20220518",
        (
            Shot("glass_door", 8, 111, people=True),
            Shot("corridor", 4, 112, "push"),
            Shot("wooden_door", 5, 113),
            Shot("glass_door", 8, 114),
            Shot("glass_door", 6, 115, "push"),
        ),
    ),
)
