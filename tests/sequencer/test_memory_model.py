"""The model checker itself: the litmus tests whose answers everybody knows."""

import pytest
from memory_model import Checker


def store_then_load(own, other, fence):
    def program():
        yield ("store", own, 1, "relaxed")
        if fence:
            yield ("fence",)
        yield ("load", other, "relaxed")

    return program


@pytest.mark.parametrize("fence", [False, True])
def test_store_buffering_needs_full_fences(fence):
    threads = {"a": store_then_load("x", "y", fence), "b": store_then_load("y", "x", fence)}
    ends = Checker(threads, words={"x": 0, "y": 0}).run().ends
    assert (((0,), (0,)) in ends) != fence
    assert ((1,), (1,)) in ends


@pytest.mark.parametrize(("store", "load"), [("release", "acquire"), ("relaxed", "acquire"), ("release", "relaxed")])
def test_a_message_passes_only_by_release_and_acquire(store, load):
    def writer():
        yield ("write", "data", 42)
        yield ("store", "flag", 1, store)

    def reader():
        if (yield ("load", "flag", load)):
            assert (yield ("read", "data")) == 42

    verdict = Checker({"writer": writer, "reader": reader}, words={"flag": 0}, cells={"data": 0}).run()
    assert ("data race" in verdict.wrong) == ((store, load) != ("release", "acquire"))


def test_fences_make_relaxed_accesses_pass_a_message():
    def writer():
        yield ("write", "data", 42)
        yield ("fence",)
        yield ("store", "flag", 1, "relaxed")

    def reader():
        if (yield ("load", "flag", "relaxed")):
            yield ("fence",)
            assert (yield ("read", "data")) == 42

    assert Checker({"writer": writer, "reader": reader}, words={"flag": 0}, cells={"data": 0}).run().wrong == {}


def test_values_of_one_word_are_never_seen_backwards():
    def writer():
        for value in (1, 2, 3):
            yield ("store", "x", value, "relaxed")

    def reader():
        first = yield ("load", "x", "relaxed")
        second = yield ("load", "x", "relaxed")
        assert second >= first

    assert Checker({"writer": writer, "reader": reader}, words={"x": 0}).run().wrong == {}


def test_overwriting_what_is_being_read_is_a_race():
    def writer():
        yield ("write", "data", 1)
        yield ("store", "flag", 1, "release")
        yield ("write", "data", 2)

    def reader():
        if (yield ("load", "flag", "acquire")):
            yield ("read", "data")

    assert "data race" in Checker({"writer": writer, "reader": reader}, words={"flag": 0}, cells={"data": 0}).run().wrong


@pytest.mark.parametrize("looks_again", [True, False])
def test_a_lost_wake_is_found(looks_again):
    def sleeper():
        yield ("store", "asleep", 1, "relaxed")
        yield ("fence",)
        if looks_again and (yield ("load", "work", "acquire")):
            return
        yield ("sleep", "fd")

    def worker():
        yield ("store", "work", 1, "release")
        yield ("fence",)
        if (yield ("load", "asleep", "relaxed")):
            yield ("wake", "fd")

    verdict = Checker({"sleeper": sleeper, "worker": worker}, words={"asleep": 0, "work": 0}, fds=("fd",)).run()
    assert ("lost wake" in verdict.wrong) != looks_again
