"""A known departure is known up to its ceiling, where its entry says, and as long as it happens."""

import re
from datetime import date
from pathlib import Path

import pytest
from dinov3_parity.fixtures.pytest_plugin import options
from dinov3_parity.parity.comparator import Comparator
from dinov3_parity.parity.errors import ParityError
from dinov3_parity.parity.families import VARIANTS
from dinov3_parity.parity.records import deviations, lines
from dinov3_parity.parity.records.account import Account
from dinov3_parity.parity.records.deviations import Deviation, judged, tallies
from dinov3_parity.parity.records.divergence import first, strength_of
from msgspec.structs import replace

from selftests.conftest import ROOT
from selftests.support.records.measurements import clean, taken

ENTRY = Deviation(
    "d.toml, entry 1", ["mine"], ["vits16"], ["ffn.hidden"], 700.0, {"ffn.out": 300.0},
    reason="GELU by tanh", until="2099-01-01",
)  # fmt: skip
HIDDEN = taken("ffn.hidden", 630.0, stage="mine")

WHOLE = """
[[deviation]]
stage = "mine"
variant = ["vits16", "vitb16"]
tap = "ffn.hidden"
layer = "blocks"
place = ["block 3", "block 5"]
ceiling = 700
reason = "GELU by tanh"
until = 2027-06-01
[deviation.downstream]
"ffn.out" = 300
"""


def known(m, *entries):
    return judged(m, entries or [ENTRY])


def written(folder, text):
    (folder / "d.toml").write_text(text)
    return folder / "d.toml"


def test_what_is_listed_is_known_up_to_its_ceiling_and_says_why():
    found = known(HIDDEN)
    assert (found.known, found.ceiling, found.word) == ("GELU by tanh", 700.0, "known")
    assert not found.failed and not found.passed
    worse = known(taken("ffn.hidden", 701.0, stage="mine"))
    assert worse.failed and "worse than the ceiling of its entry, 700" in strength_of(worse)


def test_a_ceiling_is_of_every_token_as_well():
    worse = known(replace(HIDDEN, token_ratio=900.0))
    assert worse.failed and "900 times the rounding floor at token 0" in strength_of(worse)


def test_what_is_computed_from_it_has_a_ceiling_of_its_own():
    assert known(taken("ffn.out", 299.0, stage="mine")).known
    assert known(taken("ffn.out", 301.0, stage="mine")).failed


@pytest.mark.parametrize(
    "other",
    [
        taken("ffn.hidden", 630.0, stage="theirs"),
        taken("ls2", 30.0, stage="mine"),
        replace(HIDDEN, variant="vitb16"),
        taken("ffn.hidden", float("nan"), stage="mine", problem="absent: not shown"),
    ],
    ids=["stage", "tap", "variant", "absent"],
)
def test_nothing_else_is_known(other):
    assert known(other).failed and known(other).ceiling is None


def test_layer_and_place_narrow_an_entry_and_what_comes_before_is_not_of_it():
    entry = replace(ENTRY, layers=["blocks"], places=["block 3"])
    at_3, at_0 = (taken("ffn.hidden", 630.0, i, "mine") for i in (3, 0))
    assert known(at_3, entry).known and known(at_0, entry).failed
    assert known(replace(at_3, layer="backbone"), entry).failed
    out_5, out_0 = (taken("ffn.out", 200.0, i, "mine") for i in (5, 0))
    assert known(out_5, entry).known and known(out_0, entry).failed


def test_what_holds_is_no_departure_and_an_earlier_judgement_is_forgotten():
    assert known(taken("ffn.hidden", 0.9, stage="mine")).ceiling is None
    listed = known(HIDDEN)
    assert judged(listed, []) == HIDDEN
    worse = taken("ffn.hidden", 701.0, stage="mine")
    assert judged(known(worse), []) == worse


def test_the_first_divergence_is_of_what_is_not_known():
    found = [*clean(), known(HIDDEN), taken("ls2", 40.0, stage="mine")]
    assert first([*clean(), known(HIDDEN)]) is None
    assert first(found).worst.tap == "ls2"


