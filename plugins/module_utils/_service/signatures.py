# Copyright: (c) 2026, ascend_ops.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The table of log signatures: what a line means, what to do about it, and the source of that knowledge.

It matches lines that vllm_log has cleaned: of vLLM 0.13.0, vLLM-Ascend 0.13.0rc1 and CANN 8.3 to 9.0. To add a
signature, add an entry here and a line that it matches to the test. `make docs` makes a page of the table.
"""

from __future__ import annotations

import re
from re import Pattern
from typing import Iterator, Mapping, NamedTuple

from ansible_collections.ascend_ops.vllm.plugins.module_utils._text.literals import literals

CAUSE = "cause"
SUSPECT = "suspect"  # a cause if vLLM fails after it; many services run well with such a line
RAISED = "raised"  # a cause only as what vLLM fails with, if no other exception tells why
PEER = "peer"  # a trace of another host's failure, or of the network's
UNCLEAR = "unclear"  # this host failed by itself, and its log does not show why
SYMPTOM = "symptom"  # names the layer that failed; the reason is in another line
ECHO = "echo"  # vLLM or the supervisor exits, because of a failure that an earlier line reports
WARNING = "warning"  # not fatal, but worth a look
KINDS = (CAUSE, SUSPECT, RAISED, PEER, UNCLEAR, SYMPTOM, ECHO, WARNING)

ISSUE = "https://github.com/vllm-project/vllm-ascend/issues/"
VLLM = "https://github.com/vllm-project/vllm/issues/"
SUPERVISOR = "ascend_ops.vllm, roles/container/files/supervise.py"
ACL = "CANN, acl API reference, aclError"
CANN = (
    "https://www.hiascend.com/document/detail/zh/canncommercial/850/maintenref/troubleshooting/"
    "troubleshooting_0225.html"
)
HCCL = "https://gitcode.com/cann/hcomm, docs/en/error_codes"

# How CANN and torch_npu write a code: `EI0006: `, `(EI0006)`, `EZ9999[PID`, `error code is 507011`.
LONGEST = 200  # characters of a quoted line
NAMED_CODE = re.compile(r"E[0-9A-Z]\d{4}(?=[:)\[])")
NUMBERED_CODE = re.compile(
    r"(?:error code(?: is|:)|function error:|result ?=|ErrCode ?=|ret(?:Code)?(?: ?[=:]| is)|errno\[) ?([1-5]\d{5})\b"
)
NUMBERED_PARTS = literals(NUMBERED_CODE.pattern)


class Signature(NamedTuple):
    """What a line means.

    ``parts`` are substrings: a line that matches the pattern has one of them.
    ``codes`` maps codes of the vendor to their meaning. ``{what}`` in the cause stands for the first named group
    of the pattern that matched, or for the code and its meaning. ``detail`` is a pattern of the line or of those
    after it; the cause quotes what it matches. Cause and remedy have no final full stop.
    """

    id: str
    kind: str
    pattern: Pattern[str] | None
    cause: str
    remedy: str
    source: str
    codes: Mapping[str, str]
    detail: Pattern[str] | None

    parts: tuple[str, ...]

    def match(self, text: str) -> str | None:
        """Return what the line says, possibly empty, None if the pattern does not match."""
        match = self.pattern.search(text) if self.pattern else None
        if not match:
            return None
        return _bare(next((value for value in match.groupdict().values() if value), ""))


def _bare(text: str) -> str:
    """Return a text without the quotation marks around it, or a single one, and without punctuation at its ends."""
    text = text.strip(" .,")
    for mark in "'\"":
        marks = len(re.findall(rf"(?<!\w){mark}|{mark}(?!\w)", text))  # not those within a word
        is_around = marks == 2 and text.startswith(mark) and text.endswith(mark)
        if is_around or marks % 2:
            text = text.strip(f" .,{mark}")
    return text


def codes_in(text: str) -> Iterator[str]:
    """Yield the vendor's codes in a line, unless it is one that only begins an error's text."""
    if text.endswith("Inner Error!"):
        return
    for match in NAMED_CODE.finditer(text):
        if not text[match.start() - 1 : match.start()].isalnum():
            yield match[0]
    if any(part in text for part in NUMBERED_PARTS):
        for match in NUMBERED_CODE.finditer(text):
            yield match[1]


def matches(text: str, quiet: bool = False) -> list[tuple[Signature, str]]:
    """Return the signatures that a line matches, and what it says. A quiet line can only be a warning."""
    candidates = dict.fromkeys(index for part, index in (WARNING_PARTS if quiet else PARTS) if part in text)
    tried = ((SIGNATURES[index], SIGNATURES[index].match(text)) for index in candidates)
    found = [(one, what) for one, what in tried if what is not None]
    return found if quiet else found + [_coded(code, text) for code in codes_in(text)]


def _coded(code: str, text: str) -> tuple[Signature, str]:
    """Return the signature of a code; the line itself tells most about a code that is in no list."""
    one = BY_CODE.get(code)
    if one:
        return one, f"{code}, {one.codes[code]}"
    return next((known for family, known in FAMILIES if code.startswith(family)), OTHER), text.strip()[
        :LONGEST
    ]


def _signature(
    name: str,
    pattern: str,
    cause: str,
    remedy: str,
    source: str,
    kind: str = CAUSE,
    codes: Mapping[str, str] | None = None,
    detail: str = "",
) -> Signature:
    regex, more = (re.compile(part) if part else None for part in (pattern, detail))
    return Signature(name, kind, regex, cause, remedy, source, codes or {}, more, literals(pattern))


SIGNATURES = (
    # The command line and the image.
    _signature(
        "bad_argument",
        r"^(?:(?:usage: )?vllm(?: serve)?|api_server\.py): error: (?P<what>.+)|TypeError: Error: (?P<what2>--.+)",
        "`vllm serve` rejects its command line: {what}",
        "Correct vllm_serve_args in the profile or in the inventory. `docker exec CONTAINER vllm serve "
        "--help=all` "
        "lists what this vLLM takes",
        "Python argparse, as vllm serve uses it",
    ),
    _signature(
        "invalid_tool_call_parser",
        r"invalid tool call parser: (?P<what>\S+)",
        "this vLLM has no tool call parser `{what}`",
        "Run the patch stage, which adds the model's parser, or choose one from the list in the line",
        "vllm 0.13.0, entrypoints/openai/api_server.py, validate_api_server_args",
    ),
    _signature(
        "invalid_reasoning_parser",
        r"invalid reasoning parser: (?P<what>\S+)|[Rr]easoning parser '(?P<what2>[^']+)' not found",
        "this vLLM has no reasoning parser `{what}`",
        "Choose a reasoning parser from the list in the line",
        "vllm 0.13.0, entrypoints/openai/api_server.py, validate_api_server_args",
    ),
    _signature(
        "command_missing",
        r"line \d+: (?:exec: )?(?P<what>[^:]+): (?:command not found|not found|No such file or directory)$",
        "the serve script uses `{what}`, which the image does not have",
        "Use the image that the profile names, or correct vllm_serve_env_scripts",
        "bash",
    ),
    _signature(
        "quantization_config_missing",
        r"ModelSlim Quantization Config Not Found|Cannot find the config file for ascend",
        "vllm_serve_args has `quantization: ascend`, but these weights are not quantized with ModelSlim: "
        "there is no "
        "quant_model_description.json",
        "Use the W8A8 weights of the profile (run the weights stage), or set quantization to null in "
        "vllm_serve_args",
        "vllm-ascend, quantization/modelslim_config.py",
    ),
    _signature(
        "quantization_unsupported",
        r"doesn't support (?P<what>quant_type=\S+ for layer_type=\w+)|(?P<what3>There is no available ascend quantizer)"
        r"|(?P<what2>AscendCompressedTensorsConfig)\b.*missing \d+ required",
        "this vLLM-Ascend cannot run weights that are quantized so: {what}",
        "Use weights of a kind that the release supports, such as the profile's. Those of ModelSlim need "
        "`quantization: ascend` in vllm_serve_args",
        "vllm-ascend, quantization/modelslim_config.py; ascend-fd, kg-config.json",
    ),
    _signature(
        "scale_dtype",
        r"Tensor scale not implemented for (?P<what>DT_\w+)",
        "the operator for quantized weights does not take scales in this format: {what}",
        "Set `dtype: bfloat16` in vllm_serve_args",
        ISSUE + "12907",
    ),
    _signature(
        "package_missing",
        r"(?P<what>(?:PackageNotFoundError: No package metadata was found for"
        r"|ModuleNotFoundError: No module named) (?!'(?:vllm|vllm_ascend|transformers)\.[\w.]+(?<!_C)')\S+)",
        "the image lacks a Python package: {what}",
        "Use the image that the profile names, or add the package to your own image",
        "Python, importlib",
    ),
    _signature(
        "library_mismatch",
        r"(?:ImportError|^OSError): (?P<what>.*undefined symbol.*)"
        r"|RuntimeError: (?P<what2>Failed to find function \w+|\w+ or \w+ not in lib\w*opapi\.so)"
        r"|RuntimeError: operator (?P<what3>torchvision::\w+) does not exist"
        r"|NotImplementedError: (?P<what4>Could not run '[\w:.]+' with arguments from the '\w+' backend)"
        r"|(?P<what5>\b(?:_C_ascend|npu)::\w+\(\) (?:Expected a value of type .*? but instead found type '\w+'"
        r"|[Ee]xpected at most \d+ argument|is missing value for argument '\w+'|Unknown keyword argument '\w+'))",
        "a compiled library does not match PyTorch or CANN in the image: {what}",
        "Use the image that the profile names without changes. In this one, something was installed over it, or a mount "
        "puts a folder of the host over one of its CANN",
        "https://github.com/Ascend/pytorch/issues/99; of torchvision: " + ISSUE + "477",
    ),
    _signature(
        "package_mismatch",
        r"ImportError: (?P<what>cannot import name .*)|AttributeError: (?P<what2>\w*Tokenizer\w* has no attribute \w+)"
        r"|TypeError: (?P<what3>[\w.<>]+\(\) (?:got (?:an unexpected keyword argument|multiple values for argument)|missing \d+ required positional argument"
        r"|takes \d+ positional argument).*)"
        r"|AttributeError: (?P<what4>module '[\w.]+' has no attribute .*|.np\.\w+. was removed in the NumPy .*)"
        r"|ImportError: (?P<what5>\S+ (?:needs|requires) \w+ [\d.]+ or .*|\S+ is required for a normal functioning .*)"
        # A part of a package that is there itself.
        r"|ModuleNotFoundError: (?P<what6>No module named '(?:vllm|vllm_ascend|transformers)\.[\w.]+(?<!_C)')",
        "two Python packages of the image do not fit together: {what}",
        "Use the image that the profile names without changes. In this one, a package such as vllm or transformers was "
        "installed over it (`docker exec CONTAINER pip check`), or a folder with its name hides it",
        "https://github.com/QwenLM/Qwen3-VL/issues/2058",
        kind=RAISED,
    ),
    _signature(
        "library_too_old",
        r"ImportError: (?P<what>.*version .GLIBC(?:XX)?_[\d.]+. not found.*)",
        "a library of the image is older than the programs in it need: {what}",
        "Use the image that the profile names without changes. If vllm_container_mounts puts a library of "
        "the host "
        "over one of the image, remove that mount",
        "https://github.com/flagos-ai/FlagTree/issues/376",
    ),
    _signature(
        "library_unusable",
        r"Failed to import '?[\w.]*vllm_ascend[\w.]*'?: ?(?P<what>.*(?:version .GLIBC"
        r"|cannot open shared object"
        r"|undefined symbol).*)|(?P<what2>AttributeError: '_OpNamespace' .*)",
        "the compiled operators of vLLM-Ascend cannot be used: {what}",
        "Use the image that the profile names without changes, and vllm_serve_env_scripts of that image",
        ISSUE + "1249",
        kind=SUSPECT,
    ),
    _signature(
        "library_tls",
        r"(?P<what>\S+): cannot allocate memory in static TLS block",
        "the loader has no room left for the thread-local data of {what} (aarch64)",
        "Set LD_PRELOAD in vllm_serve_env to that library, so that it is loaded first",
        "https://github.com/hiyouga/LLaMA-Factory/issues/8768",
    ),
    _signature(
        "layer_broken",
        r"archive/tar: invalid tar header",
        "Docker cannot unpack a layer of the image on this host",
        "Save the image on another host (docker save) and load it here (docker load, or vllm_airgap_dir)",
        "https://vllm-ascend.readthedocs.io, FAQ 20",
    ),
    _signature(
        "no_compiler",
        r"InvalidCxxCompiler|Failed to find C compiler|FileNotFoundError: .*'(?P<what>gcc|cc|g\+\+|c\+\+"
        r"|clang\+*|ld\.lld)'"
        r"|(?P<what2>bishengir-compile|ld\.lld|gcc|clang): (?:command )?not found",
        "graph compilation needs a compiler that the image does not have ({what})",
        "Use the image that the profile names, or disable compilation (TORCHDYNAMO_DISABLE=1 in "
        "vllm_serve_env, or "
        "enforce-eager: true in vllm_serve_args)",
        "torch inductor; with vllm 0.13.0 on CPU the first completion ends the service",
    ),
    _signature(
        "no_triton_driver",
        r"0 active drivers|(?P<what>\d+) active drivers",
        "Triton finds no driver for the NPU: this is not triton-ascend, or another triton was installed "
        "over it",
        "Use the image that the profile names without changes. `docker exec CONTAINER pip list` shows "
        "triton and "
        "triton-ascend",
        ISSUE + "7359",
    ),
    _signature(
        "compiler_failed",
        r"Command '\['(?P<what>[^']*(?:clang|gcc|g\+\+|bisheng)[^']*)'.* returned non-zero exit status"
        r"|(?P<what2>Cannot find option named 'Ascend\w+')|\bMLIRCompilationError:|PassManager::run failed",
        "a kernel of Triton could not be compiled in the container ({what})",
        "Look at the compiler's own message around this line. If it names the chip, use the image for this NPU generation or "
        "a newer one. Use the image that the profile names without changes, and "
        "empty /root/.triton/cache if another image has left something there",
        ISSUE + "6242",
        kind=SUSPECT,
        detail=r"(?:^bishengir-compile|\berror): .+",
    ),
    _signature(
        "graph_compilation",
        r"^torch\._dynamo\.exc\.(?!BackendCompilerFailed|InternalTorchDynamoError)\w+: (?P<what>.+)",
        "vLLM failed while it compiled the model to a graph, or ran that: {what}",
        "Set `enforce-eager: true` in vllm_serve_args: if the service starts then, keep it so, or use a newer vllm_release",
        ISSUE + "1962",
        kind=RAISED,
    ),
    _signature(
        "operator_not_compiled",
        r"Compile operator failed|[Cc]ompile (?:single )?(?P<what2>op\[\w+\]) failed"
        r"|Failed to compile (?:Op\b|graph\b)|\[ParseJson\].* failed|(?P<what>GEInitialize failed)",
        "CANN could not compile an operator for this chip ({what})",
        "If the line names a data type that is not supported, set another `dtype` in vllm_serve_args (float16 on chips "
        "without bfloat16). Otherwise use the image for this NPU generation, and see that the container can write to its "
        "working folder (kernel_meta)",
        "https://github.com/shirwy/vllm-ascend-910a/issues/4",
        kind=UNCLEAR,
        detail=r"(?<=cause: ).+|\b(?:[Oo]p|Node) ?\[[^\]]*\]",
    ),
    _signature(
        "triton_unused",
        r"Triton not available, falling back",
        "Triton does not work in the container, and vLLM samples without it, which takes longer",
        "Use the image that the profile names without changes. `docker exec CONTAINER pip list` shows triton-ascend",
        "vllm-ascend, sample/rejection_sampler.py",
        kind=WARNING,
    ),
    _signature(
        "forked",
        r"Cannot re-initialize NPU in forked subprocess",
        "a worker was forked after the NPU was initialized",
        "Set VLLM_WORKER_MULTIPROC_METHOD=spawn in vllm_serve_env",
        "torch_npu, npu/__init__.py",
    ),
    # The network between the hosts.
    _signature(
        "wrong_nic",
        r"ifa != nullptr\. Unable to find address for: (?P<what>\S+)",
        "this host has no network interface `{what}`, or the interface has no address",
        "Set vllm_service_nic to the interface that has vllm_service_ip (`ip -br addr` lists both)",
        "pytorch gloo/transport/tcp/device.cc; seen with vllm 0.13.0 on a worker, exit code 0",
    ),
    _signature(
        "address_in_use",
        r"^(?P<what>.*(?:[Aa]ddress already in use|EADDRINUSE|server socket has failed to (?:listen|bind)).*)",
        "a port is in use, or refused: {what}",
        "Stop the other service (`ss -ltnp` names it), or choose another vllm_api_port or vllm_rpc_port. If "
        "the port is "
        "neither, vLLM took a random one: run start.yml",
        "bind(2), errno 98",
    ),
    _signature(
        "address_not_local",
        r"ZMQError: Cannot assign requested address(?: \(addr='(?P<what>[^']+))?"
        r"|OSError: (?P<what2>\[Errno 99\] Cannot assign requested address)",
        "the service address is not an address of this host: {what}",
        "Set vllm_service_ip of the head to one of its own addresses (`ip -br addr` lists them)",
        VLLM + "31884",
    ),
    _signature(
        "hccl_port_taken",
        r"listen on ip\[[^\]]*\] and specific port\[(?P<what>\d+)\] fail"
        r"|IP address and port have been bound already|host nic listen start failed, port\[(?P<what2>\d+)\]",
        "a port of HCCL is in use ({what}): by a leftover process or container, or by a second service on "
        "these NPUs",
        "Stop it (`npu-smi info` and `ss -ltnp` name it), or set HCCL_IF_BASE_PORT in vllm_serve_env on all "
        "hosts",
        ISSUE + "1955",
        codes={
            "EI0019": "Communication_Error_Bind_IP_Port: no listening on the host's network card",
            "EI0020": "Communication_Error_Bind_IP_Port: no listening on the NPU's network card",
            "EJ0003": "Communication_Error_Bind_IP_Port: the IP port cannot be bound",
        },
    ),
    _signature(
        "hccp_left",
        r"Maybe the last training process is running",
        "HCCL's process on an NPU cannot start: one of an earlier run is still there",
        "End the leftover process (`npu-smi info` lists it by PID; `docker ps` shows another container with "
        "this NPU). "
        "Wait 10 seconds, then run start.yml",
        "https://github.com/hiyouga/LLaMA-Factory/issues/3839",
        codes={"EJ0001": "HCCP_Process_Initialization_Failure"},
    ),
    _signature(
        "npu_port_down",
        "",
        "the network port of an NPU is down: {what}",
        "Run `hccn_tool -i N -link -g` for each NPU, and `hccn_tool -i N -optical -g` for one that is down: "
        "cable, "
        "optical module or switch port",
        HCCL,
        codes={"EJ0002": "Environment_Error, the network port is down"},
    ),
    _signature(
        "npu_address",
        r"'(?P<what>device[_ ]ip)' is not set correctly|(?P<what2>Failed to get device ip from hccn\.conf\b.*)",
        "HCCL rejects the address of an NPU: {what}",
        "Run `hccn_tool -i N -ip -g` for each NPU: each needs its own address, which must be in /etc/hccn.conf too, "
        "on the host and in the container (`docker exec CONTAINER cat /etc/hccn.conf`). "
        "preflight.yml checks them all",
        HCCL,
        codes={"EJ0004": "Invalid_Argument_IP_Address"},
    ),
    _signature(
        "hccl_variable",
        "",
        "HCCL rejects a setting: {what}",
        "Correct or remove that variable in vllm_serve_env on all hosts",
        HCCL,
        codes={
            "EI0001": "Config_Error_Invalid_Environment_Variable",
            "EI0016": "Config_Error, a value is invalid",
        },
        detail=r"[Vv]alue \S+ for (?:environment variable|config) .*?(?= is invalid|$)|\bHCCL_\w+",
    ),
    _signature(
        "hccl_ranktable",
        "",
        "HCCL reads a rank table file that does not fit: {what}",
        "Remove RANK_TABLE_FILE from vllm_serve_env. vLLM needs no rank table",
        HCCL,
        codes={
            "EI0004": "File_Operation_Error_Parse: the rank table cannot be parsed",
            "EI0014": "Config_Error_Ranktable: a value in the rank table is invalid",
            "EI0017": "Config_Error_Ranktable: a value is missing in the rank table",
        },
    ),
    _signature(
        "hccl_differs",
        "",
        "the hosts call HCCL with different parameters: {what}",
        "Run site.yml on all hosts of the service, without --limit: they need the same image and settings",
        HCCL,
        codes={
            "EI0003": "Invalid_Argument_Collective_Communication_Operator",
            "EI0005": "Invalid_Argument, the parameters of ranks are inconsistent",
        },
    ),
    _signature(
        "hccl_versions_differ",
        r"The CANN versions are inconsistent",
        "the hosts have different versions of CANN",
        "Run site.yml on all hosts of the service, without --limit: they need the same image (`docker "
        "images --digests` "
        "compares them)",
        HCCL,
        codes={"EI0008": "Package_Error_Incorrect_HCCL_Version"},
        detail=r"local_version ?\[[^\]]*\], remote_version ?\[[^\]]*\]|The local .*, while the remote .*",
    ),
    _signature(
        "hccl_p2p",
        "",
        "two NPUs of this host cannot exchange data: {what}",
        "Check `npu-smi info -t topo` and the health of the NPUs, then try HCCL_INTRA_ROCE_ENABLE=1 in "
        "vllm_serve_env",
        HCCL,
        codes={"EI0010": "Communication_Error_P2P"},
    ),
    _signature(
        "hccl_init",
        r"hcclCommInitRootInfo\w*.*(?P<what>error code is \d+)|HcclCommInitRootInfo\w* fail(?:, (?P<what3>error:\d+))?"
        r"|(?:HCCL|OPS) function error: \w+.*(?P<what2>error code is \d\d?)\b",
        "HCCL failed ({what})",
        "Look for the line with a code EI or EJ after this one. Without it: check vllm_service_ip and "
        "vllm_service_nic, the "
        "address of each NPU (`hccn_tool -i N -ip -g`), and that nothing else uses HCCL's ports",
        ISSUE + "3196",
        kind=SYMPTOM,
    ),
    _signature(
        "gloo_mesh",
        r"Gloo connectFullMesh failed|Connect timeout \[local=",
        "the hosts cannot reach each other over the interface that Gloo uses",
        "Check vllm_service_nic and vllm_service_ip of each host, and that /etc/hosts does not map the host "
        "name to 127.0.1.1",
        VLLM + "7074",
        kind=PEER,
    ),
    _signature(
        "hostname_loopback",
        r"Unable to resolve hostname to a \(local\) address\. Using the loopback",
        "the host name does not resolve to an address of this host, so Gloo may use the loopback",
        "Set GLOO_SOCKET_IFNAME to the service interface (vllm_service_nic), and map the host name to the "
        "service address in /etc/hosts",
        "https://github.com/vllm-project/vllm/issues/7074",
        kind=WARNING,
    ),
    _signature(
        "topology_differs",
        r"(?P<what>Remote engine \d+ must use --headless.*"
        r"|Message from engine with unexpected data parallel rank: \d+"
        r"|HELLO message from .*expected it to be .*"
        r"|api_server_count can't be set in headless mode.*|Data Parallel configuration mismatch detected.*)",
        "head and workers were started with different topologies: {what}",
        "Run site.yml on all hosts of the service, without --limit",
        "vllm 0.13.0, v1/engine/utils.py",
    ),
    _signature(
        "engines_late",
        r"Timed out waiting for engine(?:s to send ?initial message| core processes to start)",
        "an API server waited 10 minutes for the engines; with more than one API server, vLLM 0.13.0 fixes this limit",
        "Leave api-server-count at 1 in vllm_serve_args. Then loading may take any time. If the line names "
        "VLLM_ENGINE_READY_TIMEOUT_S, raise that in vllm_serve_env instead",
        "https://github.com/vllm-project/vllm/issues/35547",
    ),
    _signature(
        "hccl_timeout",
        r"Getting socket times out|wait socket establish timeout|[Ll]inks? (?:was|were|is"
        r"|are) not established|[Ww]ait links establish completed failed|LINK_ERROR_INFO"
        r"|HcclAllocComResourceByTiling .*ret = 9\b|HCCL function error: .*error code is (?:9|11|12|19)\b",
        "the NPUs of another host did not answer (HCCL connection timeout)",
        "Look at the other hosts' logs first. Then run preflight.yml, which checks links, addresses, TLS "
        "and pings of all NPUs. If all is well there, try it without HCCL_IF_IP (vllm_serve_env: {HCCL_IF_IP: null}): "
        "HCCL_SOCKET_IFNAME is enough where the RoCE ports of the NPUs go straight to a switch",
        f"{ISSUE}5461, {ISSUE}16754",
        kind=PEER,
        codes={"EI0006": "Communication_Error_Get_Socket: getting a socket timed out"},
        detail=r"srcRank \([^)]*\) fails to connect to dstRank \([^)]*\)",
    ),
    _signature(
        "hccl_transport",
        r"Transport init error",
        "two NPUs could not connect",
        "Look at the log of the NPU that is named as the other end. Then ping between both "
        "(`hccn_tool -i N -ping -g address ADDRESS`), and compare their TLS (`hccn_tool -i N -tls -g`)",
        ISSUE + "3162",
        kind=PEER,
        codes={"EI0009": "Communication_Error_Initialize_Transport"},
        detail=r"localIpAddr\[[^\]]*\].*remote(?:_ip_a|IpA)ddr\[[^\]]*\]",
    ),
    _signature(
        "ranks_missing",
        r"Failed to collect cluster information of the communicator",
        "some ranks did not come when HCCL gathered them",
        "Look at the logs of these ranks first. If they wait too: check vllm_service_nic of each host "
        "(HCCL_SOCKET_IFNAME follows it) and the firewall between the hosts",
        HCCL,
        kind=PEER,
        codes={"EI0015": "Communication_Error_Ranktable_Detect"},
        detail=r"unconnected ranks: \"?\[[\d, ]*\]",
    ),
    _signature(
        "rank_silent",
        r"[Nn]otify wait time(?:d )?out|Notify register has not received|hccl fftsplus task timeout"
        r"|Cluster Exception Location\[IP/ID\]",
        "an NPU waited too long for another one, which hangs, is slow, or is gone",
        "Look at the logs of the other hosts and ranks: the first error there is the cause. If there is "
        "none, look at the "
        "RoCE links (`hccn_tool -i N -link_stat -g`)",
        "https://github.com/InternLM/lmdeploy/issues/3354",
        kind=PEER,
        codes={
            "EI0002": "Communication_Error_Timeout: the Notify register got no record from the peer",
            "507046": "the tasks of a stream did not end in time",
            "507047": "an event did not end in time",
            "507048": "a collective task (FFTS+) timed out",
            "107019": "waiting timed out",
            "107020": "a task timed out",
            "EE1002": "Execution_Error_Stream_Synchronize_Timeout",
        },
        detail=r"remote rank ?\[\d+\]|Waiting peer rank: \S+?(?=;)|(?<=\[IP/ID\]:)\[[^\]]+\](?=.*ExceptionType)",
    ),
    _signature(
        "remote_npu",
        r"SUSPECT REMOTE ERROR",
        "the fault is on an NPU of another process or host, or this NPU read beyond its memory",
        "Look at the logs of the other hosts and ranks: the first error there is the cause",
        ACL,
        kind=PEER,
        codes={
            "507055": "memory of another NPU may be faulty (UCE)",
            "507057": "a remote NPU may be faulty, or an access is out of bounds",
        },
    ),
    _signature(
        "sdma_error",
        "",
        "copying between two NPUs failed: {what}",
        "Look whether a process of another rank ended before. If none did, check the links and health of "
        "both NPUs "
        "(`hccn_tool -i N -link_stat -g`, `npu-smi info -t health -i N`)",
        HCCL,
        kind=PEER,
        codes={"EI0012": "Execution_Error_SDMA"},
        detail=r"Remote rank: \S+|server \S+, device ID \d+",
    ),
    _signature(
        "roce_link",
        r"Execution_Error_ROCE_CQE|WorkHCCL\(.*[Tt]imeout",
        "the RoCE link between NPUs of two hosts broke, or the engine at the other end exited",
        "Look at the other hosts' logs. Then run `hccn_tool -i N -link_stat -g` on both hosts to see "
        "whether the link went down",
        ISSUE + "7384",
        kind=PEER,
        codes={
            "EI0013": "Execution_Error_ROCE_CQE",
            "EI0018": "Execution_Error_UB_CQE",
            "507056": "the link between two NPUs broke",
        },
    ),
    _signature(
        "hccl_watchdog",
        r"HCCL watchdog thread terminated",
        "HCCL's watchdog ended the process, because of an error that it found on the NPU",
        "Look for the code in the lines around this one. If there is none, run diagnose.yml, which reads CANN's own log too",
        ISSUE + "4972",
        kind=SYMPTOM,
    ),
    _signature(
        "store_timeout",
        r"client socket has (?:timed out|failed).*connect to \(?(?P<what>[^)]+)"
        r"|(?P<what2>Timed out after \d+ seconds waiting for clients\. \S+ clients joined)"
        r"|Dist(?:Network|Store)Error(?!.*(?:client socket has|waiting for clients|server socket has))"
        # PyTorch's store_based_barrier logs this every ten seconds too, and waits on; vllm-ascend 2248 ended.
        r"|waitForInput: .*(?P<what3>timed out after \d{6,}ms)",
        "the hosts did not meet at torch.distributed's store ({what})",
        "Look at the other hosts' logs: one did not start, or hangs. Then check vllm_service_ip and the "
        "firewall between "
        "the hosts (all TCP ports must be open)",
        VLLM + "19670",
        kind=PEER,
    ),
    _signature(
        "store_gone",
        r"store->get\(.*got error|(?:recvValue|sendBytes) failed on SocketImpl\((?!.*remote=\[(?:::ffff:)?127\.)",
        "the process that holds torch.distributed's store (rank 0) is gone",
        "Look at the log of the head, or of rank 0 of this engine: the first error there is the cause",
        ISSUE + "5135",
        kind=PEER,
    ),
    _signature(
        "gloo_timeout",
        r"Timed out waiting \d+ms for (?:recv|send) operation|Application timeout caused pair closure",
        "another process of the group did not come, or hangs (Gloo timeout)",
        "Look at the other hosts' logs: one of them failed, hangs, or took 30 minutes longer to load its weights. If none "
        "did, check the network between the hosts",
        ISSUE + "4400",
        kind=PEER,
    ),
    _signature(
        "worker_silent",
        r"RPC call to (?P<what>\w+) timed out|(?P<what2>RayChannelTimeoutError)",
        "a worker did not answer in time ({what}): it hangs, or waits for another host",
        "Look at the other hosts' logs, then at the NPUs (`npu-smi info`) and RoCE links (`hccn_tool -i N "
        "-link_stat -g`). "
        "If the first requests are slow to compile, raise VLLM_EXECUTE_MODEL_TIMEOUT_SECONDS in "
        "vllm_serve_env, with Ray RAY_CGRAPH_get_timeout",
        ISSUE + "11290",
        kind=PEER,
    ),
    _signature(
        "back_to_back_cable",
        r"HcclAllocComResourceByTiling .*ret = 4",
        "the NPUs cannot use the MC2 operators between the hosts; these operators need a switch, a direct "
        "cable does not work",
        "If HCCL timed out before this line, fix that first. Otherwise use a switch, or set "
        "enable-expert-parallel to null in vllm_serve_args",
        ISSUE + "7606",
        kind=PEER,
    ),
    _signature(
        "head_silent",
        r"Did not receive response from front-end process within (?P<what>\d+ minutes)",
        "this worker got no answer from the head for {what}",
        "Check that the head's container runs, that the head's vllm_service_ip is right, and that the "
        "firewall lets this host reach vllm_rpc_port of the head",
        "vllm 0.13.0, v1/engine/core.py, HANDSHAKE_TIMEOUT_MINS",
        kind=PEER,
    ),
    _signature(
        "peer_gone",
        r"gloo/transport/tcp/pair\.cc:\d+\] [A-Za-z ]+\[(?P<what>[^\]]+)\]",
        "the engine at {what} is gone",
        "Look at the other hosts' logs. The cause is there, or in the network between the hosts",
        "pytorch gloo; seen with vllm 0.13.0 when a peer dies",
        kind=PEER,
    ),
    _signature(
        "ray_cluster",
        r"(?:Runtime|Value|Assertion)Error: (?P<what>Every node should have a unique IP address.*"
        r"|Cannot provide a placement group.*|Ray does not allocate any \w+ on the driver node.*"
        r"|The number of required \w+ exceeds the total number.*|placement group bundle index .* is invalid.*"
        r"|Created \d+ DP placement groups.*)",
        "Ray's cluster does not fit what vLLM asks of it: {what}",
        "The service needs no Ray: remove distributed-executor-backend and data-parallel-backend from vllm_serve_args. To keep "
        "it, compare `ray status` with the NPUs that the parallel sizes need, and set VLLM_HOST_IP in each host's vllm_serve_env "
        "to the address that `ray start --node-ip-address` has there",
        "https://github.com/vllm-project/vllm/pull/43095",
    ),
    _signature(
        "ray_waits",
        r"Waiting for creating a placement group of specs for (?P<what>\d+ seconds)",
        "vLLM waits for Ray's cluster to have enough NPUs (for {what})",
        "The service needs no Ray: remove distributed-executor-backend and data-parallel-backend from vllm_serve_args. To keep "
        "it, compare `ray status` with the NPUs that the parallel sizes need: another host has not joined, or has joined with "
        "another address or without NPUs",
        "https://github.com/gpustack/gpustack/issues/5056",
        kind=WARNING,
    ),
    _signature(
        "worker_missing",
        r"Waiting for \d+ local, (?P<what>[1-9]\d*) remote core engine proc",
        "the head waits for {what} engine(s) of other hosts",
        "Look at the workers' containers first, then at the firewall between the hosts (all TCP ports must "
        "be open)",
        ISSUE + "2416",
        kind=WARNING,
    ),
    # The model's files.
    _signature(
        "model_missing",
        r"Invalid repository ID or local directory specified: (?P<what>\S+)"
        r"|(?P<what2>\S+) does not appear to have a file named"
        r"|Cannot find any model weights with `?(?P<what3>[^`]+)"
        r"|Repo id must be in the form .*: '(?P<what4>[^']+)'",
        "the model's files are not, or not all, at {what} inside the container",
        "Check vllm_model_dir and the container's mounts, and run the weights stage",
        "https://github.com/vllm-project/vllm/issues/13510",
    ),
    _signature(
        "tokenizer_unreadable",
        r"Tokenizer class (?P<what>\S+) does not exist"
        r"|(?P<what2>data did not match any variant of untagged enum \S+)",
        "the tokenizer library of the image cannot read the model's tokenizer files: {what}",
        "The files are made for newer libraries, or are incomplete. Run the weights stage, which compares "
        "them with the "
        "hub. If they are right, use an image with newer transformers and tokenizers",
        ISSUE + "8213",
    ),
    _signature(
        "remote_code",
        r"(?P<what>Loading \S+ requires you to execute the configuration file|\S+ contains custom code which must be executed)",
        "the model brings Python code of its own, which vLLM may not run: {what}",
        "Set `trust-remote-code: true` in vllm_serve_args if you trust the model's files",
        VLLM + "5244",
    ),
    _signature(
        "model_unsupported",
        r"model type `(?P<what>[^`]+)` but Transformers does not recognize"
        r"|(?P<what2>Model architectures \[.*?\]) are not supported",
        "this vLLM does not support the model: {what}",
        "Use the image that the model's profile names",
        "vllm 0.13.0, model_executor/models/registry.py",
    ),
    _signature(
        "model_config_unfit",
        r"AttributeError: (?P<what>'(?!Ascend)\w+(?<!Quant)Config' object has no attribute '\w+')",
        "the code of this release does not fit the config.json of the model: {what}",
        "Use the vllm_release that the model's profile names, or a newer one. If the profile names this one, run the weights "
        "stage (`site.yml --tags weights`), which finds a config.json of another model or revision",
        "vllm-ascend, utils.py; a report about InternVL",
        kind=RAISED,
    ),
    _signature(
        "weights_broken",
        r"(?P<what>SafetensorError: (?!.*No space left).*|Error while deserializing header.*"
        r"|No such file or directory: .*\.(?:safetensors|bin|index\.json|model|tiktoken)\b"
        r"|Following weights were not initialized from checkpoint.*)",
        "the weights are incomplete or corrupt: {what}",
        "Run the weights stage (`site.yml --tags weights`). It finds the files that are missing or differ, "
        "and downloads "
        "them again. If none is and only layers for speculative decoding (MTP) are missing, remove speculative-config from "
        "vllm_serve_args",
        "https://github.com/gpustack/gpustack/issues/815",
    ),
    _signature(
        "weights_unreadable",
        r"(?:OSError|SafetensorError): (?P<what>.*(?:[Ii]nput/output error|I/O error|Stale file handle|os error (?:5|19|116)\b).*)",
        "a file of the weights cannot be read: {what}",
        "Check the disk or the network that holds vllm_model_dir (`dmesg -T`, `df -h`), and that a file can be read whole "
        "(`dd if=FILE of=/dev/null bs=16M`). os error 19 means that this file system cannot map files: use another one",
        "https://github.com/zai-org/CogVideo/issues/455",
        kind=RAISED,
    ),
    _signature(
        "weights_do_not_fit",
        r"KeyError: '(?P<what>(?:\w+\.)+\d+\.[\w.]+(?<!attn)|(?:\w+\.)+(?:weight|bias)\w*)'"
        r"|(?P<what2>(?:Attempted to load weight|Tried to load weights of size) .*)",
        "the weights are not those of the model that their config.json and vllm_serve_args describe: {what}",
        "Run the weights stage (`site.yml --tags weights`), which finds wrong files. If it finds none, set quantization "
        "in vllm_serve_args as the weights are quantized, and choose a vllm_release that knows the model. If the name is that of "
        "the layer after the model's last one (MTP), remove speculative-config",
        VLLM + "25797",
    ),
    _signature(
        "layer_elsewhere",
        r"KeyError: '(?P<what>(?:\w+\.)+\d+\.(?:\w+\.)*\w*attn)'",
        "the KV cache of a layer was given to a worker that does not have this layer: {what}",
        "Set pipeline-parallel-size to 1 in vllm_serve_args, and divide the model by tensor and data parallelism; without "
        "pipeline parallelism, remove speculative-config. To keep it, use a newer vllm_release",
        ISSUE + "6678",
    ),
    _signature(
        "speculation_failed",
        r"(?P<what>Can't determine cudagraph shapes that are both a multiple of .*)",
        "speculative decoding (MTP) fails: {what}",
        "Remove speculative-config from vllm_serve_args. If the service starts then, its number of tokens does not fit the "
        "other settings, or the weights have no MTP layers",
        ISSUE + "15201",
    ),
    _signature(
        "eplb_failed",
        r"NotImplementedError: (?P<what>EPLB (?:is )?not supported.*)",
        "balancing the load of the experts (EPLB) fails: {what}",
        "Remove enable-eplb and eplb-config from vllm_serve_args, dynamic_eplb and eplb_config from additional-config there, and "
        "DYNAMIC_EPLB from vllm_serve_env. If the service starts then, keep it so, or use a newer vllm_release",
        ISSUE + "5798",
    ),
    _signature(
        "file_missing",
        r"Worker failed with error .*No such file or directory: '(?P<what>[^']+)'",
        "a file that a setting names is not in the container: {what}",
        "Correct its path in vllm_serve_args or vllm_serve_env, or mount its folder (vllm_container_extra_mounts)",
        "ascend-fd, kg-config.json",
    ),
    _signature(
        "kv_store_unreachable",
        r"(?P<what>Initialize mooncake failed.*)|master_client.*(?P<what2>Client not available)",
        "the KV store cannot be reached: {what}",
        "Start its master, and check addresses and ports in the file that MOONCAKE_CONFIG_PATH names in vllm_serve_env",
        "vllm-ascend, distributed/kv_transfer/kv_pool/ascend_store/backend/mooncake_backend.py",
    ),
    _signature(
        "kv_transfer",
        r"Failed to connect to target: (?P<what>\S+), status|Connect timeout to: (?P<what2>[^,\s]+)"
        r"|SocketHandShakePlugin: connect\(\)(?P<what3>\S+): |Transfer timeout to: (?P<what4>[^,\s]+)"
        r"|SocketHandShakePlugin: failed to get IP address of peer server (?P<what6>[^,\s]+)"
        r"|Mooncake transfer failed|Failed to transfer KV cache|KV transfer task failed: (?P<what5>.+)",
        "the KV cache cannot be fetched from another instance ({what})",
        "Look at the log of the instance with that address: is it there, and does it serve? Then check the RoCE links between "
        "both (preflight.yml), and kv_connector_extra_config in kv-transfer-config",
        ISSUE + "5635",
        kind=RAISED,
    ),
    _signature(
        "kv_connector_failed",
        r"ValueError: (?P<what>Unsupported connector type: \S+)",
        "the connector that shares the KV cache with other instances or a store fails: {what}",
        "Check kv-transfer-config in vllm_serve_args, and that all instances and the proxy between them have the same vllm_release: "
        "kv_connector_extra_config describes the parallel sizes of both sides. If the service starts without kv-transfer-config, "
        "look in the documentation of that release for what the connector supports. A store must run before the service: check the "
        "addresses in the file that MOONCAKE_CONFIG_PATH or MMC_LOCAL_CONFIG_PATH names in vllm_serve_env",
        ISSUE + "14000",
    ),
    _signature(
        "kv_store_memory",
        r"Failed to allocate memory\b.*\b207001\b",
        "the KV store got no memory",
        "Lower global_segment_size in the file that MOONCAKE_CONFIG_PATH names in vllm_serve_env",
        "ascend-fd, kg-config.json",
    ),
    _signature(
        "download_broken",
        r"integrity check failed, expected sha256 signature is",
        "the checksum of a downloaded file differs from the hub's",
        "Run the weights stage again. It resumes, and downloads that file again. If the error persists, a "
        "proxy alters or truncates downloads",
        "https://github.com/modelscope/modelscope/issues/1365",
    ),
    _signature(
        "json_broken",
        r"JSONDecodeError: (?P<what>.*)",
        "a JSON file or setting cannot be read: {what}",
        "Run the weights stage (`site.yml --tags weights`), which compares the model's files with the hub. If they are right, "
        "check the JSON values in vllm_serve_args",
        ISSUE + "19",
        kind=RAISED,
    ),
    _signature(
        "hub_certificate",
        r"host='(?P<what>[^']+)', port=.*CERTIFICATE_VERIFY_FAILED|(?P<what2>certificate verify failed: [^(\]]+)",
        "the certificate of a hub, or of a proxy before it, is not trusted: {what}",
        "The service needs no hub. Run the weights stage, which checks that all files are there, and check that vllm_serve_args "
        "name no model or tokenizer by a repository id. To reach the hub, set SSL_CERT_FILE and REQUESTS_CA_BUNDLE to a file "
        "with the proxy's certificate",
        "https://github.com/Stability-AI/stable-virtual-camera/issues/23",
        kind=RAISED,
    ),
    _signature(
        "hub_unreachable",
        r"host='(?P<what>[^']+)', port=\d+\).*(?:Max retries exceeded|Read timed out)|Failed to resolve '(?P<what2>[^']+)'"
        r"|couldn't connect to '(?P<what3>https?://[^']+)'",
        "vLLM asked a hub in the network ({what}) for files of the model, and got none",
        "The service needs no hub. Run the weights stage, which checks that all files are there, and check that vllm_serve_args "
        "name no model or tokenizer by a repository id",
        VLLM + "9033",
        kind=RAISED,
    ),
    _signature(
        "chat_template_missing",
        r"default chat template is no longer allowed",
        "the tokenizer has no chat template, and chat requests fail",
        "Run the weights stage (`site.yml --tags weights`): chat_template.jinja is one of the model's files",
        ISSUE + "5353",
        kind=WARNING,
    ),
    # Memory, streams and other resources.
    _signature(
        "oom_killed",
        r"(?:Out of memory|Memory cgroup out of memory): Killed process \d+ "
        r"\((?P<what>VLLM[^)]*|vllm[^)]*|python3?[^)]*)\)",
        "the kernel killed {what} because the host or the container ran out of memory",
        "Free memory on that host, or raise the container's limit. Loading weights needs host memory too",
        "Linux, mm/oom_kill.c",
    ),
    _signature(
        "shm_too_small",
        r"Bus error|(?:/dev/shm|shared memory|psm_\w+|/torch_\w+).*(?:No space left on device|Errno 28)"
        r"|No space left on device.*/dev/shm|insufficient shared memory",
        "the container's shared memory (/dev/shm) is too small",
        "Raise vllm_container_shm_size (for example to 64g), then run site.yml. `docker exec CONTAINER df "
        "-h /dev/shm` shows "
        "what is used",
        VLLM + "1771",
    ),
    _signature(
        "no_space",
        r"(?P<what>.{0,80}No space left on device.{0,200})",
        "no space is left, on a disk or in the container's shared memory: {what}",
        "Run `docker exec CONTAINER df -h / /tmp /dev/shm`. If /dev/shm is full, raise "
        "vllm_container_shm_size. Otherwise "
        "free space on that disk",
        "Linux, errno 28",
    ),
    _signature(
        "page_size",
        r"<jemalloc>: Unsupported system page size",
        "jemalloc is built for pages of another size than this kernel has (64 KiB, as Kylin on Kunpeng)",
        "Remove jemalloc from LD_PRELOAD (vllm_serve_env)",
        "https://github.com/qdrant/qdrant/issues/6512",
    ),
    _signature(
        "threads_refused",
        r"pthread_create\b.*(?P<what>Operation not permitted|Resource temporarily unavailable)"
        r"|can't start new thread|clone3?\b.*(?P<what2>Operation not permitted)"
        r"|what\(\):\s+(?P<what3>Operation not permitted|Resource temporarily unavailable)",
        "the container cannot start threads ({what}): this Docker is too old for the image's glibc (clone3 "
        "is blocked by "
        "its seccomp profile), or a limit of processes is reached",
        "Update Docker to 20.10.10 or later (`docker version`), and check `docker inspect -f "
        "{{.HostConfig.PidsLimit}} CONTAINER` and `ulimit -u`",
        "https://github.com/xorbitsai/inference/issues/1871",
    ),
    _signature(
        "too_many_files",
        # vLLM warns of "errors like `OSError: [Errno 24] Too many open files`" at each start with a limit below 65535.
        r"(?<!like `)OSError: (?P<what>\[Errno 24\].*)|(?<!OSError: \[Errno 24\] )Too many open files",
        "a process may not open more files: {what}",
        "Check `docker exec CONTAINER sh -c 'ulimit -n'`, and raise the limit in Docker's configuration "
        "(LimitNOFILE of its unit, default-ulimits in daemon.json), then restart Docker",
        "Linux, errno 24",
        kind=RAISED,
    ),
    _signature(
        "permission_denied",
        r"PermissionError: (?P<what>\[Errno 13\].*)|(?P<what2>.{0,80}Permission denied \(os error 13\))",
        "a process in the container is not allowed to use a file: {what}",
        "Check owner and mode of that path on the host (`ls -ldZ`), and SELinux (`getenforce`, `ausearch -m avc`). Caches "
        "of root need a container that runs as root",
        "https://github.com/llm-d/llm-d/issues/1430",
        kind=RAISED,
    ),
    _signature(
        "npu_memory_fault",
        r"HBM.*(?:multi.?bit|ECC).*(?:error|fault)",
        "the memory of an NPU is faulty: {what}",
        "Run `npu-smi info -t ecc -i N` and `npu-smi info -t health -i N`. Reboot the host. If the fault "
        "comes again, "
        "replace the NPU",
        ACL,
        codes={
            "507053": "uncorrectable memory error (UCE)",
            "507054": "multi-bit ECC error of the HBM",
        },
        detail=r"device\(chipId:\d+, dieId:\d+\)",
    ),
    _signature(
        "npu_task_failed",
        r"The SMMU returns a Terminate error",
        "a copy or task failed on an NPU, because of an address that is not mapped, too little memory, or a fault: {what}",
        "Look for an earlier error, such as memory that ran out or a rank that ended. Without one, set PYTORCH_NPU_ALLOC_CONF "
        "to expandable_segments:False in vllm_serve_env, and lower gpu-memory-utilization. If it is always the same NPU, run "
        "`npu-smi info -t health -i N` and `-t ecc`",
        "https://github.com/gpustack/gpustack/issues/3315",
        kind=UNCLEAR,
        codes={
            "507001": "internal error of the task scheduler",
            "507013": "system DMA error",
        },
        detail=r"SMMU returns a Terminate error|device\((?:chipId:\d+, dieId:)?\d+\)",
    ),
    _signature(
        "operator_timeout",
        r"The aicore execution times out|vector core (?:execution )?time(?:s |d )?out",
        "an operator on the NPU did not end in time ({what}); often one rank waits for another that hangs "
        "or is gone",
        "Look at the other ranks' and hosts' logs for an earlier error. Else try enforce-eager: true or a "
        "smaller "
        "max-num-batched-tokens in vllm_serve_args, or a newer image",
        ISSUE + "4972",
        codes={
            "507014": "the AI Core execution timed out",
            "507017": "the AI CPU execution timed out",
            "507034": "the vector core execution timed out",
            "E30008": "Execution_Error_AICPU_Operator_Timeout",
            "EE1024": "Execution_Error_Stream_Synchronize_Timeout, with the memory of the NPU exhausted",
        },
        detail=r"device\(chipId:\d+, dieId:\d+\)",
    ),
    _signature(
        "operator_crashed",
        r"there is an (?:exception of )?(?P<what>(?:fftsplus )?ai[a-z]+ (?:error|exception))|\[(?P<what2>(?:vector core"
        r"|aicore) exception)\]|(?P<what3>Aicore kernel execute failed.*?)(?:, stream_id|$)",
        "an operator crashed on the NPU: {what}",
        "Note `device(chipId:N)`. If it is always the same, check that NPU (`npu-smi info -t health -i N`, "
        "`-t ecc`). "
        "Otherwise it is a defect of the version: try a newer image, or enforce-eager: true in "
        "vllm_serve_args; with expert parallelism, a larger HCCL_BUFFSIZE in vllm_serve_env on all hosts",
        ISSUE + "2763",
        codes={
            "507011": "the model execution failed",
            "507015": "AI Core exception",
            "507016": "AI Core trap",
            "507018": "AI CPU exception",
            "507035": "vector core exception",
            "507036": "vector core trap",
            "507042": "AI Core read out of bounds",
            "507043": "AI Core write out of bounds",
            "507044": "vector core read out of bounds",
            "507045": "vector core write out of bounds",
            "507049": "a collective task (FFTS+) failed",
            "507050": "a collective task (FFTS+) trapped",
            "EE1009": "Execution_Error_Model",
            "EL0015": "Invalid_Device_Access",
        },
        detail=r"device\((?:chipId:\d+, dieId:)?\d+\)|fault kernel_name=[^,]+|address of the MTE instruction is out of range",
    ),
    _signature(
        "index_out_of_range",
        r"^Index (?P<what>\d+ out of range ?\[[^)]*\))!",
        "an operator on the NPU got an index beyond its table: {what}",
        "If the number is max-model-len, and speculative-config is set in vllm_serve_args, remove that, or keep requests shorter. "
        "Otherwise it is a defect of the version: use a newer vllm_release",
        "a public log: speculative decoding at the end of a context of 1,048,576 tokens",
        kind=UNCLEAR,
    ),
    _signature(
        "out_of_memory",
        r"(?P<what>(?:NPU|CUDA) out of memory.*|OutOfMemoryError.*"
        r"|(?:not enough|can't allocate) memory: you tried to allocate.*|Cannot allocate memory.*"
        r"|Free memory on device .* is less than desired.*)|^MemoryError",
        "not enough memory: {what}",
        "Check that nothing else uses the NPUs or the host's memory (`npu-smi info`, `free -g`), or lower "
        "gpu-memory-utilization, max-model-len or max-num-seqs in vllm_serve_args",
        ISSUE + "1987",
        codes={
            "200000": "memory allocation failed",
            "207001": "memory allocation failed",
            "207018": "the memory of the NPU is exhausted",
            "245000": "memory allocation failed",
            "245002": "memory allocation on the NPU failed",
            "EE1013": "Resource_Error_Insufficient_Host_Memory",
            "EH0010": "memory allocation failed",
            "EL0004": "Memory_Allocation_Failure",
            "EL0018": "Resource_Error_Insufficient_Host_Memory",
            "EL0019": "Resource_Error_Insufficient_Device_Memory",
        },
    ),
    _signature(
        "npu_memory_refused",
        r"(?P<what>halMem\w+ failed\b.*\bdrvRetCode ?= ?6\b)",
        "the driver has no memory of the NPU left: {what}",
        "Check that nothing else uses the NPUs (`npu-smi info`), or lower gpu-memory-utilization, max-model-len or max-num-seqs "
        "in vllm_serve_args",
        "github.com/hicann/driver, ascend_hal_error.h, DRV_ERROR_OUT_OF_MEMORY",
        kind=SUSPECT,  # torch_npu tries again with less
    ),
    _signature(
        "host_memory_unregistered",
        r"RuntimeError: (?P<what>register ptr failed|Failed to register memory.*)"
        r"|(?P<what2>Unable to halHostRegister: \d+)",
        "the driver cannot register this much of the host's memory with an NPU: {what}",
        "Make the KV cache in the host's memory smaller (LMCACHE_MAX_LOCAL_CPU_SIZE in vllm_serve_env, or global_segment_size in "
        "the file that MOONCAKE_CONFIG_PATH names there). If a few GB fail too, the driver is too old for this "
        "image: update it (`npu-smi info` shows its version; 24.1 or newer)",
        "https://github.com/LMCache/LMCache-Ascend/issues/91",
        kind=RAISED,
    ),
    _signature(
        "kv_cache_too_small",
        r"(?P<what>To serve at least one request with the models?'s max seq len.*"
        r"|The model's max seq len .* is larger than the maximum number of tokens.*"
        r"|No available memory for the cache blocks.*)",
        "the memory left after loading the weights cannot hold one request: {what}",
        "Lower max-model-len in vllm_serve_args (the line gives the largest that fits), or raise "
        "gpu-memory-utilization",
        "vllm 0.13.0, v1/core/kv_cache_utils.py",
        detail=r"available KV cache memory \([^)]*\)",
    ),
    _signature(
        "moe_dispatch_resources",
        r"EI0007.*resource\[qp\]|Memory resources are exhausted",
        "the MC2 operators of expert parallelism got no queue pairs or memory on the NPUs",
        "Lower gpu-memory-utilization in vllm_serve_args, and set both HCCL_INTRA_PCIE_ENABLE=1 and "
        "HCCL_INTRA_ROCE_ENABLE=0 in vllm_serve_env",
        ISSUE + "5947",
        codes={"EI0011": "Resource_Error_Insufficient_Device_Memory"},
    ),
    _signature(
        "mc2_group_missing",
        r"MC2 group metadata unavailable",
        "expert parallelism has no communication group for MC2",
        "Look for an earlier error of HCCL. To do without MC2, remove enable_fused_mc2 from additional-config, and "
        "VLLM_ASCEND_ENABLE_FUSED_MC2 from vllm_serve_env",
        "vllm-ascend, quantization/methods/w8a8_dynamic.py",
        kind=SUSPECT,
    ),
    _signature(
        "hccl_resources",
        "",
        "HCCL got no resource on the NPUs: {what}",
        "Lower gpu-memory-utilization in vllm_serve_args, and check that nothing else uses the NPUs "
        "(`npu-smi info`)",
        HCCL,
        codes={"EI0007": "Resource_Error, resources are exhausted"},
        detail=r"resource ?\[\w+\]",
    ),
    _signature(
        "hccl_buffer_too_small",
        r"HCCL_BUFFSIZE\w* is too (?:SMALL|small)(?:.*NEEDED_HCCL_BUFFSIZE.*= ?(?P<what>\d+ ?MB), HCCL_BUFFSIZE)?",
        "HCCL_BUFFSIZE is smaller than expert parallelism needs ({what})",
        "Set HCCL_BUFFSIZE in vllm_serve_env to at least that many MB (512, 1024) on all hosts",
        "https://github.com/vllm-project/vllm-ascend/pull/5287",
    ),
    _signature(
        "streams_exhausted",
        r"has insufficient available streams to capture|Insufficient_Stream_Resources|Alloc sq cq fail",
        "the NPU has too few streams for the graphs to capture",
        "Capture fewer graphs (compilation-config with cudagraph_mode FULL_DECODE_ONLY in vllm_serve_args), "
        "and keep HCCL_OP_EXPANSION_MODE=AIV",
        ISSUE + "3869",
        codes={
            "207005": "a resource such as a stream cannot be allocated",
            "207007": "too few events",
            "207008": "too few streams",
            "207009": "too few notifies",
            "EL0008": "Insufficient_Event_Resources",
            "EL0009": "Insufficient_Stream_Resources",
            "EL0010": "Insufficient_Notify_Resources",
        },
    ),
    _signature(
        "graph_capture",
        r"the current capture mode does not support this operation|(?P<what>Not allow to \w+ captured?-stream)",
        "the graphs could not be captured ({what}): an operation of this model or configuration does not fit graph mode, or "
        "memory is tight",
        "Set `enforce-eager: true` in vllm_serve_args. To keep the graphs, try a lower gpu-memory-utilization there, without "
        "ASCEND_LAUNCH_BLOCKING in vllm_serve_env, or use a newer vllm_release",
        ISSUE + "6002",
        codes={
            "107024": "an event wait without its record in the captured graph",
            "107025": "a stream was not joined at the end of the capture",
            "107026": "the model is captured already",
            "107027": "the stream is captured already",
            "107028": "the event is captured already",
            "107029": "the stream is not being captured",
            "107030": "the capture mode does not support this operation",
            "107031": "the default stream cannot be captured",
            "107032": "event and stream belong to different captures",
            "107033": "the task group is in a wrong state",
            "107034": "the recording of a task group was interrupted",
            "107036": "the capture was not begun",
            "107038": "the capture ended in another thread",
            "507903": "the capture is invalid",
        },
    ),
    _signature(
        "shm_refused",
        r"(?:shm|/dev/shm)\b.*[Oo]peration not permitted|[Oo]peration not permitted.*\bshm",
        "Docker cannot give the container its shared memory on this host",
        "Set vllm_container_shm_size to what the host allows. A privileged container avoids this limit, at "
        "a risk",
        "https://vllm-ascend.readthedocs.io, FAQ 21",
    ),
    _signature(
        "runtime_hook",
        r"failed to mount src: (?P<what>[^\s,]+?)\.(?=failed|\s|$)",
        "Ascend's Docker runtime cannot mount {what} into the container",
        "This collection does not need that runtime: remove it from default-runtime in /etc/docker/daemon.json and restart "
        "Docker, or check that the path exists on the host and can be mounted",
        "https://github.com/google-deepmind/alphafold/issues/1073",
    ),
    # Driver, CANN and devices.
    _signature(
        "library_missing",
        r"(?P<what>lib(?:ascend|hccl|atb|ge_|runtime)\w*\.so[\w.]*): cannot open shared object file",
        "the container lacks the library {what}",
        "Check that the driver is mounted into the container, and that vllm_serve_env_scripts are those of "
        "the image",
        ISSUE + "1440",
    ),
    _signature(
        "library_absent",
        r"(?:ImportError|^OSError): (?P<what>[\w./+-]+\.so[\w.]*): cannot open shared object file"
        r"|error while loading shared libraries: (?P<what2>[^:]+)",
        "a library that the program needs is not found: {what}",
        "Check that vllm_serve_env_scripts are those of the image, and that LD_LIBRARY_PATH in vllm_serve_env does not replace "
        "the image's (`docker exec CONTAINER find / -name LIBRARY` shows where it is)",
        ISSUE + "6949",
        kind=RAISED,
    ),
    _signature(
        "no_device",
        r"Current node has no NPU available",
        "vLLM found no NPU in the container",
        "Check the container's devices and driver mounts, and `npu-smi info` inside it",
        ISSUE + "8306",
    ),
    _signature(
        "plugin_failed",
        r"Failed to load plugin (?P<what>ascend\w*)",
        "vLLM cannot load its plugin `{what}`",
        "Use the image that the profile names without changes: vllm and vllm-ascend of another release do not fit together. "
        "`docker exec CONTAINER python -c 'import torch_npu, vllm_ascend'` shows what fails",
        ISSUE + "3403",
        kind=SUSPECT,
        detail=r"^(?:\w+\.)*[A-Z]\w*(?:Error|Exception): .+",
    ),
    _signature(
        "platform_missing",
        r"Failed to infer device type",
        "vLLM found no platform to run on, because vLLM-Ascend was not loaded",
        "Look at the lines before this one for a failed import. Check the driver mounts of the container, and that VLLM_PLUGINS "
        "is not in vllm_serve_env. `docker exec CONTAINER python -c 'import torch_npu, vllm_ascend'` shows what fails",
        ISSUE + "540",
        kind=UNCLEAR,
    ),
    _signature(
        "device_unavailable",
        r"dcmi (?:module|model) initiali\w+ failed.*ret is (?P<what>-\d+)"
        r"|Set visible device failed, (?P<what2>invalid device=\d+)|\brt[A-Z]\w+.*device id error"
        r"|open device (?P<what3>\d+) failed|TsdOpen failed|tsd client wait response fail"
        r"|(?P<what4>drvRetCode=87|Get physical device number failed, err: \d+)|get device count failed"
        r"|set (?P<what5>ASCEND_RT_VISIBLE_DEVICES:\S+) error"
        r"|(?P<what6>\blocal_world_size .* visible devices \(\d+\)|adjusted local rank \d+ is out of bounds.*)"
        r"|adding custom device \"(?P<what7>/dev/[^\"]+)",
        "an NPU cannot be used ({what}): the container does not have it, another container or a leftover "
        "process uses it, or "
        "it does not exist",
        "Compare vllm_npu_ids with `npu-smi info -m`. Stop what else uses the NPUs (`npu-smi info` lists "
        "processes, "
        "`docker ps` containers). Remove ASCEND_RT_VISIBLE_DEVICES from vllm_serve_env, or count the container's NPUs from 0 "
        "there. Check /dev/davinci*, /dev/davinci_manager, /dev/devmm_svm and "
        "/dev/hisi_hdc, and reboot "
        "if the driver was just upgraded",
        ISSUE + "2698",
        codes={
            "107001": "the device number is invalid",
            "200002": "the device is invalid",
            "207004": "the device is not available",
            "507033": "the device cannot be started",
            "EL0002": "Invalid_Device_ID",
            "EL0020": "the NPU is occupied",
            "EL0005": "Resource_Busy",
            "E30005": "Device_Connection_Failure",
            "E30003": "Not_Supported_Specification: too many user processes on the NPU",
            "E39002": "Inner_Error_Driver_API_Call_Failed: the NPUs cannot be listed",
            "E39005": "Inner_Error_TSDaemon_Process_Abnormal",
            "E39007": "Inner_Error_Device_Subprocess_Startup_Timeout",
            "E39009": "Inner_Error_Device_Status_Abnormal",
        },
        detail=r"ASCEND_RT_VISIBLE_DEVICES:\S+ error.*",
    ),
    _signature(
        "device_abnormal",
        "",
        "an NPU is absent or abnormal: {what}",
        "Look for another code in the lines after this one. Without one: compare vllm_npu_ids with `npu-smi info -m`, run "
        "`npu-smi info -t health -i N` for each NPU and look at `dmesg`",
        ISSUE + "8186",
        kind=UNCLEAR,
        codes={"EL0001": "Device_Absent/Abnormal"},
    ),
    _signature(
        "npu_lost",
        r"(?P<what>Device\[\d+\] lost heartbeat)|reason=\[?lost heartbeat",
        "an NPU does not respond: {what}",
        "Run `npu-smi info -t health -i N` for each NPU and look at `dmesg`. Reboot the host",
        ACL,
        codes={
            "507010": "the task scheduler lost its heartbeat",
            "507012": "no message from the task scheduler",
            "507901": "the connection between host and device (HDC) is closed",
        },
    ),
    _signature(
        "wrong_chip",
        r"(?P<what>socversion \S+ of bin package does not match the current device socverison \w+)"
        r"|(?P<what2>(?:Can not support|Unsupported) soc[_ ]version\S*(?: [\w ]+)?)"
        r"|(?P<what3>Current device type: .* does not match the installed version's device type: \S+)",
        "the image is for another Ascend chip than this host has: {what}",
        "Use the image for this NPU generation (image tags end in -a3, -310p; without suffix they are for "
        "A2). "
        "`npu-smi info` names the chip",
        ISSUE + "2725",
        codes={"507008": "the chip's version cannot be read", "EF0001": "Invalid_Argument_SOC_Version"},
    ),
    _signature(
        "kernels_missing",
        r"AclOpKernelInit failed|Parse dynamic kernel config fail|(?P<what>Op \w+ does not has any binary)",
        "CANN in the image has no kernels for this chip ({what})",
        "Use the image for this NPU generation, and vllm_serve_env_scripts of that image",
        ISSUE + "10640",
        codes={
            "148049": "ASCEND_OPP_PATH is not set, or wrong",
            "561003": "a kernel was not found; its package may not be installed",
            "561103": "a null pointer inside the operator's API",
            "561107": "ASCEND_OPP_PATH is not set",
            "561108": "the kernel's JSON file cannot be loaded",
            "561112": "the package of kernels was not found",
            "561113": "the kernel's JSON file is invalid",
            "E30006": "Package_Error_Verify_OPP",
            "E30009": "Package_Error_Verify_Package",
            "E39006": "Inner_Error_Failed_Send_OPP_To_Device",
            "E39011": "Inner_Error_Failed_Load_Package_To_Device",
            "EE1008": "Execution_Error_Load_OP_Kernel",
            "EZ0501": "Unsupported_Operator",
            "EZ1002": "Config_Error_Invalid_Environment_Variable",
            "EZ3002": "Unsupported_Operator",
            "EZ3003": "Unsupported_Operator",
            "EZ9010": "Unsupported_Operator",
        },
        detail=r"[Oo]p ?type ?\[?\w+\]?",
    ),
    _signature(
        "compiler_not_started",
        r"AclSetCompileopt.*500001",
        "CANN could not start its compiler for operators",
        "Look at the lines after this one, and at CANN's own log (`diagnose.yml` reads it). If a Python package is missing "
        "there, use the image that the profile names without changes. If the chip's platform cannot be read, run the preflight "
        "stage (site.yml --tags preflight), which compares driver and firmware with the profile, and use the image for this "
        "NPU generation",
        ISSUE + "2244",
        kind=UNCLEAR,
        detail=r"No module named '?[\w.]+|init runtime platform info failed, SocVersion = \w+",
    ),
    _signature(
        "driver_mismatch",
        "",
        "the CANN of the image does not match the driver, firmware or chip of this host: {what}",
        "Run the preflight stage (site.yml --tags preflight). It compares driver and firmware with the "
        "profile. Use the image for this NPU generation",
        ISSUE + "2244",
        codes={
            "207019": "the driver is too old to update an operator",
            "EL0014": "Operation_Unsupported by this driver",
            "EE1015": "Package_Error_Incorrect_Driver_Version",
        },
    ),
    _signature(
        "bad_config",
        r"validation errors? for \w*(?:Config|Args)\b:? (?P<what>.*?)(?: \[type=|$)"
        r"|(?P<what2>EPLB (?:must used|not support) .*|HCCL_BUFFSIZE should be .*"
        r"|data_parallel_\w+(?: or node_rank)? (?:must be|can only be) .*"
        r"|flash_common3 context is required.*|Failed to load LogitsProcessor plugin .*)"
        r"|ValueError: (?P<what3>.* must be divisible by .*|.*max_model_len.* (?:greater|larger) than .*"
        r"|The (?:in|out)put size is not aligned with the quantized weight shape.*)",
        "vLLM rejects its configuration: {what}",
        "Correct the setting in vllm_serve_args or vllm_serve_env that the line names. If it is none of yours, the model's "
        "files or the image "
        "do not fit: run the weights stage and use the image that the profile names",
        "vllm 0.13.0, config; pydantic",
    ),
    _signature(
        "operator_failed",
        r"call (?P<what>aclnn\w+) failed|HcclAllocComResourceByTiling .*ret = (?P<what2>\d+)"
        r"|failed while attempting to run meta for (?P<what3>npu\.\w+)"
        r"|current (?:working operator name is (?P<what4>\w+)|(?P<what6>copy params are [\w=, ]+))|(?P<what5>\w+) do tiling failed",
        "an operator could not be run on the NPU: {what}",
        "This line does not say why: look for the code in the lines after it, and for an earlier error on "
        "the other hosts. "
        "For 561002 of a MoeDistribute operator, try a larger HCCL_BUFFSIZE in vllm_serve_env; of another one, a newer "
        "vllm_release",
        ISSUE + "9872",
        kind=SYMPTOM,
        codes={
            "161001": "a parameter is a null pointer",
            "161002": "a parameter is invalid",
            "361001": "a call of the runtime failed",
            "561000": "internal error of the operator's API",
            "561001": "the shape of the output cannot be computed",
            "561002": "the kernel cannot be tiled",
            "561101": "the executor cannot be created",
            "561102": "the executor was not released",
            "EZ0001": "Invalid_Input_Shape",
            "EZ0002": "Invalid_Attr",
            "EZ0003": "Invalid_Attr_Size",
            "EZ0004": "Invalid_Input",
            "EZ0005": "Invalid_Input_ShapeSize",
            "EZ0006": "Invalid_Input_Format",
            "EZ0007": "Invalid_Input_Dtype",
            "EZ1001": "AclNN_Parameter_Error",
            "EZ9903": "AclNN_Runtime_Error",
        },
        detail=r"op\[\w+\], [^\[]*[^\[ ]|AclNN_\w+\(EZ\w+\): .*|When \w+ dtype is .*"
        r"|(?<=9999\):  )\S.+?(?=\[FUNC:\w+\]\[FILE:\w+_tiling)",
    ),
    _signature(
        "cann_error",
        "",
        "CANN reports an error: {what}",
        "Look at the lines after this one, and at CANN's own log in the container (`docker exec CONTAINER "
        "ls -t "
        "/root/ascend/log/debug/plog`). The other hosts may have an earlier error",
        CANN,
        kind=SYMPTOM,
        codes={
            "107000": "a parameter is invalid",
            "107002": "the context is null: no device was set",
            "107003": "the stream is not in this context",
            "107004": "the model is not in this context",
            "107005": "the stream is not in this model",
            "107006": "the time of an event is invalid",
            "107007": "the time of an event is reversed",
            "107008": "a memory address is not aligned",
            "107009": "a file cannot be opened",
            "107010": "a file cannot be written",
            "107011": "a stream is not subscribed, or twice",
            "107012": "a thread is not subscribed, or twice",
            "107013": "the group is not set",
            "107014": "the group was not created",
            "107015": "the callback's stream is not registered",
            "107016": "the type of memory is invalid",
            "107017": "a handle is invalid",
            "107018": "the type of allocation is invalid",
            "107021": "a system parameter is not set",
            "107022": "the device's tasks are being aborted",
            "107023": "the stream's tasks are being cleared",
            "107037": "the model is running and cannot be destroyed",
            "207000": "the feature is not supported",
            "207002": "memory cannot be freed",
            "207003": "an AI Core operator overflowed",
            "207006": "no permission",
            "207010": "too few model resources",
            "207011": "too few resources of the runtime",
            "207012": "too many queues",
            "207013": "a queue is empty",
            "207014": "a queue is full",
            "207015": "a queue is initialized twice",
            "500000": "unknown internal error",
            "500001": "internal error",
            "500002": "error of the graph engine",
            "500003": "error of the runtime",
            "500004": "error of the driver",
            "500005": "error of the profiler",
            "507000": "internal error of the runtime",
            "507002": "the stream is full",
            "507003": "the stream has no task",
            "507004": "tasks of the stream are not done",
            "507005": "the AI CPU has ended the task",
            "507006": "the event is not complete",
            "507007": "the context cannot be released",
            "507009": "the type of a task is not supported",
            "507019": "the AI CPU does not answer after a dump",
            "507020": "the AIPP unit does not answer",
            "507021": "error of the profiler",
            "507022": "error between processes",
            "507023": "the model exited",
            "507024": "the operator is being unregistered",
            "507025": "the ring buffer is not initialized",
            "507026": "the ring buffer has no data",
            "507027": "a kernel of the runtime is not registered",
            "507028": "a kernel of the runtime is registered twice",
            "507029": "the debugger cannot be registered",
            "507030": "the debugger cannot be unregistered",
            "507031": "a label is not in this context",
            "507032": "too many programs",
            "507037": "internal resources cannot be allocated",
            "507038": "the mode of the dies cannot be changed",
            "507039": "a die is named in the mode for single dies",
            "507040": "the number of the die is wrong",
            "507041": "the mode of the dies is not set",
            "507051": "a message cannot be sent to a queue",
            "507052": "a copy to a queue failed",
            "507899": "internal error of the driver",
            "507900": "internal error of the AI CPU",
            "507902": "the AI CPU cannot be scheduled",
            "E19999": "Inner_Error of the graph engine",
            "E30004": "NN_Process_Bin_Error",
            "E30007": "Cgroup_Add_Failure",
            "E39001": "Invalid_Argument of the AI CPU",
            "E39004": "Inner_Error_AICPU_Scheduler_Init_Failed",
            "E39008": "Inner_Error_Verify_NN_Process_Binary",
            "E39010": "Inner_Error_Cgroup_Add_Failed",
            "EE1001": "Invalid_Argument of the runtime",
            "EE1003": "Invalid_Argument of the runtime",
            "EE1004": "Invalid_Argument_Null_Pointer",
            "EE1005": "Not_Supported",
            "EE1006": "Not_Supported",
            "EE1007": "Resource_Error_Bind_Stream",
            "EE1010": "Execution_Error_Invalid_Context",
            "EE1011": "Invalid_Argument of the runtime",
            "EE1012": "Invalid_Argument of the runtime",
            "EE1014": "File_Operation_Error_Parse of an operator's binary",
            "EE1016": "Not_Supported",
            "EE1017": "Invalid_Argument of the runtime",
            "EE1018": "Invalid_Argument_API_Call_Sequence",
            "EE1019": "Execution_Error of the runtime",
            "EE1020": "Invalid_Argument: a function of the system failed",
            "EE1021": "Resource_Error: a thread or another resource of the host cannot be created",
            "EE1022": "Invalid_Argument of the runtime",
            "EE1023": "Resource_Error of the runtime",
            "EE2002": "Config_Error_Invalid_Environment_Variable",
            "EE4001": "Model_Binding_Errors",
            "EE4002": "Model_Unbinding_Errors",
            "EE4004": "Profiling_Enable_Errors",
            "EE9999": "Inner_Error of the runtime",
            "EH0001": "Invalid_Argument of ACL",
            "EH0002": "Invalid_Argument_Null_Pointer",
            "EH0003": "File_Operation_Error_Invalid_Path",
            "EH0004": "File_Operation_Error",
            "EH0005": "Invalid_Argument of ACL",
            "EH0006": "Not_Supported",
            "EH0007": "Invalid_Argument of ACL",
            "EH0008": "Invalid_Argument_Null_Pointer",
            "EH0009": "Invalid_Argument of ACL",
            "EH0011": "Not_Supported by this system or device",
            "EH0012": "Invalid_Argument of ACL",
            "EH0013": "Invalid_Argument: a function of the system failed",
            "EH0014": "Invalid_Argument_Null_Pointer",
            "EH9999": "Inner_Error of ACL",
            "EI9999": "Inner_Error of HCCL",
            "EJ9999": "Inner_Error of HCCP",
            "EL0003": "Invalid_Argument of the driver; it accompanies other errors",
            "EL0006": "Insufficient_Resources",
            "EL0007": "No_Permission",
            "EL0011": "Insufficient_Model_Resources",
            "EL0012": "Full_Service_Queue",
            "EL0013": "Insufficient_CDQM_Resources",
            "EL0016": "Invalid_Argument of the driver",
            "EL0017": "Invalid_Argument_Null_Pointer",
            "EL0021": "Not_Supported by the driver",
            "EL9999": "Inner_Error of the driver",
            "EZ2001": "Execution_Error: a fault of the system",
            "EZ9999": "AclNN_Inner_Error",
        },
    ),
    # While it serves.
    _signature(
        "worker_hangs",
        r"No available shared memory broadcast block found",
        "the worker processes wait for one of them; this is normal while weights load and graphs compile, "
        "and a hang if it lasts many minutes",
        "If it lasts, look at the other hosts' logs, the RoCE links, and the container's shared memory "
        "(vllm_container_shm_size)",
        ISSUE + "3717",
        kind=WARNING,
    ),
    _signature(
        "tool_call_lost",
        r"Failed to extract tool call spec|TypeError: expected string or buffer",
        "a tool call of the model could not be parsed, and reached the client as plain text",
        "Run the patch stage (site.yml --tags patch) with vllm_patch_repairs true, and check that "
        "tool-call-parser is glm47",
        "https://github.com/vllm-project/vllm/issues/32436",
        kind=WARNING,
    ),
    _signature(
        "thinking_field",
        r"(?:KeyError:|has no attribute|no field) .reasoning(?:_content)?\b",
        "a client reads the thinking from a field that this vLLM does not have",
        "Read the field `reasoning`, or `reasoning_content` where older versions lack it",
        "https://github.com/vllm-project/vllm/issues/27755",
        kind=WARNING,
    ),
    _signature(
        "structured_output",
        r"No valid structured output parameter found|JSON schema contains features not supported by (?P<what>\w+)",
        "a request for structured output cannot be served: {what}",
        "If the engine ended with it, use a newer vllm_release, or choose another backend with structured-outputs-config in "
        "vllm_serve_args",
        ISSUE + "5148",
        kind=RAISED,
    ),
    # Supervisors and exits.
    _signature(
        "supervisor_key",
        r"^\[supervisor\] .*(?P<what>wrong signature)",
        "a supervisor with another key wants to join",
        "If the line names a host of this service, run stop.yml, then start.yml, which gives all hosts a new key. "
        "If it names another one, remove the container there",
        SUPERVISOR,
        kind=WARNING,  # a host that has left the service keeps trying, and any stranger may
    ),
    _signature(
        "supervisor_failed",
        r"^\[supervisor\] (?:stopping: the supervisor failed|cannot start): (?P<what>.+)",
        "the supervisor of this host cannot work: {what}",
        "Check that vllm_service_ip is an address of this host and that vllm_supervisor_port is free. Then "
        "run site.yml",
        SUPERVISOR,
    ),
    _signature(
        "vllm_not_started",
        r"^\[supervisor\] stopping: cannot start vLLM: (?P<what>.+)",
        "this host cannot start another process: {what}",
        "Look at the limits of the container and of the host: processes (`systemctl show docker -p TasksMax`), open files "
        "(vllm_container_ulimits) and memory (`free -h`)",
        SUPERVISOR,
    ),
    _signature(
        "vllm_killed",
        r"^\[supervisor\] stopping: vLLM on host \d+ exited with code (?P<what>-9|137)"
        r"|Failed core proc\(s\): \{.*'EngineCore\w*': (?P<what2>-9)\b"
        r"|Process \w+ \(PID: \d+\) died with exit code (?P<what3>-9)\b",
        "vLLM on this host was killed (exit code {what})",
        "Run `dmesg`: it shows whether the kernel killed it for lack of memory. If not, another process "
        "sent the signal",
        SUPERVISOR,
    ),
    _signature(
        "engine_hangs",
        r"^\[supervisor\] stopping: (?P<what>engines? [\d, ]+ hangs?)\b",
        "{what}: the processes live, but compute nothing",
        "Look at the NPUs (npu-smi info) and at the fabric between the hosts. If the engine is only slow, "
        "raise vllm_supervisor_probe_seconds. If it compiles before its first answer, raise "
        "VLLM_EXECUTE_MODEL_TIMEOUT_SECONDS in vllm_serve_env",
        SUPERVISOR,
    ),
    _signature(
        "crashed",
        r"Fatal Python error: (?P<what>\w[\w ]+(?:: \w[\w ]+)?)|!!!!!!! (?P<what2>Segfault) encountered"
        r"|line \d+: +\d+ (?P<what3>Segmentation fault|Illegal instruction|Killed|Aborted)\b"
        r"|^(?P<what4>Segmentation fault|Illegal instruction)\b"
        r"|^\[supervisor\] stopping: vLLM on host \d+ (?P<what5>exited with code -(?:4|7|8|11))\b"
        r"|(?P<what6>Failed core proc\(s\): \{.*'EngineCore\w*': -(?:4|6|7|8|11)\b[^}]*\}"
        r"|Process \w+ \(PID: \d+\) died with exit code -(?:4|6|7|8|11)\b)",
        "a process of vLLM crashed below Python: {what}",
        "Look at the frames after this line and at `dmesg`: an NPU fault or lack of memory shows there. If "
        "it comes again, "
        "use the image that the profile names without changes. An illegal instruction (code -4) means that this CPU is older "
        "than the image's PyTorch needs",
        ISSUE + "16342",
        kind=UNCLEAR,
    ),
    _signature(
        "worker_died",
        r"(?:Worker ?[Pp]roc|Engine core proc) (?P<what>\S+) died unexpectedly"
        r"|Worker (?P<what2>VllmWorkerProcess pid \d+) died, exit code: (?!-15)"
        # Of Ray, whose next lines name the host.
        r"|(?P<what3>actor|worker) died (?:unexpectedly before finishing this task|or was killed while executing a task)",
        "{what} of this host was killed, or crashed without a message",
        "Run `dmesg -T | tail -50`: it shows whether the kernel killed it for lack of memory, or an NPU "
        "failed. Then look for "
        "`Segfault` in the log, and at `docker exec CONTAINER df -h /dev/shm`",
        VLLM + "20657",
        kind=UNCLEAR,
    ),
    _signature(
        "other_host_failed",
        r"^\[supervisor\] stopping: "
        r"(?P<what>(?:the head|host \d+) (?!sent no heartbeat)(?!.*the container was stopped).*)",
        "this host stopped together with the others: {what}",
        "Look at the log of that host",
        SUPERVISOR,
        kind=PEER,
    ),
    _signature(
        "host_silent",
        r"^\[supervisor\] stopping: (?:.* reported: )?"
        r"(?P<what>(?:the head|host \d+) sent no heartbeat for \d+ s)",
        "the hosts lost contact: {what}",
        "Check that this host runs, and the network between the hosts. A larger vllm_supervisor_grace "
        "tolerates longer outages",
        SUPERVISOR,
        kind=PEER,
    ),
    _signature(
        "no_link_to_head",
        r"^\[supervisor\] cannot connect to the head at (?P<what>.+); retrying",
        "the supervisor of this host cannot connect to the head: {what}",
        "Check that the head's container runs, and that the firewall lets this host reach "
        "vllm_supervisor_port of the head",
        SUPERVISOR,
        kind=WARNING,
    ),
    _signature(
        "stopped",
        r"^\[supervisor\] stopping: (?:.* reported: )?the container was stopped",
        "the service was stopped on purpose (`docker stop`, stop.yml, or a shutdown of the host)",
        "Run start.yml to start it again",
        SUPERVISOR,
        kind=WARNING,
    ),
    _signature(
        "keeps_failing",
        r"^\[supervisor\] keeps failing: (?P<what>\d+ generations in a row) failed",
        "the service keeps failing: {what}",
        "Fix what the earlier log names (`docker logs`). To start at once, run start.yml",
        SUPERVISOR,
        kind=ECHO,
    ),
    _signature(
        "vllm_exited",
        r"^\[supervisor\] stopping: vLLM on host (?P<what>\d+ exited with code -?\d+)",
        "vLLM on host {what}",
        "Look at the lines before this one. If they show no error, vLLM was killed: `dmesg` shows whether "
        "the kernel did it for lack of memory",
        SUPERVISOR,
        kind=ECHO,
    ),
    _signature(
        "engine_failed",
        r"EngineCore failed to start|EngineCore encountered a fatal error|Engine core initialization failed"
        r"|EngineDeadError|WorkerProc failed to start|AsyncLLM output_handler failed|Engine background task failed"
        r"|Engine process failed to start|got fatal signal from worker processes"
        r"|Exception in worker VllmWorkerProcess while processing method|Error executing method '\w+'"
        r"|Engine core proc \S+ died unexpectedly|Process \w+ \(PID: \d+\) died with exit code [1-9]"
        r"|WorkerProc initialization failed due to an exception",
        "an engine of vLLM failed",
        "Look at the lines before this one",
        "vllm 0.13.0, v1/engine/core.py",
        kind=ECHO,
    ),
)

PARTS = tuple((part, index) for index, one in enumerate(SIGNATURES) for part in one.parts)
WARNING_PARTS = tuple((part, index) for part, index in PARTS if SIGNATURES[index].kind == WARNING)
BY_ID = {one.id: one for one in SIGNATURES}
OTHER = BY_ID["cann_error"]
# Of codes that are in no list: those of operators, and of what compiles them (FE, TE, TBE).
FAMILIES = (
    ("EZ", BY_ID["operator_failed"]),
    ("E89999", BY_ID["operator_failed"]),  # of its tiling
    *((family, BY_ID["operator_not_compiled"]) for family in ("E2", "E4", "E6", "E8", "E9")),
)
BY_CODE = {code: one for one in SIGNATURES for code in one.codes}
