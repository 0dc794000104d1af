"""What all tests share: types checked at run time, laws tried the same way, real data."""

import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings
from jaxtyping import install_import_hook

from once import MadeOnce, Make, make_once, shared_base
from warm import Nursery

# Axis names are checked on every call of the science, under the tests only.
install_import_hook(
    ["glcm_mae.texture", "glcm_mae.losses", "glcm_mae.model"], "beartype.beartype"
)

# These make golden files, with libraries that the project does not install.
collect_ignore_glob = ["golden/make_*.py"]

settings.register_profile(
    "glcm-mae",
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.too_slow],
)
settings.load_profile("glcm-mae")


_HOME = tempfile.mkdtemp(prefix="glcm-mae-tests-")
os.environ["GLCM_MAE_CACHE"] = f"{_HOME}/cache"  # never the user's own
os.environ["GLCM_MAE_KEY"] = f"{_HOME}/key"


def pytest_sessionfinish(session: pytest.Session) -> None:
    shutil.rmtree(_HOME, ignore_errors=True)


def pytest_sessionstart(session: pytest.Session) -> None:
    import torch

    # Small tensors: threads that wait for each other cost more than they bring.
    torch.set_num_threads(int(os.environ.get("GLCM_MAE_TEST_THREADS", "1")))


@pytest.fixture(scope="session")
def nursery() -> Iterator[Nursery]:
    """Starts processes from one that holds the libraries, where that is not the point."""
    made = Nursery()
    yield made
    made.close()


def data_folder(name: str) -> Path:
    """Return the folder of a real data set, or skip the test and say why."""
    root = os.environ.get("GLCM_MAE_DATA")
    beside = Path(__file__).resolve().parents[1].parent / "shared" / "data"
    folder = (Path(root) if root else beside) / name
    if not (folder / "manifest.csv").is_file():
        pytest.skip(f"needs the real images of {name}: set GLCM_MAE_DATA to their folder")
    return folder


@pytest.fixture(scope="session")
def made_once(tmp_path_factory: pytest.TempPathFactory) -> MadeOnce:
    """``made_once(name, make)``: the folder that ``make`` filled, once for all processes."""
    base = shared_base(tmp_path_factory.getbasetemp())

    def made(name: str, make: Make) -> Path:
        return make_once(base, name, make)

    return made


@pytest.fixture(scope="session")
def busi() -> Path:
    return data_folder("busi")


@pytest.fixture(scope="session")
def sarscov2_ct() -> Path:
    return data_folder("sarscov2_ct")


@pytest.fixture(scope="session")
def kermany_cxr() -> Path:
    return data_folder("kermany_cxr")
