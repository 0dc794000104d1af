"""Which job comes next: the one with the longest chain of work behind it."""

from collections.abc import Iterable
from enum import Enum

from glcm_mae.planning.plan import Job, Plan


class State(Enum):
    """Where a job stands."""

    WAITING = "waiting"
    RUNNING = "running"
    DONE = "done"
    FAILED = "failed"
    SKIPPED = "skipped"


class Schedule:
    """Keeps what is done, and hands out what can be begun.

    A job can begin when all that it needs is done. Of several, the one comes first whose
    longest chain of jobs that wait for each other, itself included, costs most: so all
    pre-trainings begin before the fine-tunings, and no worker is left over with a whole
    chain at the end [1]_.

    Args:
        plan: The jobs.
        done: Identifiers of those that are finished already.

    References:
        .. [1] Graham, 1969, doi:10.1137/0117039
    """

    def __init__(self, plan: Plan, done: Iterable[str] = ()) -> None:
        self.plan = plan
        finished = set(done)
        self.states = {
            job.id: State.DONE if job.id in finished else State.WAITING for job in plan
        }
        self.chains: dict[str, float] = {}
        for job in reversed(plan.jobs):
            behind = [self.chains[other.id] for other in plan.dependents(job)]
            self.chains[job.id] = job.cost + max(behind, default=0.0)

    def count(self, state: State) -> int:
        """Count the jobs in a state."""
        return sum(found is state for found in self.states.values())

    def jobs(self, state: State) -> list[Job]:
        """Return the jobs in a state, in the order of the plan."""
        return [job for job in self.plan if self.states[job.id] is state]

    @property
    def active(self) -> bool:
        """Whether a job is running, or can still begin."""
        return self.count(State.RUNNING) > 0 or bool(self.ready())

    def ready(self) -> list[Job]:
        """Return the jobs that can begin, turn by turn, of each the most urgent first."""
        can = [
            job
            for job in self.jobs(State.WAITING)
            if all(self.states[need] is State.DONE for need in job.needs)
        ]
        # Stable: what is equally urgent comes as planned.
        return sorted(can, key=lambda job: (job.turn, -self.chains[job.id]))

    def begin(self, job: Job) -> None:
        """Note that a job runs."""
        self.states[job.id] = State.RUNNING

    def finish(self, job: Job) -> None:
        """Note that a job is done."""
        self.states[job.id] = State.DONE

    def fail(self, job: Job) -> None:
        """Note that a job failed; those that need it are skipped, and those that need them."""
        self.states[job.id] = State.FAILED
        lost = {job.id}
        for other in self.plan:  # each stands after those that it needs
            if lost & set(other.needs):
                lost.add(other.id)
                self.states[other.id] = State.SKIPPED
