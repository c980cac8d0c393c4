"""What npu-smi and hccn_tool print, and what the version files hold, for healthy or sick NPUs: plain functions, text out."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

from settings import MAX_NODES

CHIPS = 8
VERSION = "25.2.1"
HEALTHY: dict[str, Any] = {
    # what npu-smi shows
    "driver_version": VERSION,
    "compatibility": "OK",
    "name": "910B2",
    "chips": CHIPS,
    "health": {},
    "hbm_total": 65536,
    "hbm_used": {},
    "busy": {},
    "dcmi_error": None,
    # what the files on disk say
    "driver_installed": None,
    "driver_missing": False,
    "firmware_version": VERSION,
    # what hccn_tool shows
    "link_down": [],
    "net_health": {},
    "ip": {},
    "netmask": {},
    "tls": {},
    "lldp": True,
    "ping_loss": [],
    "unreachable": [],
    # how fast the tools are
    "delay": 0,
    "hang": False,
}
FIRMWARE = "7.7.0.6.236"
ERROR_CODE = "80E01801"  # of a chip that is not healthy
BUS = ["C1", "01", "C2", "02", "81", "41", "82", "42"]
TABLE = "+" + "-" * 27 + "+" + "-" * 15 + "+" + "-" * 52 + "+"
PROCESSES = "+" + "-" * 27 + "+" + "-" * 15 + "+" + "-" * 26 + "+" + "-" * 25 + "+"


def roce_address(node_index: int, chip: int) -> str:
    """Return the address of a RoCE port: every chip of every node has its own, all in one segment."""
    return f"10.20.{11 + node_index // 30}.{11 + 8 * (node_index % 30) + chip}"


def fields(*pairs: tuple[str, Any]) -> Iterator[str]:
    return (f"        {key:<31}: {value}" for key, value in pairs)


class Npus:
    """The NPUs of a node. A sickness of single chips maps their numbers to values, or lists those that have the usual value."""

    def __init__(self, sickness: dict[str, Any], node_index: int) -> None:
        unknown = sorted(set(sickness) - set(HEALTHY))
        if unknown:
            raise ValueError(f"the NPUs cannot play {', '.join(unknown)}; they can play {', '.join(HEALTHY)}")
        self.state = HEALTHY | sickness
        self.node_index = node_index
        self.chips: list[int] = (
            list(range(self.state["chips"])) if isinstance(self.state["chips"], int) else self.state["chips"]
        )

    def of(self, key: str, chip: int, usual: Any) -> Any:
        value = self.state[key]
        if isinstance(value, list):
            return usual if chip in value else None
        return value.get(str(chip)) if isinstance(value, dict) else value

    # npu-smi

    def npu_smi(self) -> dict[str, str]:
        """Return what npu-smi prints, by its arguments; -t comes before -i, and -c is left out."""
        answers = {
            "-v": [f"npu-smi version: {self.state['driver_version']}"],
            "info": self.info(),
            "info -l": self.listing(),
            "info -m": self.mapping(),
        }
        for chip in self.chips:
            for kind in ("board", "health", "usages", "common", "memory"):
                answers[f"info -t {kind} -i {chip}"] = getattr(self, kind)(chip)
        return {arguments: "\n".join(lines) + "\n" for arguments, lines in answers.items()}

    def error(self) -> str | None:
        """Return what every call of npu-smi says when the driver does not work."""
        code = self.state["dcmi_error"]
        if code is None:
            return None
        failed = (
            "model initialized failed, because the device is used."
            if code == -8020
            else "module initialize failed."
        )
        return f"DrvMngGetConsoleLogLevel failed. (g_conLogLevel=3)\ndcmi {failed} ret is {code}\n"

    def health_of(self, chip: int) -> str:
        return self.of("health", chip, "Critical") or "OK"

    def processes(self, chip: int) -> list[dict[str, Any]]:
        return [
            {"pid": 472206, "name": "python3.9", "memory": 20480} | process
            for process in self.of("busy", chip, [{}]) or []
        ]

    def hbm_used(self, chip: int) -> int:
        return self.of("hbm_used", chip, 40000) or 3403 - chip + sum(
            process["memory"] for process in self.processes(chip)
        )

    def info(self) -> Iterator[str]:
        version = self.state["driver_version"]
        yield "+" + "-" * 96 + "+"
        yield f"| {'npu-smi ' + version:<32} Version: {version:<53}|"
        yield TABLE
        yield self.row("NPU   Name", "Health", "Power(W)    Temp(C)           Hugepages-Usage(page)")
        yield self.row("Chip", "Bus-Id", "AICore(%)   Memory-Usage(MB)  HBM-Usage(MB)")
        yield TABLE.replace("-", "=")
        for chip in self.chips:
            yield self.row(
                f"{chip:<6}{self.state['name']}",
                self.health_of(chip),
                f"{self.power(chip):<12}{self.temperature(chip):<18}0    / 0",
            )
            yield self.row(
                "0",
                f"0000:{BUS[chip]}:00.0",
                f"0           0    / 0          {self.hbm_used(chip):<5}/ {self.state['hbm_total']}",
            )
            yield TABLE.replace("-", "=")
        yield PROCESSES
        yield f"| {'NPU     Chip':<26}| {'Process id':<14}| {'Process name':<25}| {'Process memory(MB)':<24}|"
        yield PROCESSES.replace("-", "=")
        for chip in self.chips:
            for process in self.processes(chip):
                yield f"| {f'{chip:<8}0':<26}| {process['pid']:<14}| {process['name']:<25}| {process['memory']:<24}|"
            if not self.processes(chip):
                yield f"| {f'No running processes found in NPU {chip}':<95}|"
            yield PROCESSES.replace("-", "=")

    @staticmethod
    def row(left: str, middle: str, right: str) -> str:
        return f"| {left:<26}| {middle:<14}| {right:<51}|"

    @staticmethod
    def power(chip: int) -> str:
        return f"{88.3 + chip % 4 / 10:.1f}"

    @staticmethod
    def temperature(chip: int) -> int:
        return 33 + chip % 3

    def listing(self) -> Iterator[str]:
        yield from fields(("Total Count", len(self.chips)))
        for chip in self.chips:
            yield ""
            yield from fields(("NPU ID", chip), ("Chip Count", 1))

    def mapping(self) -> Iterator[str]:
        rows: list[tuple[Any, ...]] = [("NPU ID", "Chip ID", "Chip Logic ID", "Chip Name")]
        for logic, chip in enumerate(self.chips):
            rows += [(chip, 0, logic, f"Ascend {self.state['name']}"), (chip, 1, "-", "Mcu")]
        return ("        " + "".join(f"{cell:<31}" for cell in row) for row in rows)

    def board(self, chip: int) -> Iterator[str]:
        return fields(
            ("NPU ID", chip),
            ("Product Name", "IT21HMDC_Bin5"),
            ("Model", "NA"),
            ("Manufacturer", "Huawei"),
            ("Serial Number", f"10260{self.node_index:03}{chip:04}"),
            ("Software Version", self.state["driver_version"]),
            ("Firmware Version", FIRMWARE),
            ("Compatibility", self.state["compatibility"]),
            ("Board ID", "0x60"),
            ("PCB ID", "A"),
            ("BOM ID", 1),
            ("PCIe Bus Info", f"0000:{BUS[chip]}:00.0"),
            ("Slot ID", 0),
            ("Class ID", "NA"),
            ("PCI Vendor ID", "0x19E5"),
            ("PCI Device ID", "0xD802"),
            ("Subsystem Vendor ID", "0x19E5"),
            ("Subsystem Device ID", "0x3003"),
            ("Chip Count", 1),
        )

    def health(self, chip: int) -> Iterator[str]:
        status = self.health_of(chip)
        code, text = (
            ("NA", "NA") if status == "OK" else (ERROR_CODE, "node type=SOC, sensor type=Temperature")
        )
        return fields(("Health Status", status), ("Error Code", code), ("Error Information", text))

    def usages(self, chip: int) -> Iterator[str]:
        yield from fields(("NPU ID", chip), ("Chip Count", 1))
        yield ""
        yield from fields(
            ("DDR Capacity(MB)", 0),
            ("DDR Usage Rate(%)", 0),
            ("DDR Hugepages Total(page)", 0),
            ("DDR Hugepages Usage Rate(%)", 0),
            ("HBM Capacity(MB)", self.state["hbm_total"]),
            ("HBM Usage Rate(%)", 100 * self.hbm_used(chip) // self.state["hbm_total"]),
            ("Aicore Usage Rate(%)", 0),
            ("Aivector Usage Rate(%)", 0),
            ("Aicpu Usage Rate(%)", 0),
            ("Ctrlcpu Usage Rate(%)", 6),
            ("DDR Bandwidth Usage Rate(%)", 0),
            ("HBM Bandwidth Usage Rate(%)", 0),
            ("NPU Utilization(%)", 0),
            ("Aicube Usage Rate(%)", 0),
            ("Chip ID", 0),
        )

    def common(self, chip: int) -> Iterator[str]:
        yield from fields(("NPU ID", chip), ("Chip Count", 1))
        yield ""
        yield from fields(
            ("Chip ID", 0),
            ("Memory Usage Rate(%)", 0),
            ("HBM Usage Rate(%)", 100 * self.hbm_used(chip) // self.state["hbm_total"]),
            ("Aicore Usage Rate(%)", 0),
            ("Aicore Freq(MHZ)", 1800),
            ("Aicore curFreq(MHZ)", 800),
            ("Aicore Count", 24),
            ("Temperature(C)", self.temperature(chip)),
            ("NPU Real-time Power(W)", self.power(chip)),
        )
        yield ""
        yield from fields(("Chip Name", "mcu"), ("Temperature(C)", 31))

    def memory(self, chip: int) -> Iterator[str]:
        return fields(
            ("NPU ID", chip),
            ("DDR Capacity(MB)", 0),
            ("DDR Clock Speed(MHz)", 0),
            ("HBM Capacity(MB)", self.state["hbm_total"]),
            ("HBM Clock Speed(MHz)", 1600),
            ("HBM Temperature(C)", 35),
            ("HBM Manufacturer ID", "0x57"),
            ("Chip ID", 0),
        )

    # hccn_tool

    def hccn_tool(self) -> dict[str, str]:
        """Return what hccn_tool prints, by its arguments; of a ping without the address, which stands as @ in the text.

        The entry `reachable` lists the addresses that answer pings; to any other the text of `-lost` fits. Without a
        switch there is a list for each chip: cables lead to its counterparts only.
        """
        answers = {"reachable": "".join(f"{address}\n" for address in self.reachable())}
        for chip in self.chips if not self.state["lldp"] else []:
            counterparts = {roce_address(node, chip) for node in range(MAX_NODES)}
            own = [address for address in self.reachable() if address in counterparts]
            answers[f"reachable {chip}"] = "".join(f"{address}\n" for address in own)
        for chip in self.chips:
            for call in (
                "link",
                "net_health",
                "ip",
                "gateway",
                "netdetect",
                "tls",
                "lldp",
                "link_stat",
                "ping",
                "lost",
            ):
                answers[f"-i {chip} -{call} -g"] = "".join(line + "\n" for line in getattr(self, call)(chip))
        return answers

    def is_up(self, chip: int) -> bool:
        return not self.of("link_down", chip, True)

    def address(self, chip: int) -> str | None:
        return self.state["ip"].get(str(chip), roce_address(self.node_index, chip))

    def link(self, chip: int) -> Iterator[str]:
        yield f"link status: {'UP' if self.is_up(chip) else 'DOWN'}"

    def net_health(self, chip: int) -> Iterator[str]:
        usual = "Init" if not self.address(chip) else "Success" if self.is_up(chip) else "Fault"
        yield f"net health status: {self.of('net_health', chip, 'Fault') or usual}"

    def ip(self, chip: int) -> Iterator[str]:
        if self.address(chip):
            yield f"ipaddr:{self.address(chip)}"
            yield f"netmask:{self.of('netmask', chip, '255.255.255.0') or '255.255.0.0'}"
        else:
            yield "Get ipconf failed, because no ip was preset there!"

    def gateway(self, chip: int) -> Iterator[str]:
        yield f"default gateway:10.20.0.1, Iface:eth{chip}"

    def netdetect(self, _chip: int) -> Iterator[str]:
        yield "netdetect address: 10.20.0.1"

    def tls(self, chip: int) -> Iterator[str]:
        switch = int(self.of("tls", chip, 1) or 0)
        yield f"dev_id:{chip}, tls switch[{switch}](0:disable, 1:enable), tls preconfigured[1](0:non-preset, 1:preset), tls alarm time threshold[60]days"

    def lldp(self, chip: int) -> Iterator[str]:
        if self.state["lldp"] and self.is_up(chip):
            yield f"\tIfname: 400GE1/{self.node_index + 1}/{chip // 2 + 1}:{chip % 2 + 1}"

    def link_stat(self, chip: int) -> Iterator[str]:
        yield f"[device {chip}]current time        : {time.asctime()}"
        yield f"[device {chip}]link up count       : 1"
        yield f"[device {chip}]link change records :"
        if not self.is_up(chip):
            yield f"[device {chip}]    Tue Nov 11 17:02:44 2025    LINK DOWN"
        yield f"[device {chip}]    Tue Nov 11 16:32:12 2025    LINK UP"

    def reachable(self) -> Iterator[str]:
        every = (roce_address(node, chip) for node in range(MAX_NODES) for chip in range(CHIPS))
        return (address for address in every if address not in self.state["unreachable"])

    def ping(self, chip: int) -> Iterator[str]:
        return self.pinged(chip, 3 if not self.is_up(chip) else 1 if self.of("ping_loss", chip, True) else 0)

    def lost(self, chip: int) -> Iterator[str]:
        return self.pinged(chip, 3)

    @staticmethod
    def pinged(chip: int, lost: int) -> Iterator[str]:
        yield f"device {chip} PING @"
        for sequence in range(3):
            yield (
                f"recv time out seq={sequence}"
                if sequence < lost
                else f"recv seq={sequence},time=0.0{64 + 3 * sequence}000ms"
            )
        yield f"3 packets transmitted, {3 - lost} received, {100 * lost / 3:.2f}% packet loss"

    # npu-exporter

    def metrics(self) -> Iterator[str]:
        """Return what MindCluster's npu-exporter would answer, as far as the tools say it as well; it has no counters of errors.

        Names, labels and units are those of component/npu-exporter/collector in https://github.com/Ascend/mind-cluster. Where
        the chip has no error, it writes no error code.
        """
        for chip in self.chips:
            labels = f'id="{chip}",model_name="{self.state["name"]}",pcie_bus_info="0000:{BUS[chip]}:00.0",namespace="",pod_name="",container_name=""'
            values = {
                "info_health_status": int(self.health_of(chip) == "OK"),
                "info_temperature": self.temperature(chip),
                "info_power": self.power(chip),
                "info_utilization": 0,
                "info_hbm_used_memory": self.hbm_used(chip),
                "info_hbm_total_memory": self.state["hbm_total"],
                "info_link_status": int(self.is_up(chip)),
                "link_up_num": 1,
            }
            if self.health_of(chip) != "OK":
                values["info_error_code"] = int(ERROR_CODE, 16)
            yield from (f"npu_chip_{name}{{{labels}}} {value}" for name, value in values.items())

    # files

    def files(self) -> dict[str, str]:
        """Return the files of driver and firmware, by path."""
        driver = self.state["driver_installed"] or self.state["driver_version"]
        addresses = [
            f"address_{chip}={self.address(chip)}\nnetmask_{chip}=255.255.0.0\nnetdetect_{chip}=10.20.0.1\ngateway_{chip}=10.20.0.1\nsend_arp_status_{chip}=1\n"
            for chip in self.chips
            if self.address(chip)
        ]
        return {
            "usr/local/Ascend/driver/version.info": DRIVER_INFO.format(version=driver),
            "usr/local/Ascend/firmware/version.info": FIRMWARE_INFO.format(
                firmware=FIRMWARE, version=self.state["firmware_version"]
            ),
            "etc/ascend_install.info": INSTALL_INFO,
            "etc/hccn.conf": "".join(addresses),
        }


DRIVER_INFO = """\
Version={version}
ascendhal_version=7.35.23
aicpu_version=1.0
tdt_version=1.0
log_version=1.0
prof_version=2.0
dvppkernels_version=1.1
tsfw_version=1.0
Innerversion=V100R001C22SPC003B220
compatible_version=[V100R001C18],[V100R001C19],[V100R001C20],[V100R001C21],[V100R001C22]
compatible_version_fw=[7.0.0,7.7.99]
package_version={version}
"""
FIRMWARE_INFO = """\
Version={firmware}
firmware_version=1.0
package_version={version}
compatible_version_drv=[24.1,24.1.],[25.0,25.0.],[25.2,25.2.]
"""
INSTALL_INFO = """\
UserName=HwHiAiUser
UserGroup=HwHiAiUser
Driver_Install_Type=full
Driver_Install_Path_Param=/usr/local/Ascend
Driver_Install_For_All=yes
Driver_Install_Mode=normal
Driver_Install_Status=complete
Firmware_Install_Type=full
Firmware_Install_Path_Param=/usr/local/Ascend
"""
