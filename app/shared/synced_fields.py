"""Fields that show what is in the workspace, where other tabs and undo change it too."""

from __future__ import annotations

from typing import Any

import streamlit as st

from app.session.record import session

TURN = "~"


def shown_key(base: str, value: Any) -> str:
    """Returns the key of a field that shows `value`; draw the field with `value` as what it shows at first.

    The key is a new one whenever the value was changed anywhere else than in this field. An open page sends the
    contents of all its fields along whenever it looks for changes, and before it has heard of one it sends the old
    contents: under the old key they are passed over, else they would be taken for what a person typed.

    The value must not be put into `st.session_state` instead: that tells the page once, and where a run of the script
    is cut short the page never hears of it, shows the new field empty and reports that as what a person typed.
    """
    before, turn = session().shown.get(base, (value, 0))
    turn += before != value
    session().shown[base] = (value, turn)
    return f"{base}{TURN}{turn}" if turn else base


def typed(key: str) -> bool:
    """Returns whether a person put something new into the field with this key; the first question of its `on_change`.

    What an open page sends for a field that is not drawn any more, or what the field shows anyway, was not typed.
    """
    base, _, turn = key.partition(TURN)
    value, now = session().shown.get(base, (None, 0))
    if int(turn or 0) != now or st.session_state[key] == value:
        return False
    session().shown[base] = (st.session_state[key], now)
    return True
