"""What a run can answer of a checklist, by topic: each a function from evidence to words."""

from collections.abc import Callable, Mapping

from glcm_mae.report.answers.of_data import ANSWERS as OF_DATA
from glcm_mae.report.answers.of_results import ANSWERS as OF_RESULTS
from glcm_mae.report.answers.of_study import ANSWERS as OF_STUDY
from glcm_mae.report.answers.of_training import ANSWERS as OF_TRAINING
from glcm_mae.report.evidence import Evidence

ANSWERS: Mapping[str, Callable[[Evidence], str]] = {
    **OF_STUDY,
    **OF_DATA,
    **OF_TRAINING,
    **OF_RESULTS,
}
"""Topics that :mod:`glcm_mae.published.checklists` names, and who answers them."""
