"""``python -m glcm_mae`` is the command line."""

from glcm_mae.cli import main

main()
