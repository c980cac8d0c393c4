# Copyright: (c) 2026, ascend_ops.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

from typing import Any

import pytest
from ansible_collections.ascend_ops.vllm.plugins.module_utils._service import gateway
from shipped import options

KEY = "0123456789abcdefghij"
OWN = options("gateway")
SPECS = {**options("preflight"), **OWN}  # the filter knows the options of all roles
DEFAULTS = {name: option["default"] for name, option in OWN.items() if "default" in option}
RIGHT = {
    **DEFAULTS,
    "gateway_api_keys": {"team-a": KEY, "ci": KEY + "-._~+/="},
    "upstream": "http://10.0.0.10:8080",
    "engine_key": "the-key-of-the-service",
    "taken": [8080, 8082, 8083],
}


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("gateway_api_keys", {"7": KEY}),
        ("gateway_routes", ["GET /v1/models", "POST /v1/embeddings", "POST /v1/audio/transcriptions"]),
        ("gateway_listen_address", "[::]"),
        ("gateway_names", ["llm.example.com", "10.0.0.10", "*.example.com", "2001:db8::1"]),
        ("upstream", "http://[fd00::10]:8080"),
        ("upstream", "http://llm.example.com"),
        ("engine_key", ""),
    ],
)
def test_what_is_right_is_taken(name: str, value: Any):
    assert gateway.problems(SPECS, {**RIGHT, name: value}) == []


@pytest.mark.parametrize(
    ("name", "value", "found"),
    [
        ("gateway_api_keys", {}, "has no key"),
        ("gateway_api_keys", {7: KEY, "ci": KEY[::-1]}, "has the name 7, which is not a string"),
        ("gateway_api_keys", {"a b": KEY}, "has the name 'a b'"),
        ("gateway_api_keys", {'"; evil': KEY}, "has the name"),
        ("gateway_api_keys", {"ci": KEY[1:]}, "the key of ci is too short"),
        ("gateway_api_keys", {"ci": KEY * 13}, "the key of ci is too short, too long"),
        ("gateway_api_keys", {"ci": KEY + '"'}, "the key of ci is"),
        ("gateway_api_keys", {"ci": KEY + "\n"}, "the key of ci is"),
        ("gateway_api_keys", {"ci": 12345678901234567890}, "the key of ci is"),
        ("gateway_api_keys", {"ci": None}, "the key of ci is"),
        ("gateway_api_keys", {"ci": "the-key-of-the-service"}, "the key of ci is vllm_api_key"),
        ("gateway_api_keys", {"ci": KEY, "team-a": KEY}, "ci, team-a have the same key"),
        ("gateway_routes", [], "is empty"),
        ("gateway_routes", ["POST /tokenize"], "'POST /tokenize'"),
        ("gateway_routes", ["DELETE /v1/models"], "'DELETE /v1/models'"),
        ("gateway_routes", ["GET /v1/models;"], "'GET /v1/models;'"),
        ("gateway_routes", ["GET /v1/../metrics"], "'GET /v1/../metrics'"),
        ("gateway_routes", ["POST /v1/load_lora_adapter"], "changes what the engines have loaded"),
        ("gateway_routes", ["GET /v1/models", "POST /v1/models"], "/v1/models 2 times"),
        ("gateway_routes", "GET /v1/models", "gateway_routes is 'GET /v1/models'"),
        ("gateway_routes", [1], "gateway_routes is [1]"),
        ("gateway_listen_address", "localhost", "'localhost'"),
        ("gateway_listen_address", "256.1.1.1", "'256.1.1.1'"),
        ("gateway_listen_address", "[:::::]", "'[:::::]'"),
        ("gateway_port", 65536, "65536"),
        ("gateway_port", "8082", "8082, a port of the service on the same host"),
        ("gateway_names", ["a,DNS:b"], "'a,DNS:b'"),
        ("gateway_names", ["999.1.1.1"], "'999.1.1.1'"),
        ("gateway_names", ["x:y"], "'x:y'"),
        ("gateway_names", ["a..b"], "'a..b'"),
        ("gateway_names", "llm.example.com", "gateway_names is 'llm.example.com'"),
        ("gateway_requests_per_minute", 0, "is 0"),
        ("gateway_answer_timeout", -1, "is -1"),
        ("gateway_certificate", "a.crt", "the other is not"),
        ("upstream", "", "address of the service is unknown"),
        ("upstream", "10.0.0.10:8080", "'10.0.0.10:8080'"),
        ("upstream", "http://10.0.0.10:99999", "'http://10.0.0.10:99999'"),
        ("upstream", "http://10.0.0:8080", "'http://10.0.0:8080'"),
        ("upstream", "https://llm.example.com", "'https://llm.example.com'"),
        ("upstream", "http://10.0.0.10:8080/v1", "'http://10.0.0.10:8080/v1'"),
    ],
)
def test_what_is_wrong_is_named_without_a_key(name: str, value: Any, found: str):
    (problem,) = gateway.problems(SPECS, {**RIGHT, name: value})
    assert found in problem.found
    assert KEY not in str(problem)
    assert "the-key-of-the-service" not in str(problem)
