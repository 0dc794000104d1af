"""A run as an immutable plan of idempotent jobs, and the executors that do them."""

from glcm_mae.planning.driver import run_plan, work_off
from glcm_mae.planning.jobs import run_job
from glcm_mae.planning.plan import Job, Plan
from glcm_mae.planning.workers import INPUT, run_jobs

__all__ = ["INPUT", "Job", "Plan", "run_job", "run_jobs", "run_plan", "work_off"]
