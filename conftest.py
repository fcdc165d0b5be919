"""Options, profiles and the wiring; nothing else."""

import pytest

pytest.register_assert_rewrite("fixtures.plugin")

from fixtures import plugin  # noqa: E402
from reports import terminal  # noqa: E402

pytest_plugins = ["fixtures.plugin"]


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "stages(*names): the stages that a test is about")
    config.addinivalue_line("markers", "forms(*names): the exported files that a test is about")
    plugin.configure(config)


def pytest_report_header(config: pytest.Config) -> list[str]:
    return plugin.header(config)


def pytest_itemcollected(item: pytest.Item) -> None:
    plugin.itemcollected(item)


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    plugin.in_pipeline_order(config.stash[plugin.SESSION], items)


def pytest_collection_finish(session: pytest.Session) -> None:
    if not session.config.option.collectonly:
        plugin.begin(session.config, session.items)


@pytest.hookimpl(optionalhook=True)
def pytest_configure_node(node) -> None:
    """Tell a worker of pytest-xdist which run it belongs to."""
    node.workerinput["parity_run"] = str(node.config.stash[plugin.SESSION].scribe.folder)


@pytest.hookimpl(trylast=True)
def pytest_sessionfinish(session: pytest.Session) -> None:
    plugin.end(session.config)
    if not plugin.is_worker(session.config):
        run = session.config.stash[plugin.SESSION]
        run.reported = terminal.finish(run.scribe.folder, plugin.run_header(session.config))


def pytest_terminal_summary(terminalreporter, config: pytest.Config) -> None:
    run = config.stash[plugin.SESSION]
    for line in terminal.summary(run.scribe.folder) if run.reported else ():
        terminalreporter.write_line(line)
