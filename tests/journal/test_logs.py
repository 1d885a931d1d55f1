"""One line each, whatever is put into it; nothing secret; no flood; and where the stream was."""

import io
import json
import re

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from journal import logs
from journal.clock import ManualClock
from journal.logs import Log, LogSettings, words

LOG = Log("probe")


@pytest.fixture
def said(monkeypatch):
    """said(format, level) → the stream that lines go to, in a seam of the test's own."""
    monkeypatch.setattr(logs, "_sink", logs._Sink())

    def begin(form="text", level="info"):
        stream = io.StringIO()
        settings, clock = LogSettings(format=form, level=level), ManualClock(1_700_000_000_123_456_789)
        logs.configure(settings, stream=stream, position=lambda: (3, 77), clock=clock)
        return stream

    return begin


def test_a_line_says_when_who_where_and_what(said):
    stream = said()
    LOG.warning("ring is full", source="md", waits=3, why="too slow", nothing=None)
    assert stream.getvalue() == (
        '2023-11-14T22:13:20.123456Z warning probe [3:77] ring is full source=md waits=3 why="too slow"\n'
    )


def test_json_has_the_same_as_an_object(said):
    stream = said("json")
    LOG.error("it broke", source="md", seq=1)  # a field cannot replace what the seam says
    assert json.loads(stream.getvalue()) == {
        "ts": 1_700_000_000_123_456_789, "level": "error", "component": "probe", "epoch": 3, "seq": 77,
        "message": "it broke", "source": "md",
    }  # fmt: skip


def test_levels_below_the_wanted_one_are_silent(said):
    stream = said(level="warning")
    LOG.debug("a")
    LOG.info("b")
    assert stream.getvalue() == ""
    LOG.error("c")
    assert "c" in stream.getvalue()


@pytest.mark.parametrize("form", ["text", "json"])
@given(message=st.text(), value=st.text())
def test_nothing_forges_a_line_or_steers_a_terminal(form, message, value):
    before, logs._sink = logs._sink, logs._Sink()
    try:
        stream = io.StringIO()
        logs.configure(LogSettings(format=form), stream=stream)
        LOG.info(message, field=value)
    finally:
        logs._sink = before
    line = stream.getvalue()
    assert line.endswith("\n")
    assert not re.search("[\x00-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\ud800-\udfff]", line[:-1])
    line.encode("utf-8")
    if form == "json":
        assert json.loads(line)["message"] == message[: logs.TEXT_MAX]
        assert json.loads(line)["field"] == value[: logs.FIELD_MAX]


def test_an_escape_is_spelled_out(said):
    stream = said()
    LOG.info("red \x1b[31m\nfake line", user="\r\u202eevil")
    assert stream.getvalue().count("\n") == 1
    assert "\\x1b[31m\\x0afake line user=\\x0d\\u202eevil" in stream.getvalue()


@pytest.mark.parametrize("form", ["text", "json"])
def test_secrets_stay_secret(said, form):
    stream = said(form)
    logs.hide("hunter2-key")
    LOG.info(
        "logon with hunter2-key refused", url="ws://x?key=hunter2-key", api_key="abc", access_token="def", key="session.mode"
    )
    line = stream.getvalue()
    assert not re.search("hunter2|abc|def", line)
    assert "session.mode" in line


def test_a_message_that_repeats_leaves_the_others_heard(said, monkeypatch):
    stream = said()
    now = [100.0]
    monkeypatch.setattr(logs.time, "monotonic", lambda: now[0])
    for i in range(1000):
        LOG.warning("bad frame", at=i)
    LOG.warning("another")
    lines = stream.getvalue().splitlines()
    assert len(lines) == logs.BURST + 1
    now[0] += logs.WINDOW_S
    LOG.warning("bad frame", at=1000)
    assert stream.getvalue().splitlines()[-1].endswith(f"bad frame at=1000 left_out={1000 - logs.BURST}")


def test_the_memory_of_messages_is_bounded(said):
    said()
    for i in range(logs.MESSAGES_MAX + 50):
        LOG.info(f"message {i}")
    assert len(logs._sink._said) == logs.MESSAGES_MAX


def test_a_stream_that_fails_stops_nobody(said):
    stream = said()
    stream.close()
    LOG.error("into the void")


def test_words_of_a_line(said):
    for form in ("text", "json"):
        stream = said(form)
        LOG.error("oms: halted on the frame after seq 7")
        assert words(stream.getvalue().strip()) == "oms: halted on the frame after seq 7"
    assert words("ValueError: of another make") == "ValueError: of another make"
    assert words("{not json") == "{not json"


def test_long_text_is_cut(said):
    stream = said("json")
    LOG.info("x" * 10_000, field="y" * 10_000)
    assert len(stream.getvalue()) < logs.TEXT_MAX + logs.FIELD_MAX + 300


def test_unknown_settings_are_refused():
    with pytest.raises(msgspec.ValidationError):
        msgspec.convert({"level": "loud"}, LogSettings)
