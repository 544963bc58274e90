"""What a training is: its objective and optimiser."""

from __future__ import annotations

from dataclasses import dataclass

from picie_core.errors import SettingError
from picie_core.settings import check_settings, setting


@dataclass(frozen=True)
class TrainSettings:
    """The objective and its optimiser; `size_px`, `batch`, `seed` and the sample are in SampleSettings."""

    k: int = setting(27, "clusters K of the pseudo-labels", low=2, high=1000)
    overcluster: int = setting(
        0,
        "clusters of an auxiliary over-clustering with its own loss, more than --k; 100 is the paper's +H, 0 is none",
        low=0,
    )
    epochs: int = setting(10, "epochs: passes over the images", low=1, high=1000)
    lr_decoder: float = setting(3e-4, "learning rate of the decoder (Adam)", low=0)
    lr_backbone: float = setting(3e-5, "learning rate of the backbone; 0 freezes it", low=0)
    lr_head: float = setting(1e-2, "learning rate of the classifier head of mdc, iic and supervised", low=0)
    head_start: str = setting(
        "probe",
        "initial classifier of supervised: the linear probe of the network that it starts from, or random, the paper's",
        choices=("probe", "random"),
    )
    held_out: float = setting(
        0.0,
        "share of the labelled images that supervised does not learn from: it keeps the epoch, or the start, with the "
        "best mIoU on them; 0 keeps the last epoch, as the paper does",
        low=0,
        high=0.5,
    )
    crop_scale: float = setting(
        0.5,
        "side of the crops of view 1 at the network's input, as a share of the square image; as crops are half to all "
        "of the square, 0.75 magnifies as often as it shrinks",
        low=0.25,
        high=1,
    )
    train_stages: int = setting(
        0,
        "stages of the backbone that train, the last ones, of a transformer its last blocks; those before are frozen; "
        "0 trains all",
        low=0,
        high=4,
    )
    schedule: str = setting(
        "cosine",
        "learning-rate schedule: cosine with a warm-up, or constant, the paper's",
        choices=("cosine", "constant"),
    )
    temperature: float = setting(
        0.1, "temperature of the softmax over cosines; with 1, the paper's, the loss flattens out early", low=1e-3
    )
    balance: float = setting(
        -0.5,
        "class weights of the loss are cluster frequency to this power; 0 is none, 1 is the authors' code",
        low=-1,
        high=1,
    )
    labels: str = setting(
        "step",
        "network that assigns the pseudo-labels: that of the current step, or that of the epoch's start, which labels "
        "all images once (the paper's)",
        choices=("step", "epoch"),
    )
    prior_matching: float = setting(
        1.0,
        "strength of the logit adjustment that keeps the label distribution at the cluster proportions of the epoch's "
        "clustering, against collapse; 0 is none, as in the paper; without effect on labels=epoch",
        low=0,
    )
    centroids: str = setting(
        "kept",
        "initial centroids of an epoch's k-means: kept from the epoch before, or random rows anew for each view (the "
        "paper's)",
        choices=("kept", "anew"),
    )
    clustered: str = setting(
        "steps",
        "features that an epoch clusters: of the last steps of the epoch before, or of a separate pass (the paper's)",
        choices=("steps", "pass"),
    )
    kmeans: str = setting(
        "sample",
        "k-means of an epoch: of sampled positions of --cluster-images, or mini-batch, the paper's: of all their "
        "positions, then centroids follow all other images as running means, in a pass of its own",
        choices=("sample", "mini-batch"),
    )
    cluster_images: int = setting(64, "images whose features an epoch's k-means clusters", low=1)
    batch_norm: str = setting(
        "frozen",
        "batch norm: frozen statistics, or train (the paper's), in the clustering pass too",
        choices=("frozen", "train"),
    )
    views: str = setting(
        "half",
        "sizes of the two views: half shows view 1, a crop, at half of --size and view 2, the whole square, at --size; "
        "equal shows both at --size, cut from a square of twice that side (the paper's)",
        choices=("half", "equal"),
    )
    square: str = setting(
        "random",
        "where the square of an image is cut: anywhere along its longer side, or from the centre (the paper's)",
        choices=("random", "centre"),
    )
    displacement: int = setting(
        1,
        "largest displacement between the views of iic, in stride-4 positions; its authors take 10 on Potsdam",
        low=0,
        high=10,
    )
    lamb: float = setting(
        1.0,
        "weight of the marginal entropies in the mutual information of iic; its authors take 1.5 for the main head on "
        "their sets of 3 classes",
        low=0,
    )
    settle: float = setting(
        0.0, "early stop: when a smaller share of the labels changes in an epoch; 0 runs all epochs", low=0, high=1
    )
    keep_epochs: int = setting(
        0, "keep the network of every so many epochs, as epochs/N of the run; 0 keeps only the last", low=0
    )
    precision: str = setting(
        "auto",
        "32-true, bf16-mixed or auto: bfloat16 where the device is fast at it",
        choices=("auto", "32-true", "bf16-mixed"),
    )
    processes: int = setting(
        1, "workers on this machine (world size), one per GPU; may differ when a run is resumed", low=1
    )

    def __post_init__(self) -> None:
        check_settings(self)
        if 0 < self.overcluster <= self.k:
            raise SettingError(
                f"overcluster={self.overcluster} must exceed k={self.k}: give more, or 0 for no over-clustering"
            )

    def square_px(self, size_px: int) -> int:
        """Returns the side of the squares that the views are cut from, for images of `size_px` at evaluation."""
        return 2 * size_px if self.views == "equal" else size_px
