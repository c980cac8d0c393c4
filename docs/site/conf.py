# Copyright: (c) 2026, ascend_ops.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Settings of Sphinx for `make site`. Its source directory is the checkout, so that relative links work as they are."""

from __future__ import annotations

from pathlib import Path

from docutils.nodes import Element, reference

project = "ascend_ops.vllm"
copyright = "ascend_ops.vllm contributors"  # noqa: A001 the name that Sphinx reads
extensions = ["myst_parser", "sphinxcontrib.mermaid", "sphinx_antsibull_ext"]
root_doc = "README"
include_patterns = ["*.md", "docs/**", "roles/*/README.md"]
exclude_patterns = [".*", "collections", "docs/site", "tests"]
html_theme = "sphinx_ansible_theme"
html_title = project
html_show_sphinx = False
html_use_index = False
html_copy_source = False
pygments_style = "ansible"
myst_heading_anchors = 4
myst_fence_as_directive = ["mermaid"]

ANSIBLE = "https://docs.ansible.com/projects/ansible/latest"
ANSIBLE_PAGES = {
    "action_plugins": "plugins/action",
    "ansible_configuration_settings": "reference_appendices/config",
    "common_return_values": "reference_appendices/common_return_values",
}


def add_contents(app, name: str, text: list[str]) -> None:
    """Add the table of contents to README.md. The repository's web pages would show it as code."""
    if name == root_doc:
        text[0] += Path(app.confdir, "contents.md").read_text(encoding="utf-8")


def link_to_ansible(app, env, node: Element, content: Element) -> Element | None:
    """Link what the reference mentions of Ansible and of other collections to Ansible's web site."""
    target = node.get("reftarget", "")
    if target.startswith("ansible_collections."):
        page = "/".join(["collections", *target.split("__")[0].split(".")[1:]])
    elif target in ANSIBLE_PAGES:
        page = ANSIBLE_PAGES[target]
    else:
        return None
    return reference("", "", content, internal=False, refuri=f"{ANSIBLE}/{page}.html")


def setup(app) -> None:
    app.connect("source-read", add_contents)
    app.connect("missing-reference", link_to_ansible)
