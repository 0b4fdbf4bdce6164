"""Nodes on their way from an agent to the hub: nothing is lost of good ones, and nothing bad gets through."""

from dataclasses import fields
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from federation.drivers.agent_nodes import (
    NotUnderstood,
    digest_of,
    node_from_json,
    node_to_json,
    not_believed,
    stamp_of,
)
from federation.drivers.base import DeviceSeen, Health, NodeSeen

_amounts = st.integers(0, 2**40)
_texts = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=8)


def _devices() -> st.SearchStrategy[DeviceSeen]:
    words: dict[Any, st.SearchStrategy[Any]] = {str: _texts, int: _amounts, bool: st.booleans()}
    special = {"health": st.sampled_from([*Health]), "numa": st.none() | _amounts}
    given_types = {f.name: f.type for f in fields(DeviceSeen)}
    found: dict[str, st.SearchStrategy[Any]] = {}
    for name, kind in given_types.items():
        found[name] = special[name] if name in special else words[kind]
    return st.builds(DeviceSeen, **found)


_nodes = st.builds(
    NodeSeen,
    name=_texts.filter(bool),
    cpu_milli=_amounts,
    memory_mib=_amounts,
    devices=st.lists(_devices(), max_size=2).map(tuple),
    is_ready=st.booleans(),
    message=_texts,
    rack=_texts,
    labels=st.dictionaries(_texts, _texts, max_size=3),
    foreign_cpu_milli=_amounts,
    foreign_memory_mib=_amounts,
    system_uuid=_texts,
    guests=st.lists(_texts, max_size=3).map(tuple),
)
_json = st.recursive(
    st.none() | st.booleans() | st.floats() | st.integers() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)


@settings(max_examples=60, deadline=None)
@given(_nodes)
def test_a_node_arrives_as_it_was_sent(node: NodeSeen) -> None:
    said = node_to_json(node)
    assert node_from_json(said) == node
    assert digest_of(said) == digest_of(node_to_json(node_from_json(said)))


@settings(max_examples=60, deadline=None)
@given(_json, st.sampled_from([f.name for f in (*fields(NodeSeen), *fields(DeviceSeen))]))
def test_nonsense_is_refused_by_one_error_and_no_other(value: Any, name: str) -> None:
    good = node_to_json(NodeSeen("n", 1, 1, (DeviceSeen(0, "u", "v", "m", 1),)))
    for odd in (value, {**good, name: value}, {**good, "devices": [{**good["devices"][0], name: value}]}):
        try:
            node = node_from_json(odd)
        except NotUnderstood as error:
            assert not_believed(odd, str(error)) is None or isinstance(odd, dict)
        else:
            texts = [node.name, node.message, node.rack, *node.labels, *node.labels.values()]
            assert not any("\0" in text for text in texts)
            "".join(texts).encode()
            assert node_from_json(node_to_json(node)) == node


def test_what_is_too_long_is_cut_and_a_stranger_is_unknown() -> None:
    said = node_to_json(NodeSeen("n" * 300, 1, 1, (DeviceSeen(0, "u" * 999, "v", "m", 1),), message="\ud800\0"))
    said["devices"][0] |= {"health": "dancing", "colour": "red"}
    node = node_from_json(said)
    assert (len(node.name), len(node.devices[0].uuid), node.devices[0].health) == (253, 300, Health.UNKNOWN)
    assert node.message == "??"
    with pytest.raises(NotUnderstood, match="1024"):
        node_from_json({**said, "devices": said["devices"] * 1025})


def test_the_stamp_is_of_what_there_is_and_not_of_its_order() -> None:
    assert stamp_of({"a": "1", "b": "2"}) == stamp_of({"b": "2", "a": "1"})
    assert len({stamp_of(one) for one in ({}, {"a": "1"}, {"a": "2"}, {"a": "1", "b": "1"}, {"b": "1"})}) == 5