def test_what_an_interrupted_run_measured_is_judged_by_the_list_of_the_one_that_goes_on():
    def resumed(*entries):
        one = Comparator(
            VARIANTS["vits16"], "mine", "blocks", "", {}, print, deviations=entries,
            accounts=[Account(HIDDEN.input, 1)],
        )  # fmt: skip
        one.take_up([], [known(HIDDEN)])
        return one.taken

    assert resumed() == [HIDDEN]
    assert resumed(replace(ENTRY, reason="another")) == [
        replace(HIDDEN, known="another", ceiling=700.0)
    ]


def test_an_entry_that_happened_is_no_reason_to_fail():
    (one,) = tallies([ENTRY], [known(HIDDEN), *clean()])
    assert (len(one.known), one.compared, one.stale) == (1, 1, [])
    assert "mine, block 0, ffn.hidden (isolated): 630 times" in one.words
    assert "limit 4, ceiling 700: GELU by tanh" in one.words


def test_an_entry_that_no_longer_happens_fails_and_says_what_to_do():
    (one,) = tallies([ENTRY], [taken("ffn.hidden", 0.9, stage="mine")])
    (words,) = one.stale
    assert words.startswith(
        "d.toml, entry 1: mine no longer departs at ffn.hidden of vits16: 0.9 of"
    )
    assert words.endswith("Delete the entry.")


def test_each_variant_and_named_place_is_asked_by_itself():
    found = [known(HIDDEN), replace(taken("ffn.hidden", 0.9, stage="mine"), variant="vitb16")]
    (one,) = tallies([replace(ENTRY, variants=["*"])], found)
    assert len(one.stale) == 1 and "of vitb16" in one.stale[0]
    places = replace(ENTRY, places=["block 0", "block 3"])
    (one,) = tallies([places], [known(HIDDEN), taken("ffn.hidden", 0.9, 3, "mine")])
    assert len(one.stale) == 1 and "block 3, ffn.hidden" in one.stale[0]


def test_one_input_on_which_it_shows_is_enough_and_chosen_inputs_prove_nothing():
    holds = replace(taken("ffn.hidden", 0.9, stage="mine"), seed=5)
    assert tallies([ENTRY], [known(HIDDEN), holds])[0].stale == []
    assert tallies([ENTRY], [holds], whole=False)[0].stale == []


def test_what_is_downstream_need_not_depart_and_what_was_not_compared_says_nothing():
    (one,) = tallies([ENTRY], [taken("ffn.out", 0.9, stage="mine")])
    assert (one.compared, one.stale) == (1, [])
    (one,) = tallies([ENTRY], clean())
    assert (one.compared, one.known, one.stale) == (0, [], [])
    absent = taken("ffn.hidden", float("nan"), stage="mine", problem="absent: not shown")
    assert tallies([ENTRY], [absent])[0].compared == 0


def test_an_expired_entry_explains_nothing_and_is_told_where_it_was_asked():
    over = replace(ENTRY, expired="it is until 2020-01-01, which has passed")
    found = known(HIDDEN, over)
    assert found.failed and "has expired" in strength_of(found)
    (one,) = tallies([over], [found])
    assert one.known == [] and "has expired: it is until 2020-01-01" in one.stale[0]
    assert tallies([over], clean())[0].stale == []


@pytest.mark.parametrize(
    ("until", "expired"),
    [
        ("2027-06-01", False), ("'2027-05-31'", True), ("'numpy>=1'", True), ("'numpy>=999'", False),
        ("'no-such-package>=1'", False),
    ],
)  # fmt: skip
def test_an_entry_is_until_a_date_or_a_version(tmp_path, until, expired):
    text = WHOLE.replace("until = 2027-06-01", f"until = {until}")
    (entry,) = deviations.load(written(tmp_path, text), date(2027, 6, 1))
    assert bool(entry.expired) == expired
    (entry,) = deviations.load(written(tmp_path, WHOLE), date(2027, 6, 2))
    assert entry.expired == "it is until 2027-06-01, which has passed"


