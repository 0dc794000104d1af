"""DICOM, NIfTI and NumPy files, and what must come of them."""

from corpus.case import Case
from corpus.dicom_cases import DICOM_CASES
from corpus.dicom_shipped_cases import SHIPPED_CASES
from corpus.volume_cases import VOLUME_CASES

CASES: list[Case] = [*DICOM_CASES, *SHIPPED_CASES, *VOLUME_CASES]
