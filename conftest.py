"""In a checkout the suite is loaded from here; every hook is in the plugin."""

pytest_plugins = ["dinov3_parity.fixtures.pytest_plugin.hooks"]
