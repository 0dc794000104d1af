"""Which job comes next, and how long a plan takes on some workers."""

from hypothesis import given
from hypothesis import strategies as st

from glcm_mae.config import PretrainConfig
from glcm_mae.planning import Job, Plan
from glcm_mae.planning.scheduling import Schedule, State


def chains(*costs: tuple[float, ...]) -> Plan:
    """Return one chain of jobs for each tuple, the first links of all before the second."""
    made: list[list[Job]] = [[] for _ in costs]
    jobs = []
    for link in range(max(len(chain) for chain in costs)):
        for number, chain in enumerate(costs):
            if link >= len(chain):
                continue
            folder = f"{number}/{link}"
            config = PretrainConfig(data={"table": "t"}, out=folder, seed=10 * number + link)
            needs = tuple(job.id for job in made[number][-1:])
            made[number].append(
                Job("pretrain", folder, config, folder, needs, cost=chain[link])
            )
            jobs.append(made[number][-1])
    return Plan(jobs)


def simulate(plan: Plan, workers: int) -> tuple[float, list[str]]:
    """Return how long a plan takes, and the order in which its jobs begin."""
    schedule, now, begun = Schedule(plan), 0.0, []
    running: list[tuple[float, int, Job]] = []
    while schedule.active:
        for job in schedule.ready()[: workers - len(running)]:
            assert all(schedule.states[need] is State.DONE for need in job.needs)
            schedule.begin(job)
            begun.append(job.folder)
            running.append((now + job.cost, len(begun), job))
        running.sort()
        now, _, job = running.pop(0)
        schedule.finish(job)
    return now, begun


def test_five_folds_on_two_workers_are_balanced() -> None:
    """Whole folds on two workers would take 3 of 5: 5/3 of the speed. Stages reach 2."""
    plan = chains(*[(1.0, 1.0)] * 5)
    whole, _ = simulate(plan, 1)
    half, begun = simulate(plan, 2)
    assert whole / half == 2.0
    assert begun[:5] == [f"{fold}/0" for fold in range(5)], "pre-trainings come first"
    longer, _ = simulate(chains(*[(4.0, 1.0)] * 5), 2)
    assert 25.0 / longer > 1.9


def test_a_shared_job_comes_before_all_that_wait_for_it() -> None:
    shared = Job("pretrain", "all", PretrainConfig(data={"table": "t"}, out="all"), "all")
    alone = PretrainConfig(data={"table": "t"}, out="x", seed=1)
    other = Job("pretrain", "alone", alone, "alone", cost=3.0)
    readers = [
        Job("finetune", f"{n}", alone.model_copy(update={"seed": n + 2}), "r", (shared.id,))
        for n in range(3)
    ]
    _, begun = simulate(Plan([other, shared, *readers]), 1)
    assert begun == ["alone", "all", "0", "1", "2"]
    cheap = Job("pretrain", "alone", alone, "alone", cost=1.5)
    _, begun = simulate(Plan([cheap, shared, *readers]), 1)
    assert begun == ["all", "alone", "0", "1", "2"]


def test_what_needs_a_failed_job_is_skipped_and_the_rest_goes_on() -> None:
    plan = chains((1.0, 1.0, 1.0), (1.0, 1.0))
    schedule = Schedule(plan)
    schedule.begin(plan[0])
    schedule.fail(plan[0])
    states = {job.folder: schedule.states[job.id] for job in plan}
    assert states == {
        "0/0": State.FAILED,
        "0/1": State.SKIPPED,
        "0/2": State.SKIPPED,
        "1/0": State.WAITING,
        "1/1": State.WAITING,
    }
    assert [job.folder for job in schedule.ready()] == ["1/0"]
    assert schedule.active


def test_what_is_done_does_not_come_again() -> None:
    plan = chains((1.0, 1.0), (1.0, 1.0))
    schedule = Schedule(plan, {plan[0].id})
    assert [job.folder for job in schedule.ready()] == ["1/0", "0/1"]
    assert not Schedule(plan, {job.id for job in plan}).active


COSTS = st.lists(
    st.lists(st.floats(0.1, 10.0), min_size=1, max_size=3).map(tuple), min_size=1, max_size=6
)


@given(costs=COSTS, workers=st.integers(1, 4))
def test_every_job_runs_once_and_the_plan_never_takes_twice_the_least_time(
    costs: list[tuple[float, ...]], workers: int
) -> None:
    """Graham's bound for any list scheduling of jobs that wait for each other: 2 - 1/m."""
    plan = chains(*costs)
    took, begun = simulate(plan, workers)
    assert sorted(begun) == sorted(job.folder for job in plan)
    work = sum(sum(chain) for chain in costs)
    least = max(work / workers, *(sum(chain) for chain in costs))
    assert took <= (2 - 1 / workers) * least * (1 + 1e-9)
