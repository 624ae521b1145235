"""What a chapter says about numbers: tables, paired tests and verdicts on claims."""

from strokerepro.report.contrasts import (
    Contrast,
    contrast_intervals,
    contrast_table,
    contrast_words,
    not_run,
    run_command,
)
from strokerepro.report.experiments import (
    beside_paper,
    compare_pairs,
    missing_table,
    paired_tests,
    published_scores,
    runs_table,
)
from strokerepro.report.judging import compare, judge_claims, method_rows, pooled
from strokerepro.report.judging_slices import common_slice_dice
from strokerepro.report.judging_stability import rough_pairs, roughness
from strokerepro.report.layout import Note, TextTable, comparison_table, means, side_by_side
from strokerepro.report.operating_points import (
    Grid,
    chosen_pair,
    load_grids,
    mean_over_cases,
    rows_at_points,
)
from strokerepro.report.published import load_published, paper_vs_ours, provenance_table
from strokerepro.report.sentences import (
    claim_sentences,
    difference_sentences,
    last_against_best,
)
from strokerepro.report.statistics import PairedTest, holm, paired_power, paired_test
from strokerepro.report.tables import (
    method_table,
    paired_values,
    record_rows,
    subgroup_table,
)
from strokerepro.report.verdicts import OUTCOMES, STATUSES, Verdict, judge_difference, verdict_table

__all__ = [
    "OUTCOMES",
    "STATUSES",
    "Contrast",
    "Grid",
    "Note",
    "PairedTest",
    "TextTable",
    "Verdict",
    "beside_paper",
    "chosen_pair",
    "claim_sentences",
    "common_slice_dice",
    "compare",
    "compare_pairs",
    "comparison_table",
    "contrast_intervals",
    "contrast_table",
    "contrast_words",
    "difference_sentences",
    "holm",
    "judge_claims",
    "judge_difference",
    "last_against_best",
    "load_grids",
    "load_published",
    "mean_over_cases",
    "means",
    "method_rows",
    "method_table",
    "missing_table",
    "not_run",
    "paired_power",
    "paired_test",
    "paired_tests",
    "paired_values",
    "paper_vs_ours",
    "pooled",
    "provenance_table",
    "published_scores",
    "record_rows",
    "rough_pairs",
    "roughness",
    "rows_at_points",
    "run_command",
    "runs_table",
    "side_by_side",
    "subgroup_table",
    "verdict_table",
]
