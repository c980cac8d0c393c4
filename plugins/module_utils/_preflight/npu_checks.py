# Copyright: (c) 2026, ascend_ops.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Check driver, firmware and chips of each host, and whether the model fits on them."""

from __future__ import annotations

from typing import Any, Iterator, Mapping, Sequence

from ansible_collections.ascend_ops.vllm.plugins.module_utils._finding import FAIL, INFO, WARN, Finding
from ansible_collections.ascend_ops.vllm.plugins.module_utils._npu.npu_smi import INCOMPLETE, UNREADABLE
from ansible_collections.ascend_ops.vllm.plugins.module_utils._plan import capacity, capacity_report
from ansible_collections.ascend_ops.vllm.plugins.module_utils._plan.model import NotCounted
from ansible_collections.ascend_ops.vllm.plugins.module_utils._preflight import words
from ansible_collections.ascend_ops.vllm.plugins.module_utils._preflight.host import Host
from ansible_collections.ascend_ops.vllm.plugins.module_utils._preflight.registry import Checks
from ansible_collections.ascend_ops.vllm.plugins.module_utils._problem import Problem
from ansible_collections.ascend_ops.vllm.plugins.module_utils._text.versions import compare, release

IDLE_MB = 5120  # an idle chip of 64 GB shows 3.2 to 3.4 GB in use
IDLE_PART = 16  # and one of 128 GB up to 5.4 GB, so more than a sixteenth is in use
HELPER_MB = 256  # agents and monitors hold about 110 MB of a chip next to vLLM (vllm-ascend#3810)
INSTALL_SAME_PACKAGE = "Install driver and firmware of the same Ascend HDK package and reboot"

checks = Checks()


@checks.on_each_host("host", "driver")
def _driver(host: Host) -> Iterator[Finding]:
    error = host.npu["error"]
    if error:
        output = " / ".join(line.strip() for line in error["text"].splitlines() if line.strip())
        yield host.fail(
            "driver",
            f"{error['cause']}. The tool printed: {output or 'nothing'}",
            "npu-smi info shows the chips",
            error["remedy"],
        )
    incomplete = [text for text in host.npu["warnings"] or [] if INCOMPLETE.search(text)]
    if incomplete:
        yield host.warn(
            "driver",
            f"npu-smi warns: {' / '.join(incomplete)}",
            "Driver_Install_Status=complete in /etc/ascend_install.info",
            "Install the driver package again, and reboot",
        )


@checks.on_each_host("chips", "driver_version")
def _driver_version(host: Host) -> Iterator[Finding]:
    yield from _package(host, "driver", host.driver)


@checks.on_each_host("chips", "firmware_version")
def _firmware_version(host: Host) -> Iterator[Finding]:
    yield from _package(host, "firmware", host.npu["firmware_package_version"])


def _package(host: Host, part: str, version: str | None) -> Iterator[Finding]:
    expected = host.plan["npu"][f"{part}_version"]
    if version is None:
        if not host.npu["error"]:
            yield host.warn(
                f"{part}_version",
                f"no package version of the {part}",
                f"{part} of Ascend HDK {expected}",
                f"Check the {part}'s version.info below Driver_Install_Path_Param of "
                f"/etc/ascend_install.info. Reinstall the {part} if the file is lost",
            )
        return
    comparison = compare(release(version), release(expected))
    if comparison == 0:
        if compare(version, expected) != 0:
            yield host.warn(
                f"{part}_version",
                f"{part} {version}, another build of this release",
                f"{part} {expected}",
                f"Install the released package, or set vllm_npu_{part}_version: {version}",
            )
        return
    newer = comparison == 1
    order = {-1: ", which is older", 1: ", which is newer"}.get(comparison or 0, "")
    accept = ""
    if newer and not host.allow_newer:
        accept = ". To accept newer packages, set preflight_allow_newer: true"
    problem = Problem(
        f"{part} {version}{order}",
        f"{part} {expected}",
        f"Install driver and firmware of Ascend HDK {expected} and reboot{accept}. "
        f"To run {version}, set vllm_npu_{part}_version",
    )
    yield Finding(f"{part}_version", WARN if newer and host.allow_newer else FAIL, host.name, problem)


