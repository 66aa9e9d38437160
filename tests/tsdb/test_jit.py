"""tsdb.jit: what a kernel may be."""

from __future__ import annotations

import re
from importlib import import_module
from pathlib import Path
from typing import Any

import numba
import numpy as np
import pytest

import tsdb
from tsdb import jit
from tsdb.jit import kernel

PACKAGE = Path(tsdb.__file__).parent
USERS = sorted(
    file
    for file in PACKAGE.rglob("*.py")
    if file.name != "jit.py" and re.search(r"^from tsdb\.jit import", file.read_text(), re.M)
)


def _doubled(numbers):  # type: ignore[no-untyped-def]
    return np.concatenate((numbers, numbers)).size


def test_a_kernel_that_allocates_does_not_compile() -> None:
    with pytest.raises(numba.core.errors.NumbaError):
        kernel("i8(i8[::1])")(_doubled)


@pytest.mark.parametrize("helper", [jit.inlined, jit.forced], ids=["inlined", "forced"])
def test_a_helper_is_compiled_without_the_runtime_as_its_kernels_are(helper: Any) -> None:
    """One that counts references makes every kernel count that calls it."""
    options = helper(_doubled).targetoptions
    assert options["_nrt"] is False
    assert options["nogil"] is True


def test_helpers_are_decorated_by_nothing_else() -> None:
    own = [f for f in PACKAGE.rglob("*.py") if "njit" in f.read_text()]
    assert own == [PACKAGE / "jit.py"]


@pytest.mark.parametrize("file", USERS, ids=lambda file: str(file.relative_to(PACKAGE)))
def test_code_is_kept_under_all_that_it_is_made_of(file: Path) -> None:
    """Else a helper that changed would go on in kernels compiled before, without a word."""
    name = ".".join(file.relative_to(PACKAGE.parent).with_suffix("").parts)
    module = import_module(name.removesuffix(".__init__"))
    helpers = [each for each in vars(module).values() if hasattr(each, "py_func")]
    made_of = {Path(each.py_func.__code__.co_filename) for each in helpers}

    assert made_of <= jit._sources(file).keys()
