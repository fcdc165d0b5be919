"""A process that is killed at any moment leaves a store that the next one goes on with."""

import random
import shutil
import time

import pytest
from dinov3_parity.fixtures.store.store import MANIFEST, Store

from selftests.support.children import (
    KILLS,
    SEED,
    STOOD,
    WEIGHTS,
    WHATS,
    contents,
    held,
    left_over,
    lengths,
    reach,
    standing,
)
from selftests.support.machine import THING, write_thing


@pytest.mark.parametrize("what", WHATS)
def test_kills_at_random_moments_do_no_harm(start, undisturbed, tmp_path, what):
    """Moments are drawn within each part of a making, as long as an undisturbed one's: first which
    part, then how much of it passes; so that a part is hit however short it is.

    Of other artifacts than equimo it is thorough: the store takes the same steps for each."""
    kills = KILLS if what == "equimo" else -(-KILLS // 6)
    usual = undisturbed.made(what)
    root, temporary = tmp_path / "store", tmp_path / "tmp"
    temporary.mkdir()
    undisturbed.sources(what, root)
    beside = Store(root).fetch(*THING, write_thing)
    place = root / usual.path.relative_to(undisturbed.root)
    stood = lengths(start("make", root=root, what=what).go(), root, place)
    shutil.rmtree(place)
    draw, fell = random.Random(f"{SEED} {what}"), []
    for _ in range(kills):
        (part,), share = draw.choices(range(len(STOOD)), WEIGHTS), draw.random()
        child = start("make", root=root, what=what, where=temporary).go()
        reach(child, root, place, part)
        time.sleep(share * stood[part])
        child.kill()
        fell.append((standing(root, place), part, share))
        assert len(left_over(root)) <= 1, "each process removes what the one before it left"
        if (place / MANIFEST).exists():
            assert contents(place) == usual.contents
            shutil.rmtree(place)
    judged = start(
        "judge", root=root, stages=["equimo" if what == "recording" else what], where=temporary
    )
    told = judged.go().result()
    assert told["holds"] and told["reused"][usual.path.parent.name] is False
    assert contents(place) == usual.contents
    assert Store(root).fetch(*THING, pytest.fail).path == beside.path
    assert (left_over(root), held(root)) == ([], [])
    outside = {path.name for path in temporary.iterdir()} - {"stderr", ".ses"}  # onnxruntime's
    assert not outside, "temporary files of libraries lie in the store, and go with it"
    print(f"\n{what}: {kills} kills, seed {SEED}, of a making of {sum(stood):.2f} s")
    for at, name in enumerate(STOOD):
        drawn = " ".join(
            f"{part}+{share:.2f}" for where, part, share in sorted(fell) if where == at
        )
        print(f"  {drawn.count('+'):3} {name} ({stood[at]:.3f} s): {drawn}")


@pytest.mark.parametrize("first", ["nothing", "damaged", "left"])
def test_a_kill_before_any_step_does_no_harm(start, tmp_path, first):
    """Every thing that a making does to the file system, with nothing in the artifact's place, with
    a damaged one, and with what a process left that was killed before."""
    told = start("steps", root=tmp_path, first=first).go().result()
    assert told["code"] == 0, "the last one was not killed"
    steps = {kill["step"].split()[0] for kill in told["kills"]}
    assert {"open", "os.mkdir", "os.rename", "os.rmdir", "fcntl.flock"} <= steps
    for kill in told["kills"]:
        assert kill["files"] == {"first.txt": True, "inner/second.txt": True}, kill["step"]
        assert kill["left"] == [] and kill["again"], kill["step"]
    # Once the new one is in its place it is used, and never before.
    places = [kill["reused"] for kill in told["kills"]]
    renamed = [kill["step"].startswith("os.rename") for kill in told["kills"]].index(True)
    assert places == [False] * (renamed + 1) + [True] * (len(places) - renamed - 1)
    print(f"\n{first}: {len(places)} kills, {places.count(False)} of them before it was in place")


def test_the_lock_of_a_killed_owner_blocks_nobody(start, tmp_path):
    owner = start("hold", root=tmp_path).go()
    assert owner.said() == "holding"
    assert len(held(tmp_path)) == 1
    waiting = start("thing", root=tmp_path).go()
    assert waiting.said() == "open", "while there is nothing to sweep yet"
    owner.kill()
    assert waiting.result()["reused"] == [False]
    assert (left_over(tmp_path), held(tmp_path)) == ([], [])


def test_a_living_owner_keeps_what_it_is_making(start, tmp_path):
    """Whoever opens the store meanwhile sweeps nothing of it."""
    owner = start("hold", root=tmp_path).go()
    assert owner.said() == "holding"
    before = left_over(tmp_path)
    Store(tmp_path).clear()
    assert left_over(tmp_path) == before != []
    owner.kill()
    Store(tmp_path)
    assert left_over(tmp_path) == []


@pytest.mark.parametrize("text", ["", "4711\nanother-host\n", "4711\n"])
def test_a_lock_file_from_elsewhere_blocks_nobody(tmp_path, text):
    store = Store(tmp_path / "here")
    name = store.fetch(*THING, write_thing).path.name
    there = Store(tmp_path / "there")
    file = there.root / "locks" / f"thing-{name}.lock"
    file.write_text(text)
    file.chmod(0o444)
    assert not there.fetch(*THING, write_thing).reused
    assert held(there.root) == []


def test_compiled_programs_that_were_cut_off_are_compiled_again(start, undisturbed):
    undisturbed.made("equimo")
    before = start("judge", root=undisturbed.root, stages=["equimo"]).go().result()
    programs = [path for path in (undisturbed.root / "compilations").rglob("*") if path.is_file()]
    assert programs
    for i, path in enumerate(programs):
        path.write_bytes(path.read_bytes()[: path.stat().st_size // 2] if i % 2 else b"")
    after = start("judge", root=undisturbed.root, stages=["equimo"]).go().result()
    assert after["holds"] and after["ratios"] == before["ratios"]
