"""Experiments: jobs, their records, training where a record is missing, evaluation."""

from strokerepro.experiment.cohort_summary import (
    acceptance_table,
    read_acceptance,
    summarise_phantom,
    volume_table,
)
from strokerepro.experiment.ctp_acceptance import ctp_acceptance, ctp_acceptance_table
from strokerepro.experiment.evaluation import to_uint8
from strokerepro.experiment.jobs import Job, command, data_hash, estimate_s, jobs
from strokerepro.experiment.run import (
    RUNS,
    MissingRecordError,
    TrainMode,
    available,
    checkpoint_path,
    load_trained,
    make_fabric,
    prepare_cases,
    run,
    run_experiment,
)
from strokerepro.experiment.transfer import TRANSFERRED, transfer

__all__ = [
    "RUNS",
    "TRANSFERRED",
    "Job",
    "MissingRecordError",
    "TrainMode",
    "acceptance_table",
    "available",
    "checkpoint_path",
    "command",
    "ctp_acceptance",
    "ctp_acceptance_table",
    "data_hash",
    "estimate_s",
    "jobs",
    "load_trained",
    "make_fabric",
    "prepare_cases",
    "read_acceptance",
    "run",
    "run_experiment",
    "summarise_phantom",
    "to_uint8",
    "transfer",
    "volume_table",
]
