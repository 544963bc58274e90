"""Start here: `streamlit run app/main.py`, optionally with `-- --workspace W`.

Every run of the script: restore the tab, compute the K that was asked for, draw the sidebar, draw one screen.
"""

from __future__ import annotations

import streamlit as st

from app.clustering import cluster_if_wanted
from app.frame import LOGO, STYLE, page_icon, pages, show_notice
from app.notices import told
from app.sidebar import draw_sidebar
from app.state import current_run, current_workspace, session, write_address

st.set_page_config(page_title="PiCIE Explorer", page_icon=page_icon(), layout="wide")
page = st.navigation(pages())
st.html(STYLE)
st.logo(LOGO, size="large")
with told():
    session()
    workspace = current_workspace()
    if workspace is not None:
        run = current_run(workspace)
        cluster_if_wanted(workspace, run, page.title)
    write_address()
draw_sidebar()
with told():
    show_notice()
    page.run()
