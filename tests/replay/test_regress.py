"""Two builds over recorded days: a change in the user's repository is found on the day, at the frame, in the app."""

import subprocess
import sys

import msgspec
import pytest

from journal.frames import frames
from journal.messages import NewOrder, TopOfBook
from lockstep.backtesting import run_backtest
from lockstep.cli import main
from lockstep.config import parse
from replay.builds import HERE, build_of
from tests.end_to_end.system import configuration_text, one_line
from tests.replay.paced_strategy import paced

STRATEGY = paced("Paces")
SLOW = STRATEGY.replace("== 0 and m.bid_px", "== 0 and self.seen < 100 and m.bid_px")


def git(folder, *arguments):
    who = ("-c", "user.name=t", "-c", "user.email=t@example.com", "-c", "commit.gpgsign=false")
    subprocess.run(["git", "-C", str(folder), *who, *arguments], check=True, capture_output=True)


@pytest.fixture(scope="module")
def repository(tmp_path_factory):
    """A repository with a strategy, committed, and two days recorded by it: on the second it is too slow to trade twice."""
    folder = tmp_path_factory.mktemp("regress") / "repository"
    (folder / "ideas").mkdir(parents=True)
    source = folder / "ideas" / "pacing.py"
    source.write_text(STRATEGY)
    git(folder, "init", "-q")
    git(folder, "add", ".")
    git(folder, "commit", "-q", "-m", "one")
    git(folder, "tag", "one")
    for name, every in (("day1", 40), ("day2", 90)):
        strategy = {"paces": {"class": f"{source}:Paces", "account": "demo", "qty": "0.010", "every": every}}
        text = configuration_text(folder / "unused", strategy=strategy, backtest={"duration": "3s"})
        run_backtest(parse(folder / "test.toml", text.encode()), folder / "days" / name)
        sys.modules.pop("pacing", None)
    yield folder
    sys.modules.pop("pacing", None)


@pytest.fixture
def standing(repository, monkeypatch, tmp_path):
    monkeypatch.chdir(repository)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    yield repository
    (repository / "ideas" / "pacing.py").write_text(STRATEGY)
    sys.modules.pop("pacing", None)


def regress(*arguments):
    return main(["regress", *map(str, arguments)])


def test_an_unchanged_tree_behaves_alike(standing, capsys):
    assert regress("days", "--against", "HEAD") == 0
    out = capsys.readouterr().out
    assert "days/day1: alike" in out
    assert "2 days against revision HEAD" in out
    assert "2 alike, 0 not" in out


def test_a_change_is_found_on_its_day_at_its_frame(standing, capsys):
    (standing / "ideas" / "pacing.py").write_text(SLOW)
    orders = list(frames("days/day1", kinds=[NewOrder.KIND]))
    assert len(orders) >= 3
    third = orders[2].header.cause  # the 120th touch
    assert regress("days", "--against", "one", "--json") == 1
    told = msgspec.json.decode(capsys.readouterr().out)
    day1, day2 = told["days"]
    assert not told["same"]
    app = day1["apps"][0]
    assert [a["app"] for a in day1["apps"]] == ["paces"]
    assert app["first_seq"] == third
    assert app["here"] == []
    assert app["there"][0].startswith("NewOrder ")
    assert (app["changed"], app["here_only"], app["there_only"]) == (0, 0, len(orders) - 2)
    others = list(frames("days/day2", kinds=[NewOrder.KIND]))
    assert bool(day2["apps"]) == (len(others) > 1)
    assert regress("days/day1", "--against", "one") == 1
    out = capsys.readouterr().out
    assert f"paces: first at seq {third}; to the end of the day 0 changed, 0 here alone" in out
    assert "here   nothing" in out
    assert "there  NewOrder order_id=9·3" in out
    assert f"look: lockstep debug days/day1 --at {third} --app paces" in out


