"""What may leave a DICOM header: technical values, and names of what could identify."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from glcm_mae.data.reading.dicom_file import GRAY, open_dicom, read_code

_SWITCH = ("YES", "NO")
_WORD = re.compile(r"\w+")
_MODALITIES = _WORD.findall(  # PS3.3, C.7.3.1.1.1: those with images, and some retired ones
    "AR AS BDUS BI BMD CF CP CR CS CT DD DF DG DM DS DX EC EPS ES FA FS GM HD IO IVOCT IVUS "
    "KER LE LEN LP LS MA MG MR MS NM OAM OCT OP OPM OPR OPT OPTBSV OPTENF OPV OSS OT PT PX RF "
    "RG RTDOSE RTIMAGE SEG SM ST STAIN TG US VA VF XA XC"
)
_CODES: dict[str, tuple[str, ...]] = {
    "Modality": tuple(_MODALITIES),
    "PhotometricInterpretation": (
        *GRAY,
        "PALETTE COLOR",
        "RGB",
        "YBR_FULL",
        "YBR_FULL_422",
        "YBR_ICT",
        "YBR_RCT",
    ),
    "RescaleType": ("HU", "US", "OD", "MGML", "Z_EFF", "ED", "EDW", "HU_MOD", "PCT"),
    "VOILUTFunction": ("LINEAR", "LINEAR_EXACT", "SIGMOID"),
    "PresentationLUTShape": ("IDENTITY", "INVERSE"),
    "BurnedInAnnotation": _SWITCH,
    "RecognizableVisualFeatures": _SWITCH,
    "PatientIdentityRemoved": _SWITCH,
    "LossyImageCompression": ("00", "01"),
}
_NUMBERS = (
    "Rows",
    "Columns",
    "NumberOfFrames",
    "SamplesPerPixel",
    "PlanarConfiguration",
    "BitsAllocated",
    "BitsStored",
    "HighBit",
    "PixelRepresentation",
    "PixelPaddingValue",
    "RescaleSlope",
    "RescaleIntercept",
    "WindowCenter",
    "WindowWidth",
    "PixelSpacing",
    "ImagerPixelSpacing",
    "SliceThickness",
    "SpacingBetweenSlices",
)
TECHNICAL_FIELDS = (*_NUMBERS, *_CODES, "TransferSyntaxUID")
"""Elements whose values may leave the header, if they are plain numbers or known codes."""

_LARGEST = 1e6  # of a technical number: a longer one may be that of a patient
_MOST = 8  # numbers of one element

IDENTIFYING = frozenset(
    _WORD.findall(
        """
    AccessionNumber AcquisitionComments AcquisitionDate AcquisitionDateTime
    AcquisitionDeviceProcessingDescription AcquisitionTime AdditionalPatientHistory
    AdmissionID AdmittingDate AdmittingDiagnosesDescription AdmittingTime Allergies
    BranchOfService ConsultingPhysicianName ContentCreatorName ContentDate ContentTime
    ContrastBolusAgent CountryOfResidence CurrentPatientLocation DataSetTrailingPadding
    DerivationDescription DetectorID DeviceSerialNumber DigitalSignaturesSequence
    EthnicGroup FillerOrderNumberImagingServiceRequest GantryID IdentifyingComments
    ImageComments ImagePresentationComments InstanceCreationDate InstanceCreationTime
    InstitutionAddress InstitutionCodeSequence InstitutionName
    InstitutionalDepartmentName InsurancePlanIdentification IssuerOfPatientID
    LastMenstrualDate MedicalAlerts MedicalRecordLocator MilitaryRank
    NameOfPhysiciansReadingStudy Occupation OperatorIdentificationSequence OperatorsName
    OrderEnteredBy OtherPatientIDs OtherPatientIDsSequence OtherPatientNames OverlayComments
    OverlayData PatientAddress PatientAge PatientBirthDate PatientBirthName
    PatientBirthTime PatientBreedDescription PatientComments PatientID
    PatientInsurancePlanCodeSequence PatientInstitutionResidence PatientMotherBirthName
    PatientName PatientReligiousPreference PatientSex PatientSexNeutered PatientSize
    PatientState PatientTelephoneNumbers PatientTransportArrangements PatientWeight
    PerformedLocation PerformedProcedureStepDescription PerformedProcedureStepID
    PerformedProcedureStepStartDate PerformedProcedureStepStartTime PerformedStationAETitle
    PerformedStationName PerformingPhysicianIdentificationSequence PerformingPhysicianName
    PersonAddress PersonIdentificationCodeSequence PersonName PersonTelephoneNumbers
    PhysiciansOfRecord PhysiciansReadingStudyIdentificationSequence
    PlacerOrderNumberImagingServiceRequest PlateID PregnancyStatus ProtocolName
    ReasonForTheRequestedProcedure ReferringPhysicianAddress
    ReferringPhysicianIdentificationSequence ReferringPhysicianName
    ReferringPhysicianTelephoneNumbers RegionOfResidence RequestAttributesSequence
    RequestedProcedureDescription RequestedProcedureID RequestedProcedureComments
    RequestingPhysician RequestingService ResponsibleOrganization ResponsiblePerson
    ScheduledPerformingPhysicianName ScheduledStationAETitle ScheduledStationName
    SeriesDate SeriesDescription SeriesTime ServiceEpisodeID SmokingStatus
    SpecialNeeds StationName StudyComments StudyDate StudyDescription StudyID StudyTime
    TextComments TextString TextValue TimezoneOffsetFromUTC
    VerifyingObserverName VerifyingOrganization VisitComments
    """
    )
)
"""Keywords of elements that the basic profile of PS3.15, Annex E, removes or replaces."""


def read_header(path: str | Path) -> dict[str, Any]:
    """Read what a DICOM header says about its image, and the names of what could identify.

    UIDs do not count as identifying here: every file has them, replaced or not.

    Args:
        path: A DICOM file that holds pixels.

    Returns:
        ``frames`` (their number), ``patient`` and ``study`` (raw, only to be hashed at
        once), ``technical`` (numbers and known codes by keyword), ``identifying`` (sorted
        keywords of filled elements at any depth, never values; ``"private"`` for private
        ones) and ``burned_in`` (``"YES"``, ``"NO"`` or ``""``).

    Raises:
        RefusedPixelsError: If the file is broken, truncated or holds no pixels.
    """
    with open_dicom(path) as file:
        header = file.header
        technical = dict(_technical(header)) | {"TransferSyntaxUID": str(file.syntax)}
        return {
            "frames": file.frames,
            "patient": f"{_text(header, 'IssuerOfPatientID')}|{_text(header, 'PatientID')}",
            "study": _text(header, "StudyInstanceUID"),
            "technical": technical,
            "identifying": sorted(set(_identifying(header))),
            "burned_in": str(technical.get("BurnedInAnnotation", "")),
        }


def _text(header: Any, keyword: str) -> str:
    value = header.get(keyword)
    return "" if value is None else str(value).strip()


def _technical(header: Any) -> Iterator[tuple[str, Any]]:
    for keyword in _NUMBERS:
        if (number := _plain_number(header, keyword)) is not None:
            yield keyword, number
    for keyword, known in _CODES.items():
        if (code := read_code(header, keyword)) in known:
            yield keyword, code


def _plain_number(header: Any, keyword: str) -> float | list[float] | None:
    """Return the number or numbers of an element; None if they are anything else."""
    try:
        values = np.atleast_1d(np.asarray(header.get(keyword), dtype=np.float64))
    except (TypeError, ValueError):
        return None
    if values.size > _MOST or not (np.abs(values) <= _LARGEST).all():  # NaN does not pass
        return None
    numbers = [int(value) if value == int(value) else float(value) for value in values]
    return numbers[0] if len(numbers) == 1 else numbers or None


def _identifying(header: Any) -> Iterator[str]:
    """Yield the keywords of filled elements that could identify, at any depth."""
    from pydicom.datadict import keyword_for_tag

    for tag in header.keys():  # noqa: SIM118  a data set iterates over its values
        if not _filled(header, tag):
            continue
        if tag.is_private:
            yield "private"
            continue
        keyword = _repeating(int(tag)) or keyword_for_tag(tag)
        if keyword in IDENTIFYING:
            yield keyword
        for item in _items(header, tag):
            yield from _identifying(item)


def _repeating(tag: int) -> str:
    """Return the keyword of overlay data and comments, which repeat in groups 60xx."""
    if not re.fullmatch("60[0-9a-f]{2}", f"{tag >> 16:04x}"):
        return ""
    return {0x3000: "OverlayData", 0x4000: "OverlayComments"}.get(tag & 0xFFFF, "")


def _filled(header: Any, tag: Any) -> bool:
    element = header.get_item(tag)
    if (length := getattr(element, "length", None)) == 0:
        return False
    value = element.value
    if isinstance(value, bytes):
        return bool(value.strip(b" \0"))
    if isinstance(value, str):
        return bool(value.strip(" \0"))
    return length is not None or bool(value)


def _items(header: Any, tag: Any) -> list[Any]:
    """Return the items of a sequence; none of what is no sequence or cannot be parsed."""
    try:
        element = header[tag]
    except Exception:  # whatever is wrong with one element, the others still count
        return []
    return list(element.value) if element.VR == "SQ" and element.value else []
