"""Vision transformers as backbones: the patch maps of the last blocks, at any image size.

[1] Dosovitskiy et al., "An Image is Worth 16x16 Words: Transformers for Image Recognition at Scale", ICLR 2021.
[2] Caron et al., "Emerging Properties in Self-Supervised Vision Transformers" (DINO), ICCV 2021, and their code.
[3] Oquab et al., "DINOv2: Learning Robust Visual Features without Supervision", TMLR 2024, and their code.
[4] Darcet et al., "Vision Transformers Need Registers", ICLR 2024.
"""

from __future__ import annotations

import difflib
import math
import re
from types import ModuleType

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from picie_core.errors import PicieError, SettingError
from picie_core.published_backbones import TIMM_PREFIX, VIT_BACKBONES

POSITION_OFFSET = 0.1
"""What the authors of DINO and DINOv2 add to the rows and columns that they scale their grid of positions to."""
DINO_NAMES = re.compile(r"vit_[a-z]+_patch\d+_(224\.dino|dinov2(\.\w+)?)")
"""What timm calls the networks of [2] and [3]; those with registers [4] were published with timm's own rule."""


class VitBackbone(nn.Module):
    """A vision transformer of timm [1]: images (B, 3, H, W) of any size to the patch maps of its last blocks.

    Images are resized to the next multiple of the patch, so that the map covers them exactly; the positions of the
    patches are interpolated by timm's rule. A stage is the output of one of the last `stages` blocks after the final
    norm, which is what the publications of these networks cluster and probe; all stages have one size and width.
    """

    def __init__(self, name: str, stages: int):
        super().__init__()
        timm = import_timm(name)
        self.name = timm_name(name)
        self.vit = timm.create_model(self.name, num_classes=0, global_pool="", dynamic_img_size=True)
        self.patch: int = self.vit.patch_embed.patch_size[0]
        self.mean, self.std = self.vit.pretrained_cfg["mean"], self.vit.pretrained_cfg["std"]
        self.channels: list[int] = [self.vit.embed_dim] * stages
        self.strides: list[int] = [self.patch] * stages

    def forward(self, x: Tensor) -> list[Tensor]:
        height, width = (-(-side // self.patch) * self.patch for side in x.shape[2:])
        if (height, width) != x.shape[2:]:
            x = F.interpolate(x, (height, width), mode="bilinear", align_corners=False)
        return self.last_blocks(x)

    def last_blocks(self, x: Tensor) -> list[Tensor]:
        """Returns the stages, [(B, D, rows, columns)], of images of whole patches."""
        return self.vit.forward_intermediates(x, len(self.strides), norm=True, intermediates_only=True)

    def stage_parameters(self) -> list[list[nn.Parameter]]:
        """Returns the parameters of each stage, those of all blocks before with the first, the norm's with the last."""
        blocks = list(self.vit.blocks)
        later = [list(block.parameters()) for block in blocks[len(blocks) - len(self.strides) + 1 :]]
        known = {id(one) for block in later for one in block} | {id(one) for one in self.vit.norm.parameters()}
        stages = [[one for one in self.vit.parameters() if id(one) not in known], *later]
        stages[-1] += self.vit.norm.parameters()
        return stages

    def published_tensors(self) -> dict[str, Tensor]:
        """Returns the tensors under the names that timm gives them."""
        return self.vit.state_dict()

    def takes(self, name: str) -> bool:
        """Whether a published tensor is part of the network and not of a head, so that one too many is refused."""
        return not name.startswith(("head", "fc_norm", "attn_pool", "mask_token", "rope"))


class DinoBackbone(VitBackbone):
    """A DINO [2] or DINOv2 [3] network without registers: its positions are interpolated by its authors' rule."""

    def last_blocks(self, x: Tensor) -> list[Tensor]:
        patches = self.vit.patch_embed(x)  # (B, rows, columns, D)
        size: tuple[int, int] = tuple(patches.shape[1:3])
        positions = resized_positions(self.vit.pos_embed, *size)
        tokens = torch.cat([self.vit.cls_token.expand(len(x), -1, -1), patches.flatten(1, 2)], 1) + positions
        maps = []
        for number, block in enumerate(self.vit.blocks, 1):
            tokens = block(tokens)
            if number > len(self.vit.blocks) - len(self.strides):
                maps.append(self.vit.norm(tokens)[:, 1:].unflatten(1, size).permute(0, 3, 1, 2).contiguous())
        return maps


def resized_positions(positions: Tensor, rows: int, columns: int) -> Tensor:
    """Returns the position embedding (1, 1 + rows * columns, D) for a grid of patches, from (1, 1 + M * M, D).

    The class token's comes first and stays. The rule of [2] and [3]: bicubic, without antialias, by the factors
    (rows + 0.1) / M and (columns + 0.1) / M, which also tell where the new positions lie in the old grid. timm resizes
    to whole sizes with antialias, which is 0.7 to 1.7 % apart.
    """
    side = math.isqrt(positions.shape[1] - 1)
    if rows == columns == side:
        return positions
    grid = positions[:, 1:].float().unflatten(1, (side, side)).permute(0, 3, 1, 2)  # (1, D, M, M)
    factors = [(length + POSITION_OFFSET) / side for length in (rows, columns)]
    grid = F.interpolate(grid, scale_factor=factors, mode="bicubic")  # (1, D, rows, columns)
    return torch.cat([positions[:, :1], grid.flatten(2).transpose(1, 2).to(positions.dtype)], 1)


def make_vit(backbone: str, stages: int) -> VitBackbone:
    """Returns a transformer with random weights, its positions by the rule of those who published it.

    Raises SettingError for a network that timm does not know, PicieError where timm is not installed.
    """
    kind = DinoBackbone if DINO_NAMES.fullmatch(timm_name(backbone)) else VitBackbone
    return kind(backbone, stages)


def timm_name(backbone: str) -> str:
    """Returns what timm calls a backbone. Raises SettingError when timm has no vision transformer of that name."""
    timm = import_timm(backbone)
    name = VIT_BACKBONES.get(backbone, backbone.removeprefix(TIMM_PREFIX))
    known = [*timm.list_models(module="vision_transformer"), *timm.list_models(module="eva")]
    base = name.split(".")[0]
    if base not in known:
        near = difflib.get_close_matches(base, known, 5, 0.7) or ["vit_base_patch14_dinov2"]
        raise SettingError(
            f"backbone={backbone} is no vision transformer of timm {timm.__version__}: choose one of "
            f"{', '.join([*VIT_BACKBONES, *(TIMM_PREFIX + one for one in near)])}"
        )
    tags = timm.list_pretrained(f"{base}.*")
    if name != base and name not in tags:
        raise SettingError(
            f"backbone={backbone} names weights that timm {timm.__version__} does not have: choose one of "
            f"{', '.join(TIMM_PREFIX + one for one in [base, *tags])}"
        )
    return name


def import_timm(backbone: str) -> ModuleType:
    """Returns timm, imported only for the backbones that need it. Raises PicieError where it is not installed."""
    try:
        import timm
    except ImportError as error:
        raise PicieError(
            f"backbone={backbone} needs timm ({error}): pip install 'timm>=1.0.20', or give --backbone resnet18"
        ) from error
    return timm
