# Copyright: (c) 2026, ascend_ops.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Why a download failed, by the message of what fetches the files, and what to do about it."""

from __future__ import annotations

from ansible_collections.ascend_ops.vllm.plugins.module_utils._text.causes import Cause, cause_in

AGAIN = "Complete files are kept"
# The first one that matches counts.
CAUSES = (
    Cause(
        r"Errno 28\b|No space left|Errno 122\b|Disk quota exceeded",
        "the disk is full",
        "space for the weights",
        f"Free some, or move O(dir) or O(cache_dir), and run again. {AGAIN}",
    ),
    Cause(
        r"Errno (?:5|116|117|121)\b|Input/output error|Stale file handle|Structure needs cleaning|Remote I/O error",
        "the disk or the share of a folder fails",
        "a healthy file system below O(dir) and O(cache_dir)",
        f"Check it on the host (dmesg, mount), and run again. {AGAIN}",
    ),
    Cause(
        r"Errno (?:27|36)\b|File too large|File name too long",
        "the file system of O(dir) does not take a file of that size or name",
        "one with files of many GB, such as ext4 or XFS, and no limit (ulimit -f)",
        f"Choose another O(dir), or move it. {AGAIN}",
    ),
    Cause(
        r"Errno (?:37|38)\b|No locks available",
        "the file system of O(cache_dir) has no locks, as NFS without its lock service",
        "a file system with locks",
        f"Choose a O(cache_dir) on a disk of the host, and run again. {AGAIN}",
    ),
    Cause(
        r"Errno (?:13|30)\b|Permission denied|Read-only file system",
        "a folder of the host cannot be written",
        "write access to O(dir) and O(cache_dir)",
        f"Correct owner, mode or mount, and run again. {AGAIN}",
    ),
    Cause(
        r"CERTIFICATE_VERIFY_FAILED|certificate verify failed",
        "the client does not trust the certificate of the hub or its CDN",
        "a certificate from an authority that it trusts",
        "If the authority is a company's own, or that of a proxy that inspects TLS, set O(ca_bundle) to a file "
        "with it, and with the public ones if not all connections are inspected",
    ),
    Cause(
        r"Proxy Authentication Required|\b407\b.*[Pp]roxy",
        "the proxy refuses the client",
        "a proxy that lets this host reach the hub and its CDN",
        "Correct user and password in O(proxy)",
    ),
    Cause(
        r"\b403 Client Error.* for url: \S*//[^/\s]*cdn",
        "the CDN refuses an address that the hub has just signed",
        "a correct clock on the host, and no proxy that changes URLs",
        f"Compare the clock with the hub's, check for a proxy in between, and run again. {AGAIN}",
        passes=True,
    ),
    Cause(
        r"\b40[13] Client Error|\b(?:Unauthorized|Forbidden)\b",
        "the hub refused to send a file",
        "a token that stays valid until the last file",
        f"Create a new one, set it as O(token), and run again. {AGAIN}",
    ),
    Cause(
        r"FetchError: .*\b404 Client Error",
        "the server does not have a file that it lists",
        "all files of the listing",
        f"Have the missing file put there, or leave it out with O(exclude), and run again. {AGAIN}",
    ),
    Cause(
        r"FetchError: .* its SHA-256 is ",
        "a file arrives with another content than the listing says",
        "the SHA-256 of the listing",
        "If there is a proxy or mirror in between, empty its cache. If the file itself differs, report it to those who "
        f"maintain the server, and run again. {AGAIN}",
    ),
    Cause(
        r"\b416 Client Error",
        "the server has less of a file than it lists, or a cache between answers for it",
        "the whole file",
        f"Run again later, or name the server itself in O(endpoint). {AGAIN}",
        passes=True,
    ),
    Cause(
        r"integrity check failed.* actual is e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
        "the hub or its CDN sends nothing for a file",
        "the content of the file",
        f"Look for a proxy in between, and run again later. {AGAIN}",
        passes=True,
    ),
    Cause(
        r"has no revision|NotExistError|\b404 Client Error",
        "the client does not find the revision, or a file of it",
        "a revision that this client takes; those before 1.38 take branches and tags, but no commit",
        "Set O(revision) to a branch or a tag, or use an image with a newer client",
    ),
    Cause(
        r"TypeError: .*max_workers",
        "the ModelScope client is too old",
        "the package modelscope 1.22 or newer",
        "Update it, or choose another O(image) or O(python)",
    ),
    Cause(
        r"NameResolutionError|Name or service not known|Temporary failure in name resolution",
        "a name of the hub or of its CDN cannot be resolved",
        "a name server that resolves both",
        f"Check the name servers of the host, and run again. {AGAIN}",
        passes=True,
    ),
    Cause(
        r"\b429\b.*(?:Client Error|Too Many)|Too Many Requests",
        "the hub limits the requests of this host",
        "an answer to each request",
        f"Lower O(workers), or run again later. {AGAIN}",
        passes=True,
    ),
    Cause(
        r"\b5\d\d Server Error|\bProxyError\b|Max retries exceeded|Connection(?:Error| refused|ResetError| broken)"
        r"|Connection (?:failed|aborted|reset)|[Tt]imed? ?out|Timeout|IncompleteRead|RemoteDisconnected"
        r"|ChunkedEncodingError|ProtocolError|Network is unreachable|No route to host",
        "the connection to the hub or to its CDN fails",
        "a connection to both: the files come from another host name than the hub's, which the message shows",
        "Allow both names in firewall, proxy and no_proxy, and run again. "
        f"If it is the hub, run again later. {AGAIN}",
        passes=True,
    ),
)


def cause_of(failure: str) -> Cause | None:
    """Return the cause of a failure of the client, None if it is of no known kind."""
    return cause_in(CAUSES, failure)
