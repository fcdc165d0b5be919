"""Options, profiles and the wiring; nothing else."""

import pytest

#: The matrix runs in environments of its own; see tox.ini.
collect_ignore = ["parity/cells"]

pytest_plugins = [
    "dinov3_parity.fixtures.pytest_plugin.options", "dinov3_parity.fixtures.pytest_plugin.collection", "dinov3_parity.fixtures.pytest_plugin.fixtures", "dinov3_parity.fixtures.pytest_plugin.snapshots",
]  # fmt: skip
pytest.register_assert_rewrite(*pytest_plugins)

from dinov3_parity.fixtures.pytest_plugin import collection, fixtures, lifecycle, options, outcomes  # noqa: E402
from dinov3_parity.fixtures.pytest_plugin.session import SESSION, is_worker  # noqa: E402
from dinov3_parity.parity.errors import ParityError  # noqa: E402
from dinov3_parity.reports.pages import faults
from dinov3_parity.reports.texts import terminal  # noqa: E402


@pytest.hookimpl(tryfirst=True)  # a profile that is none is told before Hypothesis trips over it
def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "stages(*names): the stages that a test is about")
    config.addinivalue_line("markers", "forms(*names): the exported files that a test is about")
    config.addinivalue_line("markers", "contract(name): what a test compares on each input")
    config.addinivalue_line("markers", "full: every block of every variant; selected by -m full")
    options.configure(config)


def pytest_report_header(config: pytest.Config) -> list[str]:
    return lifecycle.header(config)


@pytest.hookimpl(wrapper=True)
def pytest_pycollect_makeitem():
    return collection.of_a_variant((yield))


def pytest_itemcollected(item: pytest.Item) -> None:
    collection.itemcollected(item)


@pytest.hookimpl(tryfirst=True)  # before -k and -m take any away
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    collection.in_pipeline_order(config.stash[SESSION], items)


@pytest.hookimpl(tryfirst=True)
def pytest_collection_finish(session: pytest.Session) -> None:
    if not is_worker(session.config):
        try:
            collection.check(session.config, session.items)
        except ParityError as error:
            raise pytest.UsageError(str(error)) from None
    if not session.config.option.collectonly:
        lifecycle.begin(session.config, session.items)


@pytest.hookimpl(optionalhook=True)
def pytest_configure_node(node) -> None:
    """Tell a worker of pytest-xdist which run it belongs to, where that writes, and the seed of its
    inputs."""
    session = node.config.stash[SESSION]
    node.workerinput["parity_folder"] = str(session.scribe.folder)
    node.workerinput["parity_run"] = session.scribe.run
    node.workerinput["parity_seed"] = session.plan.seed


@pytest.hookimpl(wrapper=True)
def pytest_pyfunc_call(pyfuncitem: pytest.Function):
    try:
        return (yield)
    except (AssertionError, BaseExceptionGroup, ParityError) as error:
        if not (found := fixtures.departures(error)):
            raise
    finally:  # before the report of the call is made
        fixtures.tell_standing(pyfuncitem)
    fixtures.plainly(found)


@pytest.hookimpl(trylast=True)
def pytest_sessionfinish(session: pytest.Session) -> None:
    lifecycle.end(session.config)
    if not is_worker(session.config):
        run, header = session.config.stash[SESSION], lifecycle.run_header(session.config)
        run.told = faults.finish(run.scribe.folder, header)
        header |= {"tests": run.outcomes.told(), "exit": outcomes.exit_of(session.exitstatus)}
        lifecycle.nothing_selected(session)
        run.finished = terminal.finish(run.scribe.folder, header)
        if run.finished and run.finished.short and session.exitstatus == 0:
            session.exitstatus = pytest.ExitCode.TESTS_FAILED


@pytest.hookimpl(trylast=True)  # after every other summary and pytest's own count
def pytest_unconfigure(config: pytest.Config) -> None:
    run = config.stash.get(SESSION, None)
    if run and (reporter := config.pluginmanager.get_plugin("terminalreporter")):
        for line in terminal.last(run.finished, run.told):
            reporter.write_line(line)
