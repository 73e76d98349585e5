"""Where the sample's tiny models lie; how they were made stands in MODEL_CARD.md."""

from pathlib import Path

FOLDER = Path(__file__).resolve().parent
DETECTOR = FOLDER / "glass_door_yolo11.pt"
SCORER = FOLDER / "glass_door_siglip"
CARD = FOLDER / "MODEL_CARD.md"
