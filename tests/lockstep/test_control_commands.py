"""Users, approvals, watches and groups in the configuration, and people's commands against a real sequencer and real apps."""

from __future__ import annotations

import contextlib
import json

import pytest

from journal.frames import frames
from journal.messages import (
    Approval,
    CommandResult,
    ConfigItem,
    GroupDefined,
    Heartbeat,
    KillSwitch,
    LimitAcknowledged,
    OperatorCommand,
    RiskLimitSet,
    ScopeType,
    TradingStateSet,
    UserDefined,
)
from journal.writer import JournalWriter
from lockstep import standing
from lockstep.cli import main
from lockstep.config import ConfigError
from lockstep.loader import Loader
from tests.end_to_end.system import System, configuration

PEOPLE = {"user": {"alice": {}, "bob": {"login": "bsmith"}}}


def config(journal, **more):
    return configuration(journal, **(PEOPLE | more))


@pytest.mark.parametrize(
    ("tables", "line"),
    [
        ({"user": {}, "approval": {"second_person": True}}, "approval.second_person = True: expected two [user.NAME] tables"),
        ({"user": {"a": {}}, "approval": {"limits": True}}, "approval.limits = True: expected two [user.NAME] tables"),
        ({"user": {"a": {}, "b": {"login": "a"}}}, "expected a login of its own for each user"),
        ({"approval": {"valid": "soon"}}, "approval.valid = 'soon': expected a duration"),
        ({"watch": {"w": {"interval": "0s"}}}, "watch.w.interval = '0s': expected '1ms' to '1d'"),
        ({"watch": {"w": {"interval": "1s", "who": "nobody"}}}, "watch.w.who = 'nobody': expected a strategy"),
        ({"watch": {"w": {"interval": "1s", "who": "oms"}}}, "watch.w.who = 'oms': expected a strategy"),
        ({"watch": {"w": {"interval": "1s", "alert": 0}}}, "watch.w: nothing is ever done"),
        ({"watch": {"w": {"interval": "1s", "alert": -1}}}, "watch.w.alert = -1"),
        ({"group": {"g": {"strategies": ["nope"]}}}, "group.g.strategies = 'nope'"),
        ({"group": {"g": {"type": "gang"}}}, "group.g.type = 'gang': expected one of desk"),
        ({"risk": {"ban": "5"}}, "risk.ban = '5': expected a duration"),
        ({"risk": {"default": {"action": "shout"}}}, "risk.default.action = 'shout': expected one of warn, reject"),
    ],
)
def test_what_is_wrong_in_the_configuration_is_named(tmp_path, tables, line):
    with pytest.raises(ConfigError) as caught:
        configuration(tmp_path / "day", **(PEOPLE | tables))
    assert line in str(caught.value)


def test_the_loader_says_people_groups_and_rules(tmp_path):
    tables = {
        "group": {"desk": {"strategies": ["maker"], "accounts": ["demo"]}},
        "approval": {"limits": True, "second_person": True},
        "watch": {"hands": {"interval": "2s", "pause": 3}, "own": {"interval": "1s", "who": "cross", "kill": 9}},
        "risk__ban": "5s", "risk__flatten": True, "strategy__maker__owner": "alice",
    }  # fmt: skip
    made = config(tmp_path / "day", **tables)
    JournalWriter.open(tmp_path / "day", segment_bytes=1 << 20).close()
    sources = {s.name: n for n, s in enumerate(made.sources(), start=1)}
    said = Loader(made, sources=sources).messages()
    users = {m.name: m.user for m in said if isinstance(m, UserDefined)}
    assert users == {"alice": 1, "bob": 2}
    (group,) = [m for m in said if isinstance(m, GroupDefined)]
    assert [(m.member_type, m.member) for m in group.members] == [(ScopeType.ACCOUNT, 1), (ScopeType.STRATEGY, 1)]
    items = {(m.owner, m.name): json.loads(m.value) for m in said if isinstance(m, ConfigItem)}
    risk = {name: value for (owner, name), value in items.items() if owner == sources["risk"]}
    assert risk["approve_limits"] is True
    assert risk["second_person"] is True
    assert risk["ban_ns"] == 5_000_000_000
    assert [(w["name"], w["source"], w["strategy"], w["pause"], w["kill"]) for w in risk["watches"]] == [
        ("hands", sources["watch-hands"], 0, 3, 0),
        ("own", sources["cross"], 2, 0, 9),
    ]
    assert [sources["flattener"], 10] in risk["roles"]
    assert [sources["books"], 7] in risk["roles"]
    assert items[sources["oms"], "second_person"] is True


