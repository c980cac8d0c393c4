# Copyright: (c) 2026, ascend_ops.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import pytest
from ansible_collections.ascend_ops.vllm.plugins.module_utils._text import redaction


@pytest.mark.parametrize(
    "text",
    [
        "non-default args: {'api_key': ['s3cret'], 'port': 8080}",
        "vllm serve --api-key s3cret --port 8080",
        "docker login --password s3cret registry.example.com",
        "vllm serve --hf-token s3cret",
        "found hf_s3cret0123456789abcdef",
        "VLLM_API_KEY=s3cret",
        "MODELSCOPE_API_TOKEN=s3cret",
        "token: s3cret",
        '"registry_password": "s3cret"',
        "HTTP_PROXY=http://me:s3cret@proxy.example.com:3128",
        "https://me:s3c@s3cret@proxy.example.com",
        "Authorization: Bearer s3cret",
        '"authorization": "Basic s3cret"',
        "curl -H 'X: bearer s3cret-s3cret'",
        "found sk-s3cret0123456789abcdef",
        "-----BEGIN PRIVATE KEY-----\ns3cret\ns3cret\n-----END PRIVATE KEY-----",
    ],
)
def test_a_text_loses_its_secrets(text: str):
    said = redaction.text(text)
    assert "s3cret" not in said
    assert redaction.HIDDEN in said


@pytest.mark.parametrize(
    "text",
    [
        "max_num_batched_tokens=8192",
        "--max-num-batched-tokens 8192 --tool-call-parser glm47",
        "Chunked prefill is enabled with max_num_batched_tokens=8192.",
        "http://10.0.0.10:8080/v1/models",
        "tcp://10.0.0.10:8082 said: no answer",
    ],
)
def test_a_text_without_secrets_stays(text: str):
    assert redaction.text(text) == text


def test_a_known_value_is_taken_out_wherever_it_stands():
    assert redaction.text("it said: correct horse, again", known=["correct horse"]) == "it said: ***, again"


def test_data_loses_its_secrets_and_keeps_its_form():
    data = {
        "Env": ["API_TOKEN=s3cret", "PATH=/bin"],
        "password": "s3cret",
        "has_api_key": True,
        "max_tokens": 10,
        "list": [{"x": "a s3cret word"}],
        "none": None,
    }
    assert redaction.data(data, known={"s3cret"}) == {
        "Env": ["API_TOKEN=***", "PATH=/bin"],
        "password": "***",
        "has_api_key": True,
        "max_tokens": 10,
        "list": [{"x": "a *** word"}],
        "none": None,
    }


def test_a_value_with_the_name_of_a_secret_is_hidden_whatever_it_is():
    given = {"password": "plain", "db": {"api_key": "x", "api_port": "8080"}, "token": ["a"], "secret": ""}
    assert redaction.data(given) == {
        "password": "***",
        "db": {"api_key": "***", "api_port": "8080"},
        "token": ["a"],
        "secret": "",
    }


def test_secrets_are_known_by_their_names():
    variables = {
        "weights_token": "s3cret-1",
        "vllm_api_key": "s3cret-2",
        "ansible_password": "",
        "vllm_api_port": "8080",
        "short_token": "abcde",
        "longer_token": "abcdef",
    }
    assert redaction.secrets(variables) == {"s3cret-1", "s3cret-2", "abcdef"}
    assert redaction.secrets({"ansible_ssh_private_key_file": "/home/me/.ssh/key"}) == set()
