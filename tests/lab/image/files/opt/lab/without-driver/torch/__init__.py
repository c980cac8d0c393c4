"""What `import torch` does in the real serving image when the container has no NPU driver.

torch loads every backend that is installed beside it, here torch_npu, which needs a library of the driver. The serving
container of the lab has the real torch in a folder that comes earlier in Python's search path.
"""

import os

__version__ = "2.8.0"

if os.environ.get("TORCH_DEVICE_BACKEND_AUTOLOAD", "1") == "1":
    raise RuntimeError(
        "Failed to load the backend extension: torch_npu. "
        "You can disable extension auto-loading with TORCH_DEVICE_BACKEND_AUTOLOAD=0."
    ) from ImportError("libascend_hal.so: cannot open shared object file: No such file or directory")
