"""What Streamlit does not have: pieces of the page with a script of their own in the browser."""
