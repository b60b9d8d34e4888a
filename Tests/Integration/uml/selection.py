"""What runs in the machine: every test of these modules, whether written for it (guest/) or for any host."""

import ast
import os
import pathlib

SUITE = pathlib.Path(__file__).resolve().parents[1]
IN_THE_MACHINE = "BERTH_IN_THE_MACHINE" in os.environ
MODULES = [
    "uml/guest/test_limits.py", "uml/guest/test_ownership.py", "uml/guest/test_delegation.py", "uml/guest/test_apparmor.py",
    "uml/guest/test_engine.py", "uml/guest/test_systemd.py", "uml/guest/test_podman.py", "uml/guest/test_network_devices.py",
    "runtime/test_cgroups.py", "runtime/test_control.py", "runtime/test_devices.py",
]  # fmt: skip


def selected():
    """`module::test` of all of them, in order; read, not imported."""
    found = []
    for module in MODULES:
        tree = ast.parse((SUITE / module).read_text())
        found += [f"{module}::{node.name}" for node in tree.body if isinstance(node, ast.FunctionDef) and node.name.startswith("test_")]
    return found