def test_a_file_is_read_as_it_is_written(tmp_path):
    (entry,) = deviations.load(written(tmp_path, WHOLE), date(2027, 1, 1))
    assert entry == Deviation(
        "d.toml, entry 1", ["mine"], ["vits16", "vitb16"], ["ffn.hidden"], 700.0, {"ffn.out": 300},
        ["blocks"], ["block 3", "block 5"], "GELU by tanh", "2027-06-01",
    )  # fmt: skip
    assert deviations.load(written(tmp_path, "")) == []


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        ("ceiling", "cieling", "there is no key 'cieling'"),
        ('reason = "GELU by tanh"', "", "it has no reason"),
        ("GELU by tanh", "  ", "is not a string that says something"),
        ("until = 2027-06-01", "", "it has no until"),
        ("2027-06-01", "'soon'", "until = 'soon' names no date and no version"),
        ("2027-06-01", "7", "until = 7 is not a date, or a requirement"),
        ("= 700", "= -1", "ceiling = -1 is not a number above zero"),
        ("= 700", "= 1.4", "the ceiling 1.4 of ffn.hidden is within its limit, "),
        ("= 300", "= 1.5", "the ceiling 1.5 of "),
        ("= 700", "= true", "ceiling = True is not a number above zero"),
        ("= 300", "= 'much'", "is not a table of taps, each with a number"),
        ('tap = "ffn.hidden"', 'tap = "ffn.hiden"', "there is no tap 'ffn.hiden'"),
        ('"vitb16"', '"vitx16"', "there is no variant 'vitx16'"),
        ('"blocks"', '"block"', "there is no layer 'block'"),
        ("block 5", "head", "place 'head' is not one of ffn.hidden"),
        ("block 5", "blocks", "place 'blocks' is not one of ffn.hidden"),
        ("ffn.out", "patch_embed", "downstream: patch_embed is not computed from ffn.hidden"),
        ("[[deviation]]", "[deviation]", "something else than tables [[deviation]]"),
        ("[[deviation]]", "more = 1\n[[deviation]]", "something else than tables"),
        ("[[deviation]]", "[[deviation", "at line"),
    ],
    ids=lambda words: words[:24],
)
def test_a_file_of_another_form_is_refused_in_a_paragraph_that_names_the_entry(
    tmp_path, old, new, says
):
    text = f"{WHOLE}\n{WHOLE.replace(old, new)}" if "[[" not in old else WHOLE.replace(old, new)
    with pytest.raises(ParityError) as refused:
        deviations.load(written(tmp_path, text))
    words = str(refused.value)
    assert (
        says in words
        and "\n" not in words
        and "d.toml cannot be used as a list of known departures: " in words
    )
    assert ("entry 2: " in words) == ("[[" not in old)


def test_the_example_in_the_documents_is_one(tmp_path):
    (text,) = re.findall(
        r"```toml\n(\[\[deviation.+?)```", (ROOT / "docs/ports.md").read_text(), re.S
    )
    (entry,) = deviations.load(written(tmp_path, text))
    assert entry.taps == ["rope.sin", "rope.cos"] and len(entry.downstream) == 3


@pytest.mark.parametrize("text", ["", "# nothing any more\n"])
def test_a_file_without_an_entry_is_refused(tmp_path, text):
    with pytest.raises(ParityError, match=r"d.toml lists no known departure: .*leave --deviations"):
        options._deviations(written(tmp_path, text))


def test_a_file_that_is_not_there_is_told(tmp_path):
    with pytest.raises(ParityError, match="No such file"):
        deviations.load(tmp_path / "d.toml")


def test_a_record_says_what_is_known_and_a_made_up_one_is_refused(tmp_path):
    one = known(HIDDEN)
    lines.write(tmp_path / "m.jsonl", [one])
    assert lines.read(tmp_path / "m.jsonl") == ([one], [])
    for wrong in (
        replace(one, ceiling=600.0),
        replace(one, ceiling=None),
        replace(one, passed=True),
    ):
        with pytest.raises(lines.Strange, match="no departure within a ceiling"):
            lines.measured(lines.fields(wrong))


def test_our_own_list_is_of_our_own_stages_and_not_of_a_port_that_is_called_so():
    (entry,) = deviations.load(deviations.OWN)
    assert entry.stages == ["transformers", "timm"] and "bfloat16" in entry.reason
    assert options._deviations(None) == () and Path(deviations.OWN).is_file()


def test_what_is_listed_is_meant_by_the_published_gate_also_within_its_limit():
    within = next(m for m in clean() if m.tap == "ffn.out")
    assert within.passed and deviations.listed(within, [replace(ENTRY, stages=[within.stage])])
    assert not deviations.listed(within, [replace(ENTRY, stages=["another"])])
    past = replace(ENTRY, stages=[within.stage], expired="it is until 2020-01-01")
    assert not deviations.listed(within, [past])


