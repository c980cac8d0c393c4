# Copyright: (c) 2026, ascend_ops.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Lets plain pytest import the checkout as ansible_collections.ascend_ops.vllm, as ansible-test does; and golden files."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

import pytest
from ansible.utils.collection_loader._collection_finder import _AnsibleCollectionFinder
from hypothesis import HealthCheck, settings

TESTS = Path(__file__).resolve().parent
_AnsibleCollectionFinder(paths=[str(TESTS.parent / "collections")])._install()

# How long an example takes is the business of the machine and its load.
settings.register_profile("any machine", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("any machine")


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--rewrite-golden", action="store_true", help="write tests/unit/golden instead of comparing"
    )


@pytest.fixture
def golden(request: pytest.FixtureRequest) -> Callable[[str, Mapping[str, str]], None]:
    """Compare texts, by the names of their cases, with the golden file of their area.

    What users read is asserted there and nowhere else. `make golden` writes the files; review them as a diff.
    """

    def check(area: str, texts: Mapping[str, str]) -> None:
        file = TESTS / "unit" / "golden" / f"{area}.txt"
        rendered = "\n".join(f"[{case}]\n{text.rstrip()}\n" for case, text in texts.items())
        if request.config.getoption("--rewrite-golden"):
            file.write_text(rendered, encoding="utf-8")
        assert rendered == file.read_text(encoding="utf-8"), "If the new wording is meant, run `make golden`."

    return check