@contextlib.contextmanager
def running(journal, **more):
    system = System(config(journal, **more))
    try:
        system.start()
        system.until_ready()
        yield system
        system.stop()
    except BaseException:
        system.kill()
        raise


def said(journal, *kinds):
    return [f.message for f in frames(journal, kinds=[k.KIND for k in kinds])]


@pytest.mark.slow
@pytest.mark.timeout(120)
def test_people_at_a_running_system(tmp_path, capsys):
    journal = tmp_path / "day"
    path = str(journal)

    def command(*words):
        """(exit code, output)"""
        code = main([words[0], path, *words[1:]] if words[0] != "limit" else [*words[:2], path, *words[2:]])
        return code, capsys.readouterr().out

    def request(out):
        return out.split()[1].rstrip(";,")

    more = {"approval": {"limits": True}, "watch": {"hands": {"interval": "1h", "pause": 2}}}
    with running(journal, **more):
        alice, bob = ("--user", "alice", "--reason", "test"), ("--user", "bob", "--reason", "test")
        code, out = command("kill", "--instrument", "BTCUSDT", "--level", "block", *alice)
        assert code == 0
        kill = request(out)
        (frame,) = said(journal, KillSwitch)
        assert (frame.kill, frame.scope_type, frame.scope_instrument) == (int(kill), ScopeType.INSTRUMENT, 1)
        code, out = command("release", kill, *alice)
        assert code == 0
        assert "pending (APPROVAL_REQUIRED)" in out
        waits = out.split()[1]
        code, out = command("approve", waits, *alice)
        assert (code, "SAME_PERSON" in out) == (1, True)
        code, out = command("approve", "--user", "bob")
        assert waits in out
        code, out = command("approve", waits, *bob)
        assert (code, f"done: kill {kill} has ended" in out) == (0, True)

        code, out = command("limit", "set", "3", "--hard", "5", *alice)
        assert "pending (APPROVAL_REQUIRED)" in out
        code, _ = command("refuse", out.split("request ")[1].split()[0], *bob)
        assert code == 0
        code, out = command("limit", "set", "3", "--hard", "1.5", "--for", "1h", *alice)
        assert (code, "done: limit 3 holds from here on" in out) == (0, True)
        told = said(journal, LimitAcknowledged)[-1]
        assert (told.old_hard, told.hard, told.exp, told.user) == (2, 15, -1, 1)
        assert (standing.limits(journal)[3].terms.hard, standing.limits(journal)[1].user) == (15, 0)
        code, out = command("limit", "show")
        assert "3  position  everything: 1.5 until" in out

        code, out = command("state", "halted", "--strategy", "maker", "--reason", "test", "--user", "bob")
        assert (code, "HALTED from here on" in out) == (0, True)
        assert said(journal, TradingStateSet)[-1].scope_strategy == 1
        code, out = command("state", "active", "--strategy", "maker", *alice)
        assert code == 0
        assert command("heartbeat", "--watch", "hands", "--every", "0.01", "--count", "3")[0] == 0
        assert command("unban")[0] == 0
        for words, line in [
            (("release", kill, "--user", "carol", "--reason", "x"), "--user = 'carol': expected one of alice, bob"),
            (("kill", "--venue", "nowhere", "--reason", "x"), "--venue = 'nowhere': expected one of sim"),
            (("limit", "set", "77", "--hard", "1", *alice), "limit 77: expected one of 1, 2"),
            (("limit", "set", "--hard", "1", *alice), "expected the NUMBER of a limit, or --check and --hard"),
            (("limit", "set", "3", "--hard", "much", *alice), "expected a decimal number"),
            (("approve", "12345678", *bob), "12345678: expected a person's request"),
            (("unban", "7", *bob), "ban 7: expected one of none that hold"),
            (("heartbeat", "--watch", "feet"), "--watch = 'feet': expected one of hands"),
        ]:
            assert main([words[0], path, *words[1:]] if words[0] != "limit" else [*words[:2], path, *words[2:]]) == 2
            assert line in capsys.readouterr().err
    assert len(said(journal, Heartbeat)) == 3
    people = {m.user for m in said(journal, OperatorCommand)}
    assert people == {1, 2}
    assert len(said(journal, Approval)) == 3
    assert said(journal, CommandResult)
    assert said(journal, RiskLimitSet)[-1].valid_until_ts
