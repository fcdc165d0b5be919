"""References in one portable file: what is written is read, and nothing else is taken for it."""

import json
import shutil
import zipfile
from types import SimpleNamespace

import numpy as np
import pytest
from dinov3_parity.fixtures.checkpoints import choice, release
from dinov3_parity.fixtures.checkpoints.synthetic import Synthetic
from dinov3_parity.fixtures.cli.main import main
from dinov3_parity.fixtures.host import extras
from dinov3_parity.fixtures.pipeline.pipeline import Pipeline
from dinov3_parity.fixtures.pytest_plugin.session import Session
from dinov3_parity.fixtures.reference import portable
from dinov3_parity.fixtures.reference.portable import MANIFEST
from dinov3_parity.fixtures.store import keys
from dinov3_parity.parity.errors import ParityError
from dinov3_parity.parity.families import VARIANTS
from dinov3_parity.parity.inputs.drawn import CHAIN, EVERY, Input, parse
from dinov3_parity.parity.records import reader
from dinov3_parity.parity.records.measurement import CHAINED, ISOLATED
from hypothesis import given
from hypothesis import strategies as st

from selftests.same_measurements import differences
from selftests.support.stages.brought import NUMPY, in_a_paragraph

ONE = Input(1, (1, 1))
PHOTOGRAPH = Input(1, (1, 2), 5, "photograph", 0.1)
PLAN = "quick", 147


@pytest.fixture(scope="module")
def small(vits16, tmp_path_factory):
    """References on two small inputs, of one of which the chain alone is recorded."""
    path = tmp_path_factory.mktemp("references") / "small.zip"
    recordings = [(vits16.recording(ONE), EVERY), (vits16.recording(PHOTOGRAPH, CHAIN), CHAIN)]
    portable.write(path, vits16.checkpoint, recordings, *PLAN)
    return path


#: What a run is measured on here; quick's largest, of 196 patches, would be most of the file.
RUN = (Input(1, (1, 1)), Input(2, (2, 3), 1), PHOTOGRAPH)


@pytest.fixture(scope="module")
def quick(vits16, tmp_path_factory):
    """References that a port can be run on, but for the release's own square image."""
    path = tmp_path_factory.mktemp("references") / "quick.zip"
    recordings = ((vits16.recording(one), EVERY) for one in RUN)
    portable.write(path, vits16.checkpoint, recordings, *PLAN)
    return path


@given(st.lists(st.floats(width=32, allow_nan=True), max_size=20), st.binary(max_size=9))
def test_regrouped_bytes_are_put_back(numbers, header):
    raw = len(header).to_bytes(8, "little") + header + np.array(numbers, np.float32).tobytes()
    assert portable.whole(portable.planes(raw)) == raw


def test_the_embedding_is_the_same_in_the_chain_as_alone(vits16):
    """A file may return it beside others, which are of the chain."""
    reference = vits16.recording(Input(2, (2, 8), 1))
    first = reference.places[0]
    alone, chained = (reference.part(first, mode) for mode in (ISOLATED, CHAINED))
    assert set(alone) == set(chained) and "tokens" in chained
    assert chained["tokens"].floor.value == alone["tokens"].floor.value


def test_what_is_read_is_what_was_recorded_to_the_bit(small, vits16, store):
    found = portable.opened(small, store).recorded(ONE)
    for place in found.places:
        kept, read = vits16.recording(ONE).part(place), found.part(place)
        assert list(kept) == list(read)
        for tap, standard in kept.items():
            assert standard.meta.tobytes() == read[tap].meta.tobytes()
            assert standard.rest.tobytes() == read[tap].rest.tobytes()
            assert standard.floor.tokens.tobytes() == read[tap].floor.tokens.tobytes()
            assert (standard.scale, standard.floor.value) == (
                read[tap].scale,
                read[tap].floor.value,
            )


def test_a_port_s_own_inputs_are_read_where_there_is_no_torch(small, vits16, store, monkeypatch):
    opened = portable.opened(small, store)
    monkeypatch.setattr(keys, "version", lambda name: pytest.fail(f"{name} was asked for"))
    pipe = Pipeline(vits16.variant, vits16.checkpoint, store, references=opened)
    assert pipe.at_hand(ONE).folder == opened.recorded(ONE).folder


def test_operations_alone_are_held_where_metas_model_can_be_run(monkeypatch):
    computes = lambda references: Session.computes.fget(SimpleNamespace(references=references))
    assert computes(None) and computes("references.zip")
    monkeypatch.setattr(extras, "installed", lambda name: "")
    assert computes(None) and not computes("references.zip")


