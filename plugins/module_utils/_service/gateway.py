# Copyright: (c) 2026, ascend_ops.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is wrong with the options of the role gateway. No text shows a key."""

from __future__ import annotations

import ipaddress
import re
from collections import Counter, defaultdict
from typing import Any, Iterator, Mapping

from ansible_collections.ascend_ops.vllm.plugins.module_utils._options import role_options, schema
from ansible_collections.ascend_ops.vllm.plugins.module_utils._problem import Problem

NAME = re.compile(r"[A-Za-z0-9._-]{1,64}")  # goes into the access log
KEY = re.compile(r"[A-Za-z0-9._~+/=-]{20,256}")  # RFC 6750: what may follow "Bearer"
ROUTE = re.compile(r"(GET|POST) (/v1(?:/[A-Za-z0-9_-]+)+)")
URL = re.compile(r"http://([A-Za-z0-9.-]+|\[[0-9A-Fa-f:]+\])(?::([0-9]{1,5}))?")
ADDRESS = re.compile(r"([0-9.]+)|\[([0-9A-Fa-f:.]+)\]")
CERTIFICATE_NAME = re.compile(r"(\*\.)?[A-Za-z0-9_-]{1,63}(\.[A-Za-z0-9_-]{1,63})*")
# Below /v1, and only for operators: they change what the engines have loaded.
CLOSED = ("/v1/load_lora_adapter", "/v1/unload_lora_adapter")


def problems(specs: Mapping[str, schema.Option], options: Mapping[str, Any]) -> list[Problem]:
    """Return what is wrong with the options, given by their names, ``upstream`` and ``engine_key`` among them.

    *specs* are those of the role's options, by name.
    """
    no_texts = list(_of_lists(specs, options))
    if no_texts:
        return no_texts
    return [
        *role_options.problems(specs, options),
        *_of_keys(options),
        *_of_routes(options["gateway_routes"]),
        *_of_addresses(options),
        *_of_certificate(options),
    ]


def _of_lists(specs: Mapping[str, schema.Option], options: Mapping[str, Any]) -> Iterator[Problem]:
    """Ansible takes a text for a list of one, and a number for a text; the tasks of the role do not."""
    for name in (name for name in sorted(options) if specs.get(name, {}).get("type") == "list"):
        value = options[name]
        if not isinstance(value, list) or not all(isinstance(entry, str) for entry in value):
            found, remedy = f"{name} is {value!r}", "write each entry in a line of its own, after a dash"
            yield Problem(found, "a list of texts", remedy)


def is_address(text: str) -> bool:
    """Return whether a text is an IPv4 or IPv6 address."""
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return True


def _of_keys(options: Mapping[str, Any]) -> Iterator[Problem]:
    names = list(options["gateway_api_keys"])
    if not all(isinstance(name, str) for name in names):
        numbers = ", ".join(repr(name) for name in names if not isinstance(name, str))
        found = f"gateway_api_keys has the name {numbers}, which is not a string"
        yield Problem(found, "names that are texts", "write it in quotes")
    keys = {str(name): value for name, value in options["gateway_api_keys"].items()}
    if not keys:
        found = "gateway_api_keys has no key"
        yield Problem(found, "one for each client", "add NAME: KEY; `openssl rand -hex 32` makes a key")
    owners = defaultdict(list)
    for name, value in keys.items():
        if not NAME.fullmatch(name):
            found = f"gateway_api_keys has the name {name!r}"
            yield Problem(found, "up to 64 letters, digits or ._-, for the access log", "rename it")
        if not isinstance(value, str) or not KEY.fullmatch(value):
            found = f"gateway_api_keys: the key of {name} is too short, too long, or has other characters"
            expected = "20 to 256 letters, digits or -._~+/= in quotes"
            yield Problem(found, expected, "replace it by one that `openssl rand -hex 32` makes")
        elif value == options["engine_key"]:
            found = f"gateway_api_keys: the key of {name} is vllm_api_key, which opens the service itself"
            yield Problem(found, "a key of its own", "replace it by one that `openssl rand -hex 32` makes")
        owners[value if isinstance(value, str) else id(value)].append(name)
    for names in owners.values():
        if len(names) > 1:
            found = f"gateway_api_keys: {', '.join(names)} have the same key"
            yield Problem(found, "a key for each, so that one can be revoked", "replace all but one")


def _of_routes(routes: list[str]) -> Iterator[Problem]:
    if not routes:
        yield Problem(
            "gateway_routes is empty", "what clients may use", "add a route, or remove the variable"
        )
    paths = Counter(route.partition(" ")[2] for route in routes)
    for path, count in paths.items():
        if count > 1:
            yield Problem(
                f"gateway_routes has {path} {count} times", "one method a path", "remove the others"
            )
    for route in routes:
        match = ROUTE.fullmatch(route)
        if not match:
            found, expected = f"gateway_routes has {route!r}", "one such as 'POST /v1/embeddings'"
            yield Problem(
                found, expected, "write METHOD PATH; /health is always exposed, and nothing outside /v1 is"
            )
        elif match[2] in CLOSED:
            found = f"gateway_routes has {route!r}, which changes what the engines have loaded"
            yield Problem(found, "routes that only answer", "remove it, and call that route on the head")


def _is_upstream(text: str) -> bool:
    match = URL.fullmatch(text)
    if not match or (match[2] and not 1 <= int(match[2]) <= role_options.LAST_PORT):
        return False
    host = match[1].strip("[]")
    return (
        is_address(host) if re.fullmatch(r"[0-9.]+|.*:.*", host) else bool(CERTIFICATE_NAME.fullmatch(host))
    )


def _of_addresses(options: Mapping[str, Any]) -> Iterator[Problem]:
    upstream, address = options["upstream"], options["gateway_listen_address"]
    if not upstream:
        found = "the address of the service is unknown, because the head has no plan"
        remedy = "run playbooks/gateway.yml without --limit, or set gateway_upstream"
        yield Problem(found, "the head in this run", remedy)
    elif not _is_upstream(upstream):
        found = f"gateway_upstream is {upstream!r}"
        yield Problem(
            found,
            "a URL without a path, such as http://10.0.0.10:8080",
            "correct gateway_upstream, or remove it",
        )
    match = ADDRESS.fullmatch(address)
    if not match or not is_address(match[1] or match[2]):
        found = f"gateway_listen_address is {address!r}"
        yield Problem(
            found,
            "an address of the host, in brackets if it is IPv6",
            "correct gateway_listen_address, or remove it",
        )
    if str(options["gateway_port"]) in map(str, options["taken"]):
        found = f"gateway_port is {options['gateway_port']}, a port of the service on the same host"
        yield Problem(found, "a port of the gateway alone", "set gateway_port to another")


def _of_certificate(options: Mapping[str, Any]) -> Iterator[Problem]:
    for name in options["gateway_names"]:
        # openssl takes what looks like an address for one.
        if not is_address(name) and (not CERTIFICATE_NAME.fullmatch(name) or re.fullmatch("[0-9.]+", name)):
            yield Problem(
                f"gateway_names has {name!r}",
                "a name or an address",
                "write each entry without scheme, port and path",
            )
    if bool(options["gateway_certificate"]) != bool(options["gateway_certificate_key"]):
        found = "one of gateway_certificate and gateway_certificate_key is set, the other is not"
        yield Problem(found, "both, or none for a self-signed certificate", "add the other")
