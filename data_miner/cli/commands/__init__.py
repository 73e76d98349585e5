"""The commands themselves, one file each: flags in, lines out."""