def test_what_is_computed_from_several_places_is_known_from_the_first_of_them_on():
    entry = replace(ENTRY, places=["block 5", "block 3"])
    out = {i: taken("ffn.out", 200.0, i, "mine") for i in (2, 3, 4, 5, 9)}
    assert [bool(known(m, entry).known) for m in out.values()] == [False, True, True, True, True]
    assert all(known(m).known for m in out.values())  # of an entry without places all are


def test_a_list_that_is_given_is_what_counts(tmp_path):
    (entry,) = deviations.given(written(tmp_path, WHOLE))
    assert entry.downstream == {"ffn.out": 300.0}
    for strange in ('["ffn.out"]', "300", '"ffn.out"'):
        text = WHOLE.replace("[deviation.downstream]\n", "").replace('"ffn.out" = 300', "")
        with pytest.raises(ParityError, match=r"downstream = .* is not a table of taps"):
            deviations.given(written(tmp_path, f"{text}\ndownstream = {strange}"))


@pytest.mark.parametrize(
    ("tap", "downstream", "fits"),
    [
        ("ffn.hidden", "norm1", True), ("rope.sin", "patch_embed", False), ("rope.sin", "norm1", True),
        ("patch_embed", "tokens", True), ("cls", "pooled", False), ("cls", "output", False),
    ],
)  # fmt: skip
def test_downstream_is_what_comes_after_in_the_chain_of_blocks_or_is_computed_from_it(
    tmp_path, tap, downstream, fits
):
    text = WHOLE.replace("ffn.hidden", tap).replace("ffn.out", downstream)
    text = re.sub("place = .*", "", text)
    if fits:
        assert deviations.load(written(tmp_path, text))[0].downstream == {downstream: 300.0}
    else:
        with pytest.raises(
            ParityError, match=re.escape(f"{downstream} is not computed from {tap}")
        ):
            deviations.load(written(tmp_path, text))


def test_a_ceiling_is_above_the_smaller_of_a_tap_s_limits(tmp_path):
    with pytest.raises(ParityError, match=r"within its limit, 1\.5 of many tokens and of one 4"):
        deviations.load(written(tmp_path, WHOLE.replace("ceiling = 700", "ceiling = 1.5")))
    (entry,) = deviations.load(written(tmp_path, WHOLE.replace("ceiling = 700", "ceiling = 1.6")))
    assert entry.ceiling == 1.6


def test_of_several_entries_about_a_tap_the_largest_ceiling_that_counts_is_known():
    small, over = replace(ENTRY, ceiling=600.0), replace(ENTRY, ceiling=9000.0, expired="it is")
    for entries in ([ENTRY, small], [small, ENTRY], [over, ENTRY], [ENTRY, small, over]):
        assert known(HIDDEN, *entries).ceiling == 700.0 and known(HIDDEN, *entries).known
        worse = known(taken("ffn.hidden", 701.0, stage="mine"), *entries)
        assert worse.failed and worse.ceiling == 700.0
    assert known(HIDDEN, over).failed and known(HIDDEN, over).ceiling == 9000.0
    another = replace(ENTRY, stages=["another"])
    assert deviations.listed(HIDDEN, [another, ENTRY]) and deviations.listed(HIDDEN, [ENTRY, over])


def test_an_expired_entry_counts_nothing_that_another_explains_and_is_deleted_where_it_is_gone():
    over = replace(ENTRY, expired="it is until 2020-01-01, which has passed")
    old, new = tallies([over, ENTRY], [known(HIDDEN, over, ENTRY)])
    assert (old.known, len(new.known)) == ([], 1) and "has expired" in old.stale[0]
    (gone,) = tallies([over], [taken("ffn.hidden", 0.9, stage="mine")])
    assert len(gone.stale) == 1 and "no longer departs" in gone.stale[0]


def test_of_what_an_entry_explains_the_nearest_to_its_ceiling_is_told():
    near, far = replace(HIDDEN, seed=3), taken("ffn.hidden", 70.0, stage="mine")
    for found in ([near, far], [far, near]):
        (one,) = tallies([ENTRY], [known(m) for m in found])
        assert one.strongest == [known(near)] and "630 times" in one.words
