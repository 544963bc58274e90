"""The layout that all screens share: style, pages, sidebar, empty screens, notices."""
