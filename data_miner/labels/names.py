"""Which picture a label file means: the names that annotation tools make of the ones they were given."""

import re
from collections.abc import Iterator

IMAGE_EXTENSIONS = ("jpg", "jpeg", "png", "webp", "bmp", "tif", "tiff")
_EXTENSION = re.compile(rf"\.(?:{'|'.join(IMAGE_EXTENSIONS)}|txt|json)$", re.IGNORECASE)
# Roboflow: `name_jpg.rf.<hash>.jpg`
_ROBOFLOW = re.compile(r"\.rf\.[0-9A-Za-z]{8,64}$")
_OLD_EXTENSION = re.compile(rf"[_.-](?:{'|'.join(IMAGE_EXTENSIONS)})$", re.IGNORECASE)
# Label Studio: `<8 hex>-name.jpg` of an upload, or a whole uuid before it
_LABEL_STUDIO = re.compile(r"(?:[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}|[0-9a-f]{8})[-_]+(?=.)")
_FRAME = re.compile(r"(?P<video>.+)_(?P<pts>\d{9,15}|-\d{8,15})")


def stem_of(name: str) -> str:
    """The last part of a path (either slash) without its extension; a name's own dots stay."""
    return _EXTENSION.sub("", name.replace("\\", "/").rstrip("/").rpartition("/")[2])


def stems(name: str) -> Iterator[str]:
    """What the picture may have been called before a tool got it, the name as it stands first."""
    stem = stem_of(name)
    yield stem
    bare = _OLD_EXTENSION.sub("", _ROBOFLOW.sub("", stem)) if _ROBOFLOW.search(stem) else stem
    if bare != stem:
        yield bare
    if found := _LABEL_STUDIO.match(bare):
        yield bare[found.end() :]


def frames_meant(name: str) -> Iterator[tuple[str, int]]:
    """Candidates (video's part of the image name, pts_ms) for a name in hand; none when none of ours is named so."""
    for stem in stems(name):
        if found := _FRAME.fullmatch(stem):
            yield found["video"], int(found["pts"])


def plain(name: str) -> str:
    """A name as tools leave it that allow neither dots nor dashes."""
    return re.sub(r"[^A-Za-z0-9]+", "-", name)