def test_replay_takes_a_revision_too(standing, capsys):
    assert main(["replay", "days/day1", "--against", "one"]) == 0
    assert "days/day1: alike" in capsys.readouterr().out
    (standing / "ideas" / "pacing.py").write_text(SLOW)
    sys.modules.pop("pacing", None)
    assert main(["replay", "days/day1", "--against", "HEAD", "--json"]) == 1
    told = msgspec.json.decode(capsys.readouterr().out)
    assert told["verdict"]["finding"] == "decision"
    assert told["against"]["apps"][0]["app"] == "paces"
    sys.modules.pop("pacing", None)
    assert main(["replay", "days/day1", "--bisect", "--against", "HEAD"]) in (1, 3)
    assert "after it differ paces" in capsys.readouterr().out


@pytest.fixture(scope="module")
def own(tmp_path_factory):
    """A repository of lockstep itself. `fees`: other Python. `touch`: another kernel, for which a best quantity that changes
    is no change of the touch. `broken`: a kernel that no compiler takes."""
    checkout = tmp_path_factory.mktemp("own")
    packed = subprocess.run(["git", "-C", str(HERE), "ls-files", "-z"], check=True, capture_output=True).stdout
    for name in filter(None, packed.decode().split("\0")):
        if (HERE / name).is_file() and name.split("/")[0] in (
            "journal", "sequencer", "oms", "riskengine", "apps", "gateways", "replay", "lockstep", "setup.py", "pyproject.toml",
            "README.md", "LICENSE",
        ):  # fmt: skip
            target = checkout / name
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes((HERE / name).read_bytes())
    git(checkout, "init", "-q")
    git(checkout, "add", ".")
    book = "apps/books/kernel/book.c"
    touch = "bid_px != book->bid_px || bid_qty != book->bid_qty || ask_px != book->ask_px || ask_qty != book->ask_qty"
    for tag, name, before, after in (
        ("fees", "apps/positions.py", "holding.fees += fee", "holding.fees += fee + 1"),
        ("touch", book, touch, "bid_px != book->bid_px || ask_px != book->ask_px || (bid_qty | ask_qty) == INT64_MIN"),
        # All kernels are built for it: quickly, then.
        *(("touch", name, '"-O2"', '"-O0"') for name in ("setup.py", "journal/kernel/build.py", "sequencer/kernel/build.py")),
        # Alone, so that nothing else is built for it.
        ("broken", "setup.py", 'glob.glob("*/**/kernel/build.py", recursive=True)', '["apps/books/kernel/build.py"]'),
        ("broken", "setup.py", "ext_modules=[", "ext_modules=[][:0] and ["),
        ("broken", book, "#include", "no C\n#include"),
    ):
        text = (checkout / name).read_text()
        assert before in text
        (checkout / name).write_text(text.replace(before, after, 1))
        git(checkout, "commit", "-q", "-a", "-m", tag)
        git(checkout, "tag", "-f", tag)
        if tag == "fees":
            (checkout / name).write_text(text)
    return checkout


def test_a_revision_of_lockstep_itself_runs_its_own_code(standing, own, monkeypatch, capsys):
    """One with the same kernels takes those of here; its Python is its own."""
    monkeypatch.chdir(own)
    assert regress(standing / "days" / "day1", "--against", "fees", "--json") == 1
    told = msgspec.json.decode(capsys.readouterr().out)
    assert [a["app"] for a in told["days"][0]["apps"]] == ["positions"]
    assert told["days"][0]["apps"][0]["here"][0].startswith("Position ")
    assert build_of("fees").lockstep != HERE


