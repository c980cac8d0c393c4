# Copyright: (c) 2026, ascend_ops.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

from pathlib import Path

import pytest
from ansible.parsing.dataloader import DataLoader
from ansible.template import Templar

VARIABLES = Path(__file__).resolve().parents[4] / "roles/image/vars/main.yml"


@pytest.mark.parametrize(
    ("image", "registry"),
    [
        ("quay.io/ascend/vllm-ascend:v0.13.0rc1", "quay.io"),
        ("10.0.0.5:5000/vllm-ascend", "10.0.0.5:5000"),
        ("localhost/vllm-ascend", "localhost"),
        ("ascendai/vllm-ascend:v0.13.0rc1", ""),
        ("docker.io/ascendai/vllm-ascend", ""),
        ("vllm-ascend:v0.13.0rc1", ""),
    ],
)
def test_the_login_goes_to_the_registry_of_the_image(image: str, registry: str):
    loader = DataLoader()
    variables = loader.load_from_file(str(VARIABLES), trusted_as_template=True)
    templar = Templar(loader, variables={"ansible_facts": {"vllm_plan": {"image": image}}})
    assert (templar.template(variables["__image_registry"]) or "") == registry
