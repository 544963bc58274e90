"""Start here: `streamlit run app/main.py`, optionally with `-- --workspace W`.

Every run of the script: restore the tab, compute the K that was asked for, draw the sidebar, draw one screen.
"""

from __future__ import annotations

import streamlit as st

from app.session.address import write_address
from app.session.clustering import NEEDS_CLUSTERS, cluster_if_wanted
from app.session.current import current_clustering, current_run, current_workspace, open_workspace, reading
from app.session.record import session
from app.shared.components.page_scripts import run_page_scripts
from app.shared.edit_history import transfer_notice
from app.shared.layout.notices import show_errors, show_notice
from app.shared.layout.pages import pages
from app.shared.layout.sidebar import draw_sidebar
from app.shared.layout.style import LOGO, STYLE, page_icon

st.set_page_config(page_title="PiCIE Explorer", page_icon=page_icon(), layout="wide")
page = st.navigation(pages())
st.html(STYLE)
st.logo(LOGO, size="large")
run_page_scripts()
workspace = run = None
with show_errors():
    record = session()
    record.arrived, record.screen = record.screen != page.title, page.title
    workspace = current_workspace()
    if workspace is not None:
        run = current_run(workspace)
        cluster_if_wanted(run, page.title)
    write_address(record.workspace, record.run)
with reading(workspace):
    draw_sidebar(workspace, run)
if workspace is None and session().workspace:  # why it cannot be opened stands above, once
    st.button("Choose other images", type="primary", key="leave_workspace", on_click=open_workspace, args=(None,))
    st.stop()
with show_errors(), reading(workspace):
    show_notice()
    with st.container():  # always there, so that the page below keeps its place
        if workspace is not None and run is not None and page.title in NEEDS_CLUSTERS:
            transfer_notice(workspace, current_clustering(run))
    page.run()
