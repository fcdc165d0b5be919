"""What parity means: the vocabulary (numpy only) and, beside it, the layered tests."""

import os

# From 1.32 on onnxruntime's wheels report to Microsoft from import on, and keep a device's identity in
# the user's cache, unless they are told not to before they are imported. Nothing here uses the network.
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
