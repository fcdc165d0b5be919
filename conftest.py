"""Options, profiles and the wiring; nothing else."""

import pytest

pytest.register_assert_rewrite("fixtures.plugin")

from fixtures import plugin  # noqa: E402
from reports import faults, terminal  # noqa: E402

pytest_plugins = ["fixtures.plugin"]


@pytest.hookimpl(tryfirst=True)  # a profile that is none is told before Hypothesis trips over it
def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "stages(*names): the stages that a test is about")
    config.addinivalue_line("markers", "forms(*names): the exported files that a test is about")
    config.addinivalue_line("markers", "contract(name): what a test compares on each input")
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
    """Tell a worker of pytest-xdist which run it belongs to, and the seed of its inputs."""
    session = node.config.stash[plugin.SESSION]
    node.workerinput["parity_run"] = str(session.scribe.folder)
    node.workerinput["parity_seed"] = session.plan.seed


@pytest.hookimpl(wrapper=True)
def pytest_pyfunc_call(pyfuncitem: pytest.Function):
    try:
        return (yield)
    except (AssertionError, BaseExceptionGroup) as error:
        if not (found := plugin.departures(error)):
            raise
    plugin.plainly(found)


@pytest.hookimpl(trylast=True)
def pytest_sessionfinish(session: pytest.Session) -> None:
    plugin.end(session.config)
    if not plugin.is_worker(session.config):
        run = session.config.stash[plugin.SESSION]
        run.told = faults.finish(run.scribe.folder, plugin.run_header(session.config))
        run.finished = terminal.finish(run.scribe.folder, plugin.run_header(session.config))
        if run.finished and run.finished.short and session.exitstatus == 0:
            session.exitstatus = pytest.ExitCode.TESTS_FAILED


def pytest_terminal_summary(terminalreporter, config: pytest.Config) -> None:
    run = config.stash[plugin.SESSION]
    summary = run.finished.summary() if run.finished else []
    for line in [*summary, *run.told]:
        terminalreporter.write_line(line)
