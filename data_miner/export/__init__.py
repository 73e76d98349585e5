"""Datasets on disk: images, labels in the formats people train with, a manifest, numbered versions.

Everything here is a function of `records.ExportImage`; which images these are is the ledger's to say.
"""
