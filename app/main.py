"""Start here: `streamlit run app/main.py`, optionally with `-- --workspace W`.

Every run of the script: restore the tab, compute the K that was asked for, draw the sidebar, draw one screen.
"""

from __future__ import annotations

import streamlit as st

from app.session.caches import current_clustering, reading
from app.session.clustering import NEEDS_CLUSTERS, cluster_if_wanted
from app.session.state import current_run, current_workspace, session, write_address
from app.shared.edit_history import transfer_notice
from app.shared.layout import LOGO, STYLE, page_icon, pages, show_notice
from app.shared.notices import show_errors
from app.shared.sidebar import draw_sidebar

st.set_page_config(page_title="PiCIE Explorer", page_icon=page_icon(), layout="wide")
page = st.navigation(pages())
st.html(STYLE)
st.logo(LOGO, size="large")
workspace = run = None
with show_errors():
    session()
    workspace = current_workspace()
    if workspace is not None:
        run = current_run(workspace)
        cluster_if_wanted(run, page.title)
    write_address()
with reading(workspace):
    draw_sidebar()
with show_errors(), reading(workspace):
    if page.title != "Clusters":
        session().looking.dialog = ()  # what was open there is not any more when one comes back
    show_notice()
    with st.container():  # always there, so that the page below keeps its place
        if workspace is not None and run is not None and page.title in NEEDS_CLUSTERS:
            transfer_notice(workspace, current_clustering(run))
    page.run()
