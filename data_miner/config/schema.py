"""What a project file may say: one frozen model a section, with ranges and defaults.

configs/base.yaml says in words what each key means; a test holds its values equal to the defaults here.
Reading files, flags and their origins is in `project`.
"""

from typing import Annotated, Any, Literal

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    StringConstraints,
    field_serializer,
    field_validator,
    model_validator,
)

# Strict scalars: "1" is no number and yes is no text. Lists become tuples.
Text = Annotated[str, StringConstraints(strict=True, strip_whitespace=True, min_length=1)]
Whole = Annotated[int, Field(strict=True)]
Number = Annotated[float, Field(strict=True)]
Share = Annotated[float, Field(strict=True, ge=0, le=1)]
Count = Annotated[int, Field(strict=True, ge=1)]

STORED_FROM_SCORE = 0.05  # boxes are stored from here up (DESIGN §4), so no lower conf can be asked for
_SIZES = {"K": 1024, "M": 1024**2, "G": 1024**3, "T": 1024**4}  # as yt-dlp's --max-filesize


class Section(BaseModel):
    """Base of all sections: unknown keys are errors, nothing changes after reading."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class Search(Section):
    results: Annotated[int, Field(strict=True, ge=1, le=1000)] = 40
    queries: tuple[Text, ...] = ()


class Sources(Section):
    search: Search = Search()
    urls: tuple[Text, ...] = ()
    batch_file: Text | None = None
    folder: Text | None = None
    sample: Annotated[int, Field(strict=True, ge=1, le=1000)] | None = None
    allow_hosts: tuple[Text, ...] = ()


class Download(Section):
    max_height: Annotated[int, Field(strict=True, ge=16)] = 720
    match_filters: Text | None = "!is_live"
    skip_keywords: tuple[Text, ...] = ()
    license: Literal["any", "creative_commons"] = "any"
    max_filesize: Count = 4 * 1024**3

    @field_validator("max_filesize", mode="before")
    @classmethod
    def _read_size(cls, value: Any) -> Any:
        """`4G` as yt-dlp writes sizes; a plain number is bytes."""
        if isinstance(value, str) and value[:-1].isdigit() and value[-1:].upper() in _SIZES:
            return int(value[:-1]) * _SIZES[value[-1:].upper()]
        return value


class Extract(Section):
    strategy: Literal["interval", "keyframe", "scene"] = "interval"
    fps: Annotated[float, Field(strict=True, gt=0, le=240)] = 1.0
    scene_threshold: Annotated[float, Field(strict=True, gt=0, le=255)] = 27.0
    max_frames: Count | None = 900
    max_side: Annotated[int, Field(strict=True, ge=32, le=16384)] | None = 1280
    quality: Annotated[int, Field(strict=True, ge=1, le=100)] = 92
    segment_s: Annotated[int, Field(strict=True, ge=1)] = 600


class Thresholds(Section):
    positive: Share = 0.30
    negative: Share = 0.30
    margin: Share = 0.10
    junk: Share = 0.30
    junk_margin: Share = 0.10


class Filter(Section):
    min_side: Annotated[int, Field(strict=True, ge=0)] = 320
    min_sharpness: Annotated[float, Field(strict=True, ge=0)] = 40.0
    min_contrast: Annotated[float, Field(strict=True, ge=0, le=128)] = 5.0
    brightness: tuple[Number, Number] = (20.0, 235.0)
    model: Text | None = None
    positive: tuple[Text, ...] = ()
    negative: tuple[Text, ...] = ()
    junk: tuple[Text, ...] = ()
    thresholds: Thresholds = Thresholds()
    batch: Count = 64

    @field_validator("brightness")
    @classmethod
    def _brightness_is_a_range(cls, value: tuple[float, float]) -> tuple[float, float]:
        if not 0 <= value[0] < value[1] <= 255:
            raise ValueError("should be [darkest, brightest] within 0 to 255")
        return value

    @model_validator(mode="after")
    def _a_model_needs_prompts(self) -> "Filter":
        if self.model and not self.positive:
            raise ValueError("positive is empty; name at least one prompt, or set model: null")
        return self


class Dedup(Section):
    hash_distance: Annotated[int, Field(strict=True, ge=0, le=32)] | None = 6
    model: Text | None = None
    pooling: Literal["pooled", "mean"] = "pooled"
    cosine: Annotated[float, Field(strict=True, gt=0, le=1)] = 0.90
    against: tuple[Text, ...] = ()
    batch: Count = 64


class Detect(Section):
    model: Text | None = None
    models: tuple[Text, ...] = ()
    min_agreement: Count = 1
    may_overlap: tuple[tuple[Text, Text], ...] = ()
    text_model: Text = "openai/clip-vit-base-patch32"
    imgsz: Annotated[int, Field(strict=True, ge=32, le=4096)] = 640
    conf: Annotated[float, Field(strict=True, ge=STORED_FROM_SCORE, le=1)] = 0.30
    iou: Annotated[float, Field(strict=True, gt=0, le=1)] = 0.7
    max_det: Count = 30
    min_area: Share = 0.0005
    max_area: Share = 0.95
    min_aspect: Annotated[float, Field(strict=True, ge=0)] = 0.1
    max_aspect: Annotated[float, Field(strict=True, gt=0)] = 10.0
    batch: Count = 16

    @property
    def detectors(self) -> tuple[str, ...]:
        """The models that are asked, the most trusted first; empty: no boxes."""
        return self.models or ((self.model,) if self.model else ())

    @field_validator("models")
    @classmethod
    def _models_differ(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        if len(set(value)) < len(value):
            raise ValueError("names a model twice; its vote would count double")
        return value

    @model_validator(mode="after")
    def _is_consistent(self) -> "Detect":
        if self.min_area >= self.max_area or self.min_aspect >= self.max_aspect:
            raise ValueError("min_area should be below max_area, and min_aspect below max_aspect")
        if self.model and self.models:
            raise ValueError("model and models are both given; set one of them to null or []")
        if self.min_agreement > max(1, len(self.models)):
            raise ValueError(f"min_agreement {self.min_agreement}: only {len(self.detectors)} model(s) can agree")
        return self


class Split(Section):
    train: Share = 0.8
    val: Share = 0.2

    @model_validator(mode="after")
    def _sums_to_one(self) -> "Split":
        if abs(self.train + self.val - 1) > 1e-6:
            raise ValueError(f"train and val should sum to 1, got {self.train + self.val:g}")
        return self


class Export(Section):
    formats: Annotated[tuple[Literal["yolo", "coco"], ...], Field(min_length=1)] = ("yolo", "coco")
    split: Split = Split()
    background: Annotated[float, Field(strict=True, ge=0, lt=1)] = 0.0


class ProjectConfig(Section):
    """One project: what to look for and how to judge it. Paths in it are absolute once read."""

    description: Annotated[str, StringConstraints(strict=True)] = ""
    classes: dict[str, tuple[str, ...]] = Field(default_factory=dict)
    sources: Sources = Sources()
    download: Download = Download()
    extract: Extract = Extract()
    filter: Filter = Filter()
    dedup: Dedup = Dedup()
    detect: Detect = Detect()
    export: Export = Export()

    @field_validator("classes", mode="before")
    @classmethod
    def _read_classes(cls, value: Any) -> dict[str, tuple[str, ...]]:
        return read_classes(value)

    @field_serializer("classes")
    def _write_classes(self, value: dict[str, tuple[str, ...]]) -> list[dict[str, list[str]]]:
        """As a list: the order gives the class ids, and a jsonb column forgets the order of keys."""
        return [{name: list(words)} for name, words in value.items()]

    @model_validator(mode="after")
    def _a_detector_needs_classes(self) -> "ProjectConfig":
        if self.detect.detectors and not self.classes:
            raise ValueError("classes: empty; name at least one for the detector to look for")
        unknown = {name for pair in self.detect.may_overlap for name in pair} - set(self.classes)
        if unknown:
            raise ValueError(f"detect.may_overlap: {min(unknown)!r} is no class; there are {', '.join(self.classes)}")
        return self


def read_classes(value: Any) -> dict[str, tuple[str, ...]]:
    """Class name to the words the detector is asked for, in the order of the ids.

    Takes a mapping `door: [glass door]`, a list of names or of such one-key mappings, or one name; a name
    without words is its own word, `_` read as a space. Raises ValueError.
    """
    if isinstance(value, str):
        value = [value]
    if isinstance(value, (list, tuple)):
        items = [pair for entry in value for pair in (entry.items() if isinstance(entry, dict) else [(entry, None)])]
    elif isinstance(value, dict):
        items = list(value.items())
    else:
        raise ValueError(f"should be names with their words, got {value!r}")
    classes: dict[str, tuple[str, ...]] = {}
    owner: dict[str, str] = {}
    for name, words in items:
        name = _text(name, "a class name")
        if name in classes:
            raise ValueError(f"{name!r} is there twice")
        classes[name] = _words(name, words)
        for word in classes[name]:
            if owner.setdefault(word.lower(), name) != name:
                raise ValueError(f"{word!r} is a word of both {owner[word.lower()]} and {name}")
    return classes


def _words(name: str, words: Any) -> tuple[str, ...]:
    if words is None or words in ([], ()):
        return (name.replace("_", " "),)
    if not isinstance(words, (list, tuple)):
        words = [words]
    return tuple(dict.fromkeys(_text(word, f"a word of {name}") for word in words))


def _text(value: Any, what: str) -> str:
    if not isinstance(value, str) or not value.strip() or not value.isprintable():
        raise ValueError(f"{what} should be printable text, got {value!r}; put it in quotes")
    return value.strip()
