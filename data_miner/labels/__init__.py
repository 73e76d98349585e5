"""Labels that a person drew elsewhere, read from a folder or a zip: YOLO and COCO as annotation tools write them.

Nothing is written here and nothing is unpacked; whose pictures they are and what they change is the caller's to ask.
"""