def test_a_photograph_is_in_the_file_for_who_cannot_draw_it(small, store, monkeypatch):
    found = portable.opened(small, store).recorded(PHOTOGRAPH, CHAIN)
    drawn = PHOTOGRAPH.images()
    monkeypatch.setattr(Input, "images", lambda self: pytest.fail("it was drawn"))
    assert found.images.tobytes() == drawn.tobytes()


def test_an_input_that_is_not_recorded_is_refused_with_those_that_are(small, store):
    found = portable.opened(small, store)
    for drawn in (Input(2, (1, 1)), PHOTOGRAPH):  # of the second the chain alone is there
        with pytest.raises(ParityError, match=f"no reference on {drawn}; it has {ONE}"):
            found.recorded(drawn)


def test_the_checkpoint_is_made_again_from_its_seed_and_compared(small, store, monkeypatch):
    found = portable.opened(small, store)
    assert found.checkpoint().digest == Synthetic(VARIANTS["vits16"]).digest
    found.manifest.tensors["cls_token"] = "0" * 32
    with pytest.raises(ParityError, match="beginning with cls_token"):
        found.checkpoint()


def test_another_checkpoint_than_theirs_is_refused(small, store):
    found = portable.opened(small, store)
    other = Synthetic(VARIANTS["vits16"], seed=1)
    with pytest.raises(
        ParityError, match=r"another checkpoint.*: 1[0-9][0-9] tensors differ, the first"
    ):
        found.checkpoint(other)
    found.manifest.tensors.clear()  # of a release, as files of before have it
    with pytest.raises(ParityError, match="has no digests of its tensors"):
        found.checkpoint(other)


def test_the_same_tensors_in_a_file_are_the_same_checkpoint(small, store, tmp_path):
    release.write(Synthetic(VARIANTS["vits16"]), tmp_path / "meta.pth")
    given = choice.inspect(tmp_path / "meta.pth", store)
    found = portable.opened(small, store)
    assert given.digest != found.manifest.digest and found.checkpoint(given) is given


def test_references_of_a_release_ask_for_its_file(small, store):
    found = portable.opened(small, store)
    found.manifest.checkpoint = {"kind": "release", "path": "there.pth", "digest": "0"}
    with pytest.raises(ParityError, match="Give it with --checkpoint"):
        found.checkpoint()


def changed(small, folder, edit, name=MANIFEST):
    """A copy of the archive in which one file is edited; None leaves it out."""
    path = folder / "changed.zip"
    with zipfile.ZipFile(small) as old, zipfile.ZipFile(path, "w") as new:
        for one in old.namelist():
            held = edit(old.read(one)) if one == name else old.read(one)
            if held is not None:
                new.writestr(one, held)
    return path


def telling(**more):
    return lambda held: json.dumps(json.loads(held) | more).encode()


def naming(held, name="../../outside.safetensors"):
    told = json.loads(held)
    return json.dumps(told | {"files": {name: {"size": 8, "sha256": ""}}}).encode()


def flipped(held):
    return held[:-1] + bytes([held[-1] ^ 1])


REFUSED = {
    "of another format": (telling(format=99), MANIFEST, "has format 99"),
    "of no variant": (telling(variant="vits99"), MANIFEST, "'vits99' is none of this version's"),
    "of another geometry": (telling(geometry="VisionTransformer()"), MANIFEST, "is none of this"),
    "of other taps": (telling(taps="0"), MANIFEST, "has other taps"),
    "without a manifest": (lambda held: None, MANIFEST, "cannot be read"),
    "with a manifest that is none": (lambda held: b"{}", MANIFEST, "cannot be read"),
    "with a file outside": (naming, MANIFEST, r"names a file '../../outside"),
    "with a bit flipped": (flipped, "00/head.safetensors", "is not what was written"),
    "with a file cut short": (lambda held: held[:-4], "00/head.safetensors", "damaged"),
    "without a file": (lambda held: None, "00/head.safetensors", "damaged"),
}  # fmt: skip


@pytest.mark.parametrize("what", REFUSED)
def test_a_file_is_refused(small, store, tmp_path, what):
    edit, name, words = REFUSED[what]
    with pytest.raises(ParityError, match=words) as told:
        portable.opened(changed(small, tmp_path, edit, name), store)
    in_a_paragraph(told.value)
    assert not list(tmp_path.parent.rglob("outside*")) and not list(store.root.rglob("outside*"))


