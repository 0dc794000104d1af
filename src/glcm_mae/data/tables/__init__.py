"""Tables of images: which files, which class, which patient, which part."""