@checks.on_each_host("chips", "reboot")
def _pending_reboot(host: Host) -> Iterator[Finding]:
    npu = host.npu
    parts = [
        ("driver", npu["driver_version"], npu["package_version"]),
        ("firmware", npu["firmware_version"], npu["firmware_installed_version"]),
    ]
    for part, running, installed in parts:
        if running and installed and compare(running, installed) != 0:
            yield host.fail(
                "reboot",
                f"{part} {running} runs, {part} {installed} is installed",
                f"the installed {part} runs",
                "Reboot the host",
            )


@checks.on_each_host("chips", "card_firmware")
def _card_firmware(host: Host) -> Iterator[Finding]:
    """Cards with another firmware than most: usually one that was replaced. A reboot does not change it."""
    usual = host.npu["firmware_version"]
    versions = {card["npu_id"]: card["firmware_version"] for card in host.npu["cards"] or []}
    others = {number: text for number, text in versions.items() if text not in (None, usual)}
    if others:
        yield host.warn(
            "card_firmware",
            f"firmware {words.by_value(others, 'card')}",
            f"firmware {usual}, as on the other cards",
            "Install the firmware package again, which writes it to all cards, and power-cycle the host",
        )


@checks.on_each_host("chips", "compatibility")
def _compatibility(host: Host) -> Iterator[Finding]:
    """UNKNOWN is the state with old firmware packages. NOT SUPPORT means that it cannot be asked, as in a guest."""
    state = host.npu["compatibility"]
    if state in (None, "OK", "NOT SUPPORT"):
        return
    found = f"npu-smi reports compatibility {state} for driver and firmware"
    severity = FAIL if state == "NOK" else WARN
    yield Finding("compatibility", severity, host.name, Problem(found, "OK", INSTALL_SAME_PACKAGE))


@checks.on_each_host("chips", "chip_count")
def _chip_count(host: Host) -> Iterator[Finding]:
    ids = host.plan["npu"]["ids"]
    present = {chip["device"] for chip in host.npu["chips"] or []}
    missing = [number for number in ids if number not in present]
    if missing and not host.npu["error"]:
        yield host.fail(
            "chip_count",
            f"{len(ids) - len(missing)} of {len(ids)} chips; missing: {words.numbers(missing)}; "
            f"the host has {words.numbers(sorted(present)) or 'none'}",
            f"{len(ids)} chips: {words.numbers(ids)}",
            "Look for the card on the PCI bus (lspci -d 19e5:) and in dmesg. Power-cycle the host, reseat or "
            "replace the card. Or set the chips to use, counted from 0: vllm_npu_ids",
        )


@checks.on_each_host("chips", "chip_name")
def _chip_name(host: Host) -> Iterator[Finding]:
    expected = host.plan["npu"]["name"]
    others = {chip["device"]: chip["name"] or "no name" for chip in host.chips if chip["name"] != expected}
    if others:
        names = set(others.values())
        one = names.pop() if len(names) == 1 and names != {"no name"} else "their name"
        remedy = (
            f"If the model fits the present cards, set vllm_npu_name: {one}. Or use hosts with {expected}"
        )
        yield host.fail("chip_name", words.by_value(others, "chip"), expected, remedy)


@checks.on_each_host("chips", "chip_health")
def _chip_health(host: Host) -> Iterator[Finding]:
    """Alarm is the worst of all alarms, also of ones that do not matter here; hosts serve with it on all chips
    (vllm-ascend#9554, #9824). A chip is lost if it is Critical or UNKNOWN.
    """
    unhealthy = [chip for chip in host.chips if chip["health"] != "OK"]
    for severity, chips in (
        (FAIL, [chip for chip in unhealthy if chip["health"] not in ("Warning", "Alarm")]),
        (WARN, [chip for chip in unhealthy if chip["health"] in ("Warning", "Alarm")]),
    ):
        if chips:
            found = words.by_value({chip["device"]: _health(chip) for chip in chips}, "chip")
            remedy = (
                "Look up the error code in the Ascend HDK's list. Reset the chip (npu-smi set -t reset -i N "
                "-c 0), or power-cycle the host"
            )
            yield Finding("chip_health", severity, host.name, Problem(found, "OK", remedy))


def _health(chip: Mapping[str, Any]) -> str:
    code = f", error {chip['error_code']}" if chip["error_code"] else ""
    text = f": {chip['error_text']}" if chip["error_text"] else ""
    return f"{chip['health'] or 'unknown health'}{code}{text}"


