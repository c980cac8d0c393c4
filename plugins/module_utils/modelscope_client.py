# Copyright: (c) 2026, ascend_ops.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The program that runs the ModelScope client in the serving image.

It gets its orders, the token among them, as one line of JSON on standard input, and writes one line of JSON to standard
output: null, or why it failed. When standard input ends, whoever gave the orders is gone, and it ends too.
"""

from __future__ import annotations

import json
import os
import sys
import threading
from typing import Any, Mapping


def end_with_input() -> None:
    """Take this process down with the one that started it."""
    sys.stdin.read()
    os._exit(1)


def environment(orders: Mapping[str, Any]) -> dict[str, str]:
    """Return the variables that tell the client what its functions have no argument for."""
    return {
        **orders["proxies"],
        "HOME": orders["home"],
        "MODELSCOPE_CACHE": orders["cache_dir"],
        "MODELSCOPE_ENDPOINT": orders["endpoint"],
        "MODELSCOPE_DOMAIN": orders["endpoint"].split("://")[-1],  # the only one that older clients know
        "TQDM_DISABLE": "1",
    }


def download(orders: Mapping[str, Any]) -> None:
    """Log in and download, as the manual procedure does."""
    from modelscope.hub.api import HubApi  # type: ignore[import-not-found]
    from modelscope.hub.snapshot_download import snapshot_download  # type: ignore[import-not-found]

    if orders["token"]:
        HubApi().login(orders["token"])
    snapshot_download(
        orders["repo"],
        revision=orders["revision"],
        cache_dir=orders["cache_dir"],
        local_dir=orders["dir"],
        allow_patterns=orders["patterns"],
        max_workers=orders["workers"],
    )


def main() -> None:
    """Carry out the orders. What the client prints goes to standard error."""
    answer = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    orders = json.loads(sys.stdin.readline())
    threading.Thread(target=end_with_input, daemon=True).start()
    os.environ.update(environment(orders))
    try:
        download(orders)
        failure = None
    except Exception as error:
        failure = f"{type(error).__name__}: {error}"
    answer.write(json.dumps(failure) + "\n")
    answer.flush()


if __name__ == "__main__":
    main()
