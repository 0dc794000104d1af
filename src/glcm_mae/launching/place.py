"""Where a machine stands among those of a run: as told, or as SLURM tells."""

import re
from collections.abc import Mapping
from dataclasses import dataclass

from glcm_mae.errors import InputError


@dataclass(frozen=True)
class Place:
    """Where this machine stands among those of a run.

    Attributes:
        nodes: How many machines there are.
        node: The number of this one, from 0.
        host: Where rank 0 is.
        port: Where rank 0 listens; 0 for a free one at every attempt.
    """

    nodes: int
    node: int
    host: str
    port: int


def find_place(
    nodes: int, node: int | None, address: str, environment: Mapping[str, str]
) -> Place:
    """Return the place of this machine, as told or from the variables of SLURM.

    Args:
        nodes: How many machines there are.
        node: The number of this one; None asks SLURM.
        address: HOST:PORT of rank 0; empty asks SLURM.
        environment: Where the variables of SLURM are.

    Raises:
        InputError: If several machines are asked for and it is not told which one this is.

    Example:
        >>> find_place(1, None, "", {})
        Place(nodes=1, node=0, host='127.0.0.1', port=0)
        >>> slurm = {"SLURM_NODEID": "1", "SLURM_NNODES": "2", "SLURM_JOB_ID": "70001",
        ...          "SLURM_STEP_NODELIST": "gpu[07-08]"}
        >>> find_place(2, None, "", slurm)
        Place(nodes=2, node=1, host='gpu07', port=15001)
    """
    if nodes == 1:
        return Place(1, 0, "127.0.0.1", 0)
    if node is None:
        node = _slurm_node(nodes, environment)
    if not 0 <= node < nodes:
        raise InputError(f"launch.node: must be from 0 to {nodes - 1}, got {node}")
    host, port = _split(address) if address else _slurm_address(environment)
    return Place(nodes, node, host, port)


def _slurm_node(nodes: int, environment: Mapping[str, str]) -> int:
    if "SLURM_NODEID" not in environment:
        raise InputError(
            "launch.node: is required with nodes > 1 outside of SLURM; pass --launch.node "
            "0 on the first machine, 1 on the second, ..."
        )
    given = _either(environment, "SLURM_STEP_NUM_NODES", "SLURM_NNODES")
    tasks = environment.get("SLURM_STEP_NUM_TASKS", given)
    if given != str(nodes) or tasks != given:
        raise InputError(
            f"nodes: {nodes} asked for, SLURM started {tasks} tasks on {given} machines; "
            f"start one task a machine: srun --nodes={nodes} --ntasks-per-node=1"
        )
    return int(environment["SLURM_NODEID"])


def _slurm_address(environment: Mapping[str, str]) -> tuple[str, int]:
    hosts = _either(environment, "SLURM_STEP_NODELIST", "SLURM_JOB_NODELIST")
    # gpu[07-08,11],big1 begins with gpu07, and rank 0 is on the first machine.
    first = re.sub(r"\[([^\],-]+)[^\]]*\]", r"\1", hosts).partition(",")[0]
    host = first or environment.get("SLURM_LAUNCH_NODE_IPADDR", "")
    if not host:
        raise InputError(
            "launch.address: is required with nodes > 1 outside of SLURM; pass "
            "--launch.address HOST:PORT of the first machine"
        )
    return host, 15000 + int(environment.get("SLURM_JOB_ID", "0")) % 10000


def _either(environment: Mapping[str, str], *names: str) -> str:
    return next((environment[name] for name in names if environment.get(name)), "")


def _split(address: str) -> tuple[str, int]:
    host, _, port = address.rpartition(":")
    if not host or not port.isdecimal() or not 0 < int(port) < 2**16:
        raise InputError(
            f"launch.address: must be HOST:PORT of the first machine, got {address!r}"
        )
    return host.strip("[]"), int(port)