def test_a_revision_with_other_kernels_has_them_built(standing, own, monkeypatch, capsys):
    """From what is here, without a network; then they are what runs, in both hosts' ways."""
    for name in ("PIP_INDEX_URL", "HTTPS_PROXY", "https_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    monkeypatch.chdir(own)
    day = standing / "days" / "day1"
    assert regress(day, "--against", "touch", "--json") == 1
    told = msgspec.json.decode(capsys.readouterr().out)["days"][0]
    (books,) = [a for a in told["apps"] if a["app"] == "books"]
    assert (books["changed"], books["there_only"], books["there"]) == (0, 0, [])
    assert books["here"][0].startswith("TopOfBook ")
    before: dict[int, tuple[int, int]] = {}
    same = 0
    for frame in filter(lambda frame: frame.header.cause, frames(day, kinds=[TopOfBook.KIND])):  # the book's, not a venue's
        px = (frame.message.bid_px, frame.message.ask_px)
        if before.get(frame.message.instrument) == px:
            same += 1
            assert same > 1 or frame.header.cause == books["first_seq"]
        before[frame.message.instrument] = px
    assert books["here_only"] == same > 10
    monkeypatch.setenv("LOCKSTEP_ACCELERATOR", "off")
    assert main(["replay", str(day), "--against", "touch", "--json"]) == 1
    again = msgspec.json.decode(capsys.readouterr().out)
    assert (again["verdict"]["identical"], again["against"]["apps"]) == (True, told["apps"])


def test_kernels_that_cannot_be_built(standing, own, monkeypatch, capsys):
    monkeypatch.chdir(own)
    assert regress(standing / "days", "--against", "broken") == 2
    said = one_line(capsys.readouterr().err)
    assert "--against broken: its kernels cannot be built: " in said
    assert "book.c" in said


def test_what_was_said_before_one_raised_is_compared(standing, capsys):
    """Up to the frame at which it raised, and no further: neither what both said before nor what the other went on to say is
    a difference."""
    raises = STRATEGY.replace("self.seen += 1", "self.seen += 1\n        assert self.seen < 115, 'tangled'")
    (standing / "ideas" / "pacing.py").write_text(raises)
    assert regress("days/day1", "--against", "one", "--json") == 1
    (day,) = msgspec.json.decode(capsys.readouterr().out)["days"]
    orders = [f.header.cause for f in frames("days/day1", kinds=[NewOrder.KIND])]
    at = int(day["raised"].rpartition(" ")[2])
    assert "this code: AssertionError: tangled, at seq" in day["raised"]
    assert orders[1] < at < orders[2]  # two orders before it, one that was not made, in the same portion of the stream
    assert day["apps"] == []
    early = raises.replace("% self.every == 0", "% self.every == 1")
    (standing / "ideas" / "pacing.py").write_text(early)
    assert regress("days/day1", "--against", "one", "--json") == 1
    (day,) = msgspec.json.decode(capsys.readouterr().out)["days"]
    assert "tangled" in day["raised"]
    (app,) = [a for a in day["apps"] if a["app"] == "paces"]
    assert app["first_seq"] < orders[0]
    assert app["there_only"] == 2


def test_a_call_to_the_outside_is_no_behaviour(standing, capsys):
    """Alike today says nothing of tomorrow: that side is told as raising, as a replay would."""
    clock = STRATEGY.replace("self.seen += 1", "self.seen += 1\n        __import__('time').time()")
    (standing / "ideas" / "pacing.py").write_text(clock)
    assert regress("days/day1", "--against", "one") == 1
    out = capsys.readouterr().out
    assert "raised: this code: NotAFunctionOfTheStream: " in out
    assert "in touch: time.time reads the clock (DET101)" in out
    assert "revision one" not in out.split("raised:")[1].splitlines()[0]


def test_what_cannot_be_compared_is_said(standing, tmp_path, capsys, monkeypatch):
    def said(*arguments):
        assert regress(*arguments) == 2
        return one_line(capsys.readouterr().err)

    assert "no such folder, and no revision of" in said("days", "--against", "nonsense")
    assert "no such folder; expected one with recorded days" in said("nothing", "--against", "HEAD")
    (tmp_path / "empty").mkdir()
    assert "no journal in it" in said(tmp_path / "empty", "--against", "HEAD")
    source = standing / "ideas" / "pacing.py"
    source.write_text(STRATEGY.replace("self.seen += 1", "self.seen += 1\n        assert self.seen < 50, 'tangled'"))
    assert regress("days/day1", "--against", "HEAD") == 1
    assert "raised: this code: AssertionError: tangled, at seq" in capsys.readouterr().out
    source.unlink()
    assert regress("days", "--against", "HEAD") == 2
    assert "not compared: this code: " in capsys.readouterr().out
    monkeypatch.chdir(tmp_path)
    assert "this is no git repository" in said(standing / "days", "--against", "HEAD")
