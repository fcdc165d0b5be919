"""``check --deviations``: the suite on ports that depart, as is known of them and otherwise."""

import json

import pytest
from dinov3_parity.parity.inputs.chosen import SMALL
from dinov3_parity.parity.records import reader

from selftests.cli.test_check import NUMPY
from selftests.support.stages.brought import PORT, given

#: Everything that the head returns is off by one part in 1,000.
HEAD = f"""{PORT}
    def head(self, tokens):
        return {{name: value * 1.001 for name, value in super().head(tokens).items()}}
"""

#: The same, and its class token by one in 100 on a middling number of patches.
BOTH = f"""{HEAD.rstrip().replace("return", "shown =")}
        if 2 < shown["patches"].shape[1] < 16:
            shown["cls"] = shown["cls"] * 1.01
        return shown
"""

#: On these layers a run takes seconds; the whole model's own gate is one of them.
FEW = ("-k", "primitives or release")

PRIMITIVES = ("-k", "primitives")

#: One input, whose reference the store has: nothing is shrunk, for which references are computed.
ONE = (*PRIMITIVES, "--reproduce", str(SMALL))


def entry(stage="mine", tap="norm", ceiling=1e5, until="2099-01-01", **downstream):
    after = downstream or dict.fromkeys(("cls", "registers", "patches", "pooled"), 1e5)
    rows = "".join(f"{name} = {number}\n" for name, number in after.items())
    return (
        f'[[deviation]]\nstage = "{stage}"\nvariant = "*"\ntap = "{tap}"\nceiling = {ceiling}\n'
        f'reason = "scaled, see our issue 7"\nuntil = "{until}"\n'
        f"{'[deviation.downstream]' if tap == 'norm' else ''}\n{rows if tap == 'norm' else ''}"
    )


@pytest.fixture
def held(ran):
    """Run the command on a port with a list of known departures, both in its folder."""

    def run(policy, *words, of="port.py:Port", on=FEW, port=HEAD):
        given(ran.here, port)
        (ran.here / "d.toml").write_text(policy)
        return ran(of, "--deviations", "d.toml", *on, "--json", "v.json", *words)

    run.here = ran.here
    run.verdict = lambda: json.loads((ran.here / "v.json").read_text())
    return run


def test_a_listed_departure_is_known_everywhere_and_fails_nothing(held):
    shown = held(entry(), "--", "--color=yes")
    assert shown.code == 0, shown.out + shown.err
    assert shown.out.splitlines()[-1] == (
        "check: holds: vits16: mine holds, with 1 known departure"
    )
    assert "\x1b[33mknown: vits16: mine, norm (isolated) and 4 more taps: " in shown.out
    assert ", ceiling 100000: scaled, see our issue 7\x1b[0m" in shown.out
    assert "2 known\x1b[0m" in shown.out  # tests, in pytest's own last line
    told = held.verdict()
    assert [(e["verdict"], e["failed"], e["known"] > 0) for e in told["edges"]] == [
        ("known", 0, True)
    ]
    (one,) = told["deviations"]
    assert (one["verdict"], one["entry"]) == ("known", "d.toml, entry 1")
    assert {at["tap"] for at in one["at"]} == {"norm", "cls", "registers", "patches", "pooled"}
    assert all(at["ratio"] > at["limit"] and at["ceiling"] == 1e5 for at in one["at"])
    run = reader.read(held.here / "r")
    assert {m.known for m in run.found if not m.passed} == {"scaled, see our issue 7"}
    assert run.header["exit"] == "ok" and not run.lost
    xml = (held.here / "r/junit.xml").read_text()
    assert xml.count('<property name="known" value="') == 2
    assert ", ceiling 100000: scaled, see our issue 7" in xml
    assert "| 🟡 known |" in (held.here / "r/summary.md").read_text()
    page = (held.here / "r/index.html").read_text()
    assert '<td class="k">' in page and 'class="word known"' in page and "scaled, see our" in page


def test_a_departure_that_got_worse_fails_and_says_so(held):
    shown = held(entry(ceiling=50), on=ONE)
    assert shown.code == 1, shown.out + shown.err
    first = held.verdict()["first_divergence"]
    assert (first["tap"], [one["tap"] for one in first["departing"]]) == ("norm", ["norm"])
    assert "worse than the ceiling of its entry, 50" in shown.out
    assert first["repeat"].endswith("-- --deviations=d.toml")


def test_what_is_computed_from_it_is_listed_tap_by_tap(held):
    shown = held(entry(registers=1e5, patches=1e5, pooled=1e5), on=ONE)
    assert shown.code == 1, shown.out + shown.err
    first = held.verdict()["first_divergence"]
    assert [one["tap"] for one in first["departing"]] == ["cls"]
    assert held.verdict()["deviations"][0]["verdict"] == "known"