@checks.on_each_host("chips", "hbm")
def _hbm(host: Host) -> Iterator[Finding]:
    expected = host.plan["npu"]["hbm_mb"]
    sizes = {chip["device"]: chip["hbm_total_mb"] for chip in host.chips}
    small = {number: f"{size} MB" for number, size in sizes.items() if size is not None and size < expected}
    unknown = [number for number, size in sizes.items() if size is None]
    remedy = "Use hosts whose cards have that much. If the model needs less, set vllm_npu_hbm_mb"
    if small:
        yield host.fail("hbm", f"HBM of {words.by_value(small, 'chip')}", f"{expected} MB", remedy)
    if unknown:
        yield host.warn(
            "hbm", f"HBM of unknown size (chip {words.numbers(unknown)})", f"{expected} MB", remedy
        )


@checks.on_all_hosts("host", "capacity")
def _capacity(hosts: Sequence[Host]) -> Iterator[Finding]:
    """All hosts have the same share of the model, so it is a finding of the first one."""
    first = hosts[0]
    try:
        model = capacity.of_plan(first.plan)
    except NotCounted as error:
        yield Finding("capacity", INFO, first.name, capacity_report.not_counted(error))
        return
    except ValueError as error:
        yield first.warn(
            "capacity",
            str(error),
            "keys of the model's config.json",
            "Correct vllm_model_config, or empty it to skip the check",
        )
        return
    estimate = capacity.estimate(first.plan, model) if model else None
    problem = None
    if model and estimate:
        problem = capacity_report.problem(first.plan, model, estimate, first.variants)
    if estimate and problem:
        severity = FAIL if estimate.verdict == capacity.TOO_LARGE else WARN
        yield Finding("capacity", severity, first.name, problem)


@checks.on_each_host("chips", "chips_busy")
def _chips_busy(host: Host) -> Iterator[Finding]:
    remedy = (
        "Stop what uses the cards (docker ps, ps -fp PID), also in other containers or virtual machines. Or choose "
        "other chips: vllm_npu_ids"
    )
    users = {chip["device"]: _users(host, chip) for chip in host.chips}
    for severity in (FAIL, WARN):
        some = {number: text for number, (its_severity, text) in users.items() if its_severity == severity}
        if some:
            problem = Problem(words.by_value(some, "chip"), "chips that only this service uses", remedy)
            yield Finding("chips_busy", severity, host.name, problem)


def _users(host: Host, chip: Mapping[str, Any]) -> tuple[str, str]:
    """Return what uses the chip besides the service, after its severity; empty texts for nothing."""
    processes = chip["processes"] or []
    foreign = [process for process in processes if not _is_own(host, process)]
    sizes = [process["memory_mb"] for process in foreign]
    small = None not in sizes and sum(sizes) < HELPER_MB
    used, total = _memory(chip)
    if small and foreign == processes and not host.runs_service and used > max(IDLE_MB, total // IDLE_PART):
        hidden = f"{used} MB of memory held by a process that npu-smi does not show"
        return FAIL, ", ".join([*map(_process, foreign), hidden])
    if foreign:
        return WARN if small else FAIL, ", ".join(map(_process, foreign))
    unreadable = any(text.startswith(UNREADABLE) for text in host.npu["warnings"] or [])
    if chip["processes"] is None and chip["health"] is not None and unreadable:
        return WARN, "processes that cannot be read"
    return "", ""


def _memory(chip: Mapping[str, Any]) -> tuple[int, int]:
    """Return the used and all MB of the chip's own memory. A chip without PCI address and HBM (310B) has none."""
    kind = "hbm" if chip["hbm_used_mb"] is not None or not chip["bus_id"] else "memory"
    return chip[f"{kind}_used_mb"] or 0, chip[f"{kind}_total_mb"] or 0


def _is_own(host: Host, process: Mapping[str, Any]) -> bool:
    """Return whether the process belongs to the service.

    While the service runs, that includes processes of no container: some drivers show PIDs as they are inside
    the container, so that their container cannot be found.
    """
    return host.is_service(process["container"]) or (host.runs_service and process["container"] is None)


def _process(process: Mapping[str, Any]) -> str:
    name = f" {process['name']}" if process["name"] else ""
    container = f", container {process['container'][:12]}" if process["container"] else ""
    return f"process {process['pid']}{name} ({words.megabytes(process['memory_mb'])}{container})"
