"""The same work as a run on local videos, in one process: no ledger, no Ray, nothing survives a kill.

python -m tests.benchmarks.one_process MODEL VIDEOS OUT
"""

import sys
from pathlib import Path

import numpy as np

from data_miner.media import jpeg
from data_miner.media.probe import probe
from data_miner.media.quality import measure_picture
from data_miner.media.reader import SegmentReader
from data_miner.media.sampling import Sampling, cut_segments
from data_miner.models import registry
from data_miner.similarity.hamming import HammingIndex
from data_miner.store.shards import ShardWriter


def main(model: str, videos: Path, out: Path) -> None:
    """Sample at 1 fps, keep what is 4 bits apart, detect, write images and labels."""
    (out / "images").mkdir(parents=True)
    (out / "labels").mkdir()
    detector = registry.open_detector(
        registry.check(model, "detect"), classes={n: [n] for n in ("bottle", "person")}, imgsz=640, threads=2
    )
    index, sampling, kept = HammingIndex(4), Sampling("interval", 1), 0
    for path in sorted(videos.glob("*.mp4")):
        media = probe(path)
        for cut in cut_segments(media.first_pts_ms, media.duration_ms, sampling):
            with ShardWriter(out / f"{path.stem}-{cut.start_ms}.tar") as shard:
                for picture in SegmentReader(path, sampling, cut, media.first_pts_ms, 1280, threads=2):
                    data = jpeg.encode(picture.rgb, 92)
                    shard.add(picture.pts_ms, data)
                    _, phash = measure_picture(picture.rgb)
                    if index.admit(np.array([phash], np.uint64))[0] < 0:
                        kept += 1
                        name = f"{path.stem}_{picture.pts_ms:09d}"
                        boxes = detector.detect([jpeg.decode(data)])[0]
                        (out / "images" / f"{name}.jpg").write_bytes(data)
                        lines = [f"{box.label} {box.xyxy}" for box in boxes if box.score >= 0.4]
                        (out / "labels" / f"{name}.txt").write_text("\n".join(lines))
                shard.close()
    print(f"{kept} images")


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]), Path(sys.argv[3]))
