"""COCO's instances files: https://cocodataset.org/#format-data, as CVAT, Label Studio, Roboflow and we write them."""

import json
from collections.abc import Mapping, Sequence
from typing import Any, TypeGuard

from data_miner.errors import DataMinerError
from data_miner.labels.base import SLACK, Classes, LabelledImage, Labels, ShareBox, share_box, short
from data_miner.labels.members import MOST_JSON_BYTES, Members
from data_miner.labels.names import stem_of

_KEYS = ("images", "annotations", "categories")
_MOST = 1e12  # px
_OTHERS = ("notes.json", "version.json")  # Label Studio's and ours, beside YOLO labels


def json_files(members: Members) -> list[str]:
    """Files that may be COCO's."""
    found = [name for name in members.names if name.lower().endswith(".json")]
    return [name for name in found if name.rpartition("/")[2].lower() not in _OTHERS]


def read(members: Members, classes: Classes) -> Labels:
    """Read every instances file, one a split; a listed picture without an annotation shows nothing. DataMinerError."""
    by_stem: dict[str, LabelledImage] = {}
    for place in json_files(members):
        for image in _images(_parsed(members, place), place, classes):
            stem = stem_of(image.name)
            if stem in by_stem:
                raise DataMinerError(
                    f"{short(place)} and {short(by_stem[stem].place)} list {short(stem)} twice; remove one"
                )
            by_stem[stem] = image
    return Labels(list(by_stem.values()), [])


def _parsed(members: Members, place: str) -> dict[str, Any]:
    try:
        data = json.loads(members.text(place, MOST_JSON_BYTES))
    except (ValueError, RecursionError) as error:
        raise DataMinerError(f"{short(place)}: no JSON ({short(str(error))})") from error
    if not isinstance(data, dict) or not all(_is_records(data.get(key)) for key in _KEYS):
        raise DataMinerError(f"{short(place)}: not COCO, which has lists of {', '.join(_KEYS)}")
    return data


def _is_records(value: Any) -> bool:
    return isinstance(value, list) and all(isinstance(entry, dict) for entry in value)


def _images(data: Mapping[str, Any], place: str, classes: Classes) -> list[LabelledImage]:
    names = {entry.get("id"): entry.get("name") for entry in data["categories"] if _is_id(entry.get("id"))}
    pictures: dict[Any, dict[str, Any]] = {}
    for entry in data["images"]:
        if not _is_id(entry.get("id")) or not isinstance(entry.get("file_name"), str):
            raise DataMinerError(f"{short(place)}: an image without id or file_name")
        if entry["id"] in pictures:
            raise DataMinerError(f"{short(place)}: image id {entry['id']} is there twice")
        pictures[entry["id"]] = entry
    boxes: dict[Any, dict[ShareBox, None]] = {number: {} for number in pictures}
    for annotation in data["annotations"]:
        where = f"{short(place)}, annotation {short(str(annotation.get('id')))}"
        picture = pictures.get(annotation.get("image_id")) if _is_id(annotation.get("image_id")) else None
        if picture is None:
            raise DataMinerError(f"{where}: image_id {short(str(annotation.get('image_id')))} is no image of the file")
        boxes[picture["id"]][_box(annotation, picture, names, classes, where)] = None
    return [LabelledImage(entry["file_name"], tuple(boxes[number]), place) for number, entry in pictures.items()]


def _box(
    annotation: Mapping[str, Any],
    picture: Mapping[str, Any],
    names: Mapping[Any, Any],
    classes: Classes,
    where: str,
) -> ShareBox:
    category = annotation.get("category_id")
    name = names.get(category) if _is_id(category) else None
    if not isinstance(name, str):
        raise DataMinerError(f"{where}: category_id {short(str(category))} has no name")
    width, height = _size(picture, where)
    x, y, box_width, box_height = _xywh(annotation, where)
    shares = (x / width, y / height, box_width / width, box_height / height)
    edges = (shares[0], shares[1], shares[0] + shares[2], shares[1] + shares[3])
    if not all(-SLACK <= edge <= 1 + SLACK for edge in edges):
        raise DataMinerError(f"{where}: bbox {[x, y, box_width, box_height]} lies outside of {width:g}×{height:g}")
    return share_box(classes.meant(name, where), *shares, where)


def _size(picture: Mapping[str, Any], where: str) -> tuple[float, float]:
    """Width and height in the pixels that the file's boxes are in."""
    width, height = picture.get("width"), picture.get("height")
    if not (_is_number(width) and _is_number(height) and min(width, height) > 0):
        raise DataMinerError(f"{where}: {short(picture['file_name'])} has no width and height")
    return float(width), float(height)


def _xywh(annotation: Mapping[str, Any], where: str) -> tuple[float, float, float, float]:
    """The bbox; where a tool wrote outlines alone, the box around them."""
    bbox = annotation.get("bbox")
    if not bbox:
        return _around(annotation.get("segmentation"), where)
    if not isinstance(bbox, list) or len(bbox) != 4 or not all(map(_is_number, bbox)):
        raise DataMinerError(f"{where}: bbox should be four numbers: x y width height")
    return (float(bbox[0]), float(bbox[1]), float(bbox[2]), float(bbox[3]))


def _around(outlines: Any, where: str) -> tuple[float, float, float, float]:
    flat: Sequence[Any] = [n for outline in outlines for n in outline] if _is_outlines(outlines) else ()
    if len(flat) < 4 or len(flat) % 2 or not all(map(_is_number, flat)):
        raise DataMinerError(f"{where}: neither a bbox nor an outline; export boxes")
    xs, ys = flat[::2], flat[1::2]
    return (min(xs), min(ys), max(xs) - min(xs), max(ys) - min(ys))


def _is_outlines(value: Any) -> bool:
    return isinstance(value, list) and all(isinstance(outline, list) for outline in value)


def _is_number(value: Any) -> TypeGuard[float]:
    """A finite number that a float can hold; JSON's whole numbers may have any length."""
    return isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < _MOST


def _is_id(value: Any) -> bool:
    return isinstance(value, int | str) and not isinstance(value, bool)
