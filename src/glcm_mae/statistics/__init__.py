"""Intervals and tests of scores: plain arrays in, numbers out.

Clusters are what is independent of what: patients, or near-duplicates that stay together.
Every interval and test that can take them does, and with one image a cluster is the
textbook's own. This package imports nothing else of ours, and no torch.
"""

from glcm_mae.statistics.delong import contrast_test, delong_over_folds, delong_test
from glcm_mae.statistics.effects import cohens_h, holm, standardised_difference
from glcm_mae.statistics.interval import (
    Interval,
    clustered_proportion_interval,
    proportion_interval,
)
from glcm_mae.statistics.paired import (
    PairedTest,
    corrected_resampled_t,
    mcnemar_test,
    wilcoxon_test,
)
from glcm_mae.statistics.permutation import permutation_test, permutation_tests
from glcm_mae.statistics.resampling import (
    bca_interval,
    leave_out_blocks,
    leave_out_weights,
    percentile_interval,
    resample_blocks,
    resample_weights,
)
from glcm_mae.statistics.roc import (
    Areas,
    areas_under_curves,
    auroc_interval,
    structural_components,
    weighted_auroc,
)

__all__ = [
    "Areas",
    "Interval",
    "PairedTest",
    "areas_under_curves",
    "auroc_interval",
    "bca_interval",
    "clustered_proportion_interval",
    "cohens_h",
    "contrast_test",
    "corrected_resampled_t",
    "delong_over_folds",
    "delong_test",
    "holm",
    "leave_out_blocks",
    "leave_out_weights",
    "mcnemar_test",
    "percentile_interval",
    "permutation_test",
    "permutation_tests",
    "proportion_interval",
    "resample_blocks",
    "resample_weights",
    "standardised_difference",
    "structural_components",
    "weighted_auroc",
    "wilcoxon_test",
]
