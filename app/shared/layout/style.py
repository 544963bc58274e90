"""How the app looks: logo, icon of the tab, and the style sheet over Streamlit's own."""

from __future__ import annotations

import numpy as np
from PIL import Image

LOGO = (
    '<svg xmlns="http://www.w3.org/2000/svg" width="168" height="28" viewBox="0 0 168 28">'
    '<clipPath id="a"><rect y="3" width="22" height="22" rx="4"/></clipPath><g clip-path="url(#a)">'
    '<path fill="#5580dd" d="M0 3h22v9L11 9 0 13z"/><path fill="#79b796" d="M0 13l11-4 11 3v2L7 25H0z"/>'
    '<path fill="#dba062" d="M22 14v11H7z"/></g><text x="31" y="20" fill="#8a8a85" font-size="16" font-weight="600" '
    'font-family="Source Sans, Source Sans Pro, Helvetica, Arial, sans-serif">PiCIE Explorer</text></svg>'
)

STYLE = """<style>
[data-stale="true"] { transition: opacity 0s linear 0.8s !important; }
body, .stApp, input, textarea { font-variant-numeric: tabular-nums; }
[class*="st-key-sheet"] img, [class*="st-key-picture"] img { display: block; border-radius: 3px; }
[class*="st-key-sheet"] [data-testid="stImage"], [class*="st-key-picture"] [data-testid="stImage"] { width: 100%; }
[class*="st-key-strip"] img { display: block; border-radius: 3px; aspect-ratio: 4 / 3; width: 100%; }
.picie-facts { color: color-mix(in srgb, currentColor 62%, transparent); font-size: 13px; line-height: 20px; }
.picie-facts b { color: var(--picie-text, inherit); font-weight: 600; }
.picie-swatch { display: inline-block; width: 12px; height: 12px; border-radius: 3px; vertical-align: -1px;
  box-shadow: inset 0 0 0 1px rgba(128, 128, 128, .45); }
.picie-id { cursor: pointer; white-space: nowrap; color: inherit; text-decoration: none; border-radius: 3px; }
.picie-id:hover b, a.picie-id:hover { text-decoration: underline; }
.picie-keys { font-size: 13px; border-collapse: collapse; margin: 2px 0 10px; }
.picie-keys td { padding: 3px 10px 3px 0; border: 0; vertical-align: top; line-height: 18px; }
.picie-keys td:first-child { white-space: nowrap; }
.picie-keys kbd { font: inherit; font-size: 12px; padding: 1px 5px; border-radius: 3px;
  border: 1px solid color-mix(in srgb, currentColor 30%, transparent); }
[data-testid="stLayoutWrapper"]:has(> .st-key-naming_bar) { position: sticky; top: 0; z-index: 90; padding: 6px 0; }
[class*="st-key-card_"] { scroll-margin: 64px 0 16px; }
[class*="st-key-tools_"] button { min-height: 26px; padding: 0 6px; }
[class*="st-key-one_"] > :not(:first-child) { display: none; }
.st-key-edits kbd { display: none; }
.st-key-edits button { padding-left: 4px; padding-right: 4px; }
.picie-edits { border-collapse: collapse; font-size: 13px; }
.picie-edits td { padding: 1px 10px 1px 0; border: 0; line-height: 20px; vertical-align: top; }
.picie-edits td:first-child { white-space: nowrap; color: color-mix(in srgb, currentColor 62%, transparent); }
.picie-legend { width: 100%; border-collapse: collapse; font-size: 13px; }
.picie-legend td { padding: 2px 6px 2px 0; border: 0; line-height: 20px; }
.picie-legend td.number { text-align: right; padding-right: 0; white-space: nowrap; }
</style>"""


def page_icon() -> Image.Image:
    """Returns the icon of the browser tab, three regions; drawn here, as named icons come from the internet."""
    y, x = np.mgrid[:32, :32]
    region = np.where(y < 12 + 3 * np.sin(x / 5), 0, np.where(x + y < 38, 1, 2))
    return Image.fromarray(np.array([(85, 128, 221), (121, 183, 150), (219, 160, 98)], np.uint8)[region])