@pytest.mark.thorough
def test_what_else_departs_is_shrunk_to_its_own_smallest_input(held):
    shown = held(entry(cls=5e4, registers=1e5, patches=1e5, pooled=1e5), port=BOTH)
    assert shown.code == 1, shown.out + shown.err
    assert {m.tap for m in reader.read(held.here / "r").found if m.failed} == {"cls"}
    assert "Reproduce: dinov3-parity check port.py:Port --variant vits16 -k primitives --repro" in (
        shown.out
    )
    assert "failed on B1 1x3 seed=0." in shown.out


def test_one_that_no_longer_happens_fails_with_what_to_do(held):
    shown = held(entry("numpy", "rope.sin"), of=NUMPY, on=PRIMITIVES)
    assert shown.code == 1, shown.out + shown.err
    said = "d.toml, entry 1: numpy no longer departs at rope.sin of vits16: "
    assert said in shown.out and "Delete the entry, or what of it" in shown.out
    assert shown.out.splitlines()[-1].startswith(
        "check: outdated: Outdated: what was compared holds"
    )
    told = held.verdict()
    assert (told["verdict"], told["edges"][0]["verdict"]) == ("outdated", "holds")
    assert told["deviations"][0]["verdict"] == "stale" and said in told["reasons"][0]
    assert reader.read(held.here / "r").header["exit"] == "tests failed"
    chosen = ("--reproduce", "B1 1x1 seed=0")  # where both tables are what anybody's are
    assert held(entry("numpy", "rope.sin"), *chosen, of=NUMPY, on=PRIMITIVES).code == 0


def test_what_was_not_compared_is_told_and_proves_nothing(ran):
    """The list is named by the repository's own file, which a folder below it finds."""
    table = "[tool.dinov3-parity]\ndeviations = 'd.toml'\njson = 'v.json'\nreport-dir = 'r'\n"
    (ran.here / "pyproject.toml").write_text(table)
    (ran.here / "d.toml").write_text(entry("numpy", "ffn.up") + entry("nmupy", "norm"))
    (ran.here / "below").mkdir()
    shown = ran(NUMPY, *PRIMITIVES, folder=ran.here / "below")
    assert shown.code == 0, shown.out + shown.err
    told = "known: not looked at, nothing that they are about was compared: d.toml, entry 1, "
    assert f"{told}d.toml, entry 2 (no stage is called 'nmupy' here, perhaps numpy?)" in shown.out
    verdict = json.loads((ran.here / "v.json").read_text())
    assert [one["verdict"] for one in verdict["deviations"]] == ["not looked at"] * 2
    assert shown.out.splitlines()[-1] == "check: holds: vits16: numpy holds"


def test_a_list_of_another_form_is_refused_before_anything_runs(held):
    shown = held(entry() + entry().replace("ceiling", "cieling"))
    assert shown.code == 2, shown.out
    told = held.verdict()
    assert "list of known departures: entry 2: there is no key 'cieling'" in told["error"]
    assert "Traceback" not in shown.err and "collected" not in shown.out
    assert not (held.here / "r").exists()


def test_an_entry_that_has_expired_fails_in_words(held):
    shown = held(entry(until="2020-01-01"), on=ONE)
    assert shown.code == 1, shown.out + shown.err
    assert "its entry of ceiling 100000 has expired" in shown.out
    said = "d.toml, entry 1 has expired: it is until 2020-01-01, which has passed. See whether"
    assert said in shown.out
    assert [one for one in held.verdict()["reasons"] if one.startswith(said)]


@pytest.mark.thorough
def test_what_no_longer_happens_is_counted_over_all_workers(held, run_pytest):
    """Of two ports, each in a worker of its own, one departs as is known and the other no longer does."""
    port = given(held.here, HEAD)
    policy = held.here / "d.toml"
    words = ["-k", "vits16 and primitives and (mine or numpy)", f"--deviations={policy}", "-n", "2"]
    words += [f"--stage={port}", f"--stage={NUMPY}"]
    policy.write_text(entry())
    shown = run_pytest(*words)
    assert shown.code == 0, shown.out
    assert "1 known" in shown.out and "known: vits16: mine, norm" in shown.out
    policy.write_text(entry() + entry("numpy", "rope.sin"))
    shown = run_pytest(*words)
    assert shown.code == 1, shown.out
    assert "d.toml, entry 2: numpy no longer departs at rope.sin of vits16" in shown.out
    assert "entry 1:" not in shown.out and "known: vits16: mine, norm" in shown.out
