"""What an export will change or leave out, told before it is written."""

from __future__ import annotations

import html

from app.export.options import Choice
from app.session.cache import cached
from app.shared.formatting import count, percent
from app.shared.layout.elements import small
from picie_core.export.formats import FORMATS
from picie_core.export.legend import make_legend
from picie_core.export.mask_format import held_classes
from picie_core.workspace.workspace import StoredClustering

EXAMPLES = 3


def draw_checks(clustering: StoredClustering, choice: Choice) -> None:
    """Draws the sets, unnamed pixels, and the names of classes and images that a format holds in another form.

    Raises SettingError for what a format cannot hold at all.
    """
    settings = choice.settings
    paths = tuple(one.path for one in clustering.workspace.image_list().readable)
    splits = settings.division.splits_of(paths)
    lines = [f"{count(splits.count('train'), 'image')} in train, {splits.count('val'):,} in val"]
    unnamed = 1 - clustering.named_share()
    if not settings.raw and unnamed > 0:
        lines.append(f"about {percent(unnamed)} of the pixels have no name and become 255")
    legend = make_legend(clustering.label_map, clustering, settings.raw, choice.post_processing, settings.classes)
    for key in choice.formats:
        form = FORMATS[key]
        form.check_splits(splits)
        held = held_classes(form, legend.classes, settings.fix_names)
        changed = [(old.name, new.name) for old, new in zip(legend.classes, held, strict=True) if old.name != new.name]
        if changed:
            shown = ", ".join(f"“{old}” as “{new}”" for old, new in changed[:EXAMPLES])
            more = f" and {len(changed) - EXAMPLES} more" if len(changed) > EXAMPLES else ""
            lines.append(f"{form.title} writes {shown}{more}")
        renamed = renamed_images(key, paths)
        if renamed:
            lines.append(f"{form.title} gives {count(renamed, 'image')} another name, listed in export.json")
    small(" · ".join(html.escape(line) for line in lines))


@cached(32)
def renamed_images(key: str, paths: tuple[str, ...]) -> int:
    """Returns how many images have another name in a format than their relative path without suffix."""
    stems = FORMATS[key].stems(paths)
    return sum(path.rpartition(".")[0] != stem for path, stem in zip(paths, stems, strict=True))
