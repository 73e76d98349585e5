"""File names of images are made where the report can reach them too: `sources.names`."""

from data_miner.sources.names import image_name as image_name
from data_miner.sources.names import video_name as video_name