def test_what_is_no_archive_is_refused(store, tmp_path):
    (tmp_path / "no.zip").write_bytes(b"PK\x03\x04 not really")
    with pytest.raises(ParityError, match="cannot be read"):
        portable.opened(tmp_path / "no.zip", store)
    with pytest.raises(ParityError, match=r"is no file\. Write one"):
        portable.opened(tmp_path / "absent.zip", store)


def test_what_cannot_be_written_leaves_what_was_there(vits16, tmp_path, monkeypatch):
    path = tmp_path / "references.zip"
    path.write_bytes(b"before")
    monkeypatch.setattr(portable, "planes", lambda raw: (_ for _ in ()).throw(OSError(28, "full")))
    with pytest.raises(ParityError, match="cannot be written: full"):
        portable.write(path, vits16.checkpoint, [(vits16.recording(ONE), EVERY)], *PLAN)
    assert path.read_bytes() == b"before" and list(tmp_path.iterdir()) == [path]


def test_a_port_is_held_by_them_record_for_record(quick, run_pytest, tmp_path):
    report, before = tmp_path / "report", tmp_path / "before"
    asked = ("--check", NUMPY, "-k", "vits16 and not (release or metamorphic)")
    inputs = [word for one in RUN for word in ("--reproduce", str(one))]
    assert run_pytest(*asked, *inputs).code == 0
    shutil.move(report, before)
    shown = run_pytest(*asked, "--references", str(quick))
    assert shown.code == 0, shown.out
    full, held = (reader.read(folder).found for folder in (before, report))
    assert len(full) > 800 and differences(full, held) == []
    told = json.loads((report / "run.json").read_text())
    assert told["references"]["path"] == str(quick) and told["references"]["packages"]["torch"]
    assert "The reference was not computed in this run" in (report / "index.html").read_text(
        "utf-8"
    )


def test_with_them_no_framework_is_imported(quick, run_pytest, tmp_path):
    program = (
        "import sys, pytest\n"
        "code = pytest.main(sys.argv[1:])\n"
        "found = {'torch', 'jax', 'onnx', 'onnxruntime', 'equimo', 'sklearn'} & set(sys.modules)\n"
        "sys.exit(f'imported {found}' if found else code)\n"
    )
    shown = run_pytest(
        "--check",
        NUMPY,
        "-k",
        "vits16 and blocks",
        f"--references={quick}",
        program=("-c", program),
    )
    assert shown.code == 0, shown.out


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("-k", "vitb16"), "holds vits16, and the tests asked for are those of vitb16"),
        (("-k", "vits16", "--seed", "3"), "Leave --seed out"),
        (("-k", "vits16", "--examples", "9"), "hold the quick plan of seed 147"),
        (("-k", "vits16", "--hypothesis-profile", "thorough"), "hold the quick plan of seed 147"),
        (
            ("-k", "vits16 and blocks", "--reproduce", "B1 3x3 seed=9"),
            "no reference on B1 3x3 seed=9",
        ),
        (
            (
                "-k",
                "vits16 and onnx and runtime",
            ),
            "no reference on B2 2x8 seed=1",
        ),
    ],
)
def test_a_run_that_they_do_not_serve_is_refused_before_anything_runs(
    quick, run_pytest, words, told
):
    shown = run_pytest(*words, f"--references={quick}")
    assert shown.code == pytest.ExitCode.USAGE_ERROR and told in shown.out, shown.out


def test_what_is_asked_for_is_recorded(store, tmp_path, capsys):
    path = tmp_path / "more.zip"
    words = ["record", "--out", str(path), "--ports-only", "--store", str(store.root)]
    words += ["--size", "16x32", "--batch", "1", "--input", "B1 1x2 seed=9 hot scale=1"]
    assert main(words) == 0
    found = portable.opened(path, store)
    assert {(one.batch, one.grid) for one in found.drawn} == {(1, (1, 2))}
    assert parse("B1 1x2 seed=9 hot scale=1") in found.drawn
    assert main(words) == 2 and "is there already" in capsys.readouterr().err


def test_a_variant_whose_reference_is_not_kept_is_refused(capsys, tmp_path):
    assert main(["record", "--variant", "vitl16", "--out", str(tmp_path / "l.zip")]) == 2
    assert "Record vits16, vits16plus, vitb16" in capsys.readouterr().err
