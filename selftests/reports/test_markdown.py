"""What people paste holds together whatever is in it: summary, reproducer, annotations."""

import re

import pytest
from dinov3_parity.parity.records.header import filled
from dinov3_parity.parity.records.reader import Run, joined, read
from dinov3_parity.reports.pages.site import REPRODUCER, SUMMARY, Site
from dinov3_parity.reports.texts import github, markdown
from msgspec.structs import replace

from selftests.support.records import recorded
from selftests.support.records.measurements import clean, with_faults


def site(found, **header):
    return Site(joined([Run(recorded.Path("run"), filled(header)[0], list(found), [])]))


@pytest.fixture(scope="module")
def hostile(tmp_path_factory):
    folder = recorded.hostile(tmp_path_factory.mktemp("hostile") / "run")
    made = Site(joined([read(folder)]))
    made.write(folder)
    return made, folder


def test_the_summary_has_the_verdict_the_edges_and_what_to_do():
    told = site(with_faults(**{"attn.k_proj": 700.0})).summary
    assert told.startswith(
        "## DINOv3 parity: vits16: equimo departs from meta at block 0, attn.k\\_proj"
    )
    assert "| vits16 | meta → equimo | ❌ departs | 700 times the rounding floor, limit 4 |" in told
    assert "k bias not masked" in told and "```sh\npytest -k " in told


def test_the_summary_of_a_clean_run_is_short():
    told = site(clean()).summary
    assert "✅ holds" in told and "first breaks" not in told and len(told) < 1000


def test_a_summary_is_never_longer_than_a_comment_may_be():
    found = [
        replace(m, variant=name, stage=f"stage {i} with a long name" * 20)
        for name in ("vits16", "vitb16")
        for i in range(200)
        for m in with_faults(norm1=70.0)
    ]
    told = site(found).summary
    assert 50_000 < len(told.encode()) <= markdown.LARGEST
    assert told.endswith("Cut here; the report has all of it.\n")
    assert len(re.findall("^```", told, flags=re.M)) % 2 == 0


def test_a_cut_inside_a_block_of_code_ends_it():
    told = markdown.bounded("```\n" + "line\n" * 20_000 + "```\n")
    assert told.count("```") == 2 and len(told.encode()) <= markdown.LARGEST
    assert told.endswith("line\n```\n\nCut here; the report has all of it.\n")
    assert markdown.bounded("short\n") == "short\n"


@pytest.mark.parametrize("name", [SUMMARY, REPRODUCER])
def test_names_make_no_markup_no_row_no_mention_and_no_fence(hostile, name):
    _, folder = hostile
    told = (folder / name).read_text()
    outside = re.sub(r"^(`{3,}).*?^\1$", "", told, flags=re.M | re.S)
    assert "<script" not in outside and "<img" not in outside and "](" not in outside
    for line in outside.splitlines():
        assert not re.search(r"@\w|://\w|\$", line)
        if line.startswith("|"):
            assert len(re.findall(r"(?<!\\)\|", line)) in (3, 6, 7)  # the tables' own columns


def test_words_are_plain_in_markdown():
    assert markdown.text("a|b\n*c* @d <e> `f` [g](h) ~x~") == (
        "a\\|b \\*c\\* @\u200bd &lt;e&gt; \\`f\\` \\[g\\](h) \\~x\\~"
    )


@pytest.mark.parametrize(
    ("words", "shown"),
    [
        ("see https://example.org", "see https://\u200bexample.org"),
        ("www.example.org", "www.\u200bexample.org"),
        ("as in #12, not # 12", "as in \\#\u200b12, not \\# 12"),
        ("$x$", "&#36;x&#36;"),
        ("&lt;", "&amp;lt;"),
        ("first\r\n## second", "first \\#\\# second"),
    ],
)
def test_github_finds_nothing_to_link_or_to_set(words, shown):
    assert markdown.text(words) == shown


def test_a_fence_is_longer_than_any_in_its_words():
    assert markdown._block("a\n```\nb").startswith("````\n")


def test_the_reproducer_has_figures_command_picture_and_versions(tmp_path):
    folder = recorded.faulty(tmp_path / "run")
    Site(joined([read(folder)])).write(folder)
    told = (folder / REPRODUCER).read_text()
    for words in (
        "# equimo: vits16 departs at block 0, attn.k", "| noise ratio | ", "| cosine | ",
        "Ratio of each token", 'pytest -k "vits16 and equimo and blocks" --reproduce',
        "| onnxruntime | 1.32.0 |", "k bias not masked",
    ):  # fmt: skip
        assert words in told.replace("\\", "")


def test_a_report_without_a_departure_has_no_reproducer_left_from_before(tmp_path):
    site(with_faults(norm1=70.0)).write(tmp_path)
    assert (tmp_path / REPRODUCER).exists()
    site(clean()).write(tmp_path)
    assert not (tmp_path / REPRODUCER).exists()


def test_an_annotation_is_one_line_with_its_commas_and_lines_escaped():
    made = site(with_faults(norm1=70.0), exit="interrupted\nby % hand")
    lines = github.annotations(made.verdict)
    assert lines[0].startswith(
        "::error title=vits16%3A equimo departs at block 0%2C norm1::vits16: equimo"
    )
    assert "Reproduce: pytest -k" in lines[0] and "%0Aby %25 hand" in lines[1]
    assert len(lines) == 2 and not any("\n" in line for line in lines)


def test_there_are_ten_annotations_at_the_most(hostile):
    found = [replace(m, stage=f"port {i}") for i in range(15) for m in with_faults(norm1=70.0)]
    assert len(github.annotations(site(found).verdict)) == 10
    assert not any("\n" in line for line in github.annotations(hostile[0].verdict))


def test_the_steps_summary_is_added_to_what_is_there(tmp_path):
    file = tmp_path / "summary"
    file.write_text("before\n")
    github.step_summary("after\n", {"GITHUB_STEP_SUMMARY": str(file)})
    assert file.read_text() == "before\nafter\n"
    github.step_summary("nowhere", {})
    assert github.on_github({"GITHUB_ACTIONS": "true"}) and not github.on_github({})
