"""`eadnet curate simulate`: what a curation of many clips would take, from what a small one cost.

Videos go to processes as the local engine hands them out (`pool.ordered`): some in hand for each process, results in
order, and one process that writes the shards. Times are drawn from the videos that were measured. Disks and networks
are rates. Nothing here was measured on a cluster: the figures are the sums of measured pieces of work.
"""

from __future__ import annotations

import heapq
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from PIL import Image

from ..errors import BadInput
from ..metrics.plot import PALETTE, SOFT_INK, Chart, Page
from .costs import DRIVER, Costs
from .engine import VIDEOS_IN_HAND

READS_OF_SQUARES = 5
"""Mouth, sync, sharpness, signals and the shard each read a clip's squares again; on a cluster from the shared disk."""
SEEN_BYTES, SEEN_S = 500, 8e-10
"""What each clip that stays costs the first process: bytes for its hash and name, and seconds for every clip before it
that it is compared with (a 5 x 2 ** -13 share of them; measured at 50 000 and 200 000 clips)."""
DRAWN = 20_000
"""Videos that are played through; of more, the rest go on as the last half of these did."""
_EACH = 100
"""Videos for each process, at least, that are played through."""
MOST_PLAYED = 1000
"""Processes that are played."""
CORES, NETWORK, DISK, DRIVER_LIMIT = "cores", "network", "disk", "first process"


@dataclass(frozen=True)
class Cluster:
    """What a curation runs on. Rates are assumptions that the user gives.

    machines, cores  processes are machines x cores
    network_mb_s     of one machine, megabytes a second
    disk_mb_s        of the shared disk, all machines together; both for reading and for writing
    start_s          until the first video is begun: packages are imported and nets are loaded
    """

    machines: int = 1
    cores: int = 2
    network_mb_s: float = 1250.0
    disk_mb_s: float = 5000.0
    start_s: float = 20.0

    def __post_init__(self) -> None:
        """Raises BadInput for what cannot run."""
        if self.machines < 1 or self.cores < 1 or self.network_mb_s <= 0 or self.disk_mb_s <= 0 or self.start_s < 0:
            raise BadInput(
                f"{self.machines} machines of {self.cores} cores, a network of {self.network_mb_s:g} MB/s and a disk "
                f"of {self.disk_mb_s:g} MB/s: give 1 or more of each."
            )


@dataclass(frozen=True)
class Forecast:
    """What is expected of a run.

    hours        on the clock
    cpu_hours    of all cores
    disk_gb      written: squares, records and shards
    egress_gb    read from where the videos lie, once
    limit        what the run waits for: one of CORES, NETWORK, DISK, DRIVER_LIMIT
    driver_gb    memory of the first process for what it has seen
    """

    n_clips: int
    cluster: Cluster
    hours: float
    cpu_hours: float
    disk_gb: float
    egress_gb: float
    limit: str
    driver_gb: float


def simulate(costs: Costs, n_clips: int, cluster: Cluster, seed: int = 0) -> Forecast:
    """Expect the costs of `n_clips` clips like those that were measured. Raises BadInput for no clips."""
    if n_clips < 1:
        raise BadInput(f"clips is {n_clips}; give 1 or more.")
    per_clip = n_clips / costs.n_clips
    n_videos = max(1, round(costs.n_videos * per_clip))
    driver = costs.stages[DRIVER]
    work_s = sum(cost.cpu_s for name, cost in costs.stages.items() if name != DRIVER) * per_clip
    n_kept = costs.n_kept * per_clip
    waits = {CORES: played(costs, n_videos, cluster, seed)}
    waits[DRIVER_LIMIT] = driver.cpu_s * per_clip + SEEN_S * n_kept**2 / 2
    read = sum(cost.read_bytes for cost in costs.stages.values()) * per_clip
    squares, shards = (costs.stages[name].written_bytes * per_clip for name in ("squares", DRIVER))
    moved = read + squares * (1 + READS_OF_SQUARES) + shards
    waits[NETWORK] = moved / cluster.machines / (cluster.network_mb_s * 1e6) if cluster.machines > 1 else 0.0
    waits[DISK] = moved / (cluster.disk_mb_s * 1e6)
    limit = max((name for name in waits if name != CORES), key=lambda name: waits[name])
    # playing includes the first process: where that is what all wait for, it is said so
    limit = limit if waits[limit] > 0.95 * waits[CORES] else CORES
    return Forecast(
        n_clips=n_clips,
        cluster=cluster,
        hours=(max(waits.values()) + cluster.start_s) / 3600,
        cpu_hours=(work_s + waits[DRIVER_LIMIT] + cluster.start_s * cluster.machines * cluster.cores) / 3600,
        disk_gb=(squares + shards) / 1e9,
        egress_gb=read / 1e9,
        limit=limit,
        driver_gb=n_kept * SEEN_BYTES / 1e9,
    )


def played(costs: Costs, n_videos: int, cluster: Cluster, seed: int = 0) -> float:
    """Seconds until the last of `n_videos` is in its shard, without the start; times are drawn from those measured."""
    n_workers, driver_s = cluster.machines * cluster.cores, costs.stages[DRIVER].cpu_s / costs.n_videos
    if n_workers > MOST_PLAYED:  # a part of them, with their part of the videos
        driver_s *= MOST_PLAYED / n_workers
        n_videos, n_workers = max(1, round(n_videos * MOST_PLAYED / n_workers)), MOST_PLAYED
    n_drawn = min(n_videos, max(DRAWN, _EACH * n_workers))
    times = np.array(costs.videos_cpu_s)
    if n_drawn > len(times):
        # whole copies of what was measured and a drawn rest: the mean of a small run is the measured one
        rng = np.random.default_rng(seed)
        copies = np.tile(times, n_drawn // len(times))
        times = rng.permutation(np.concatenate([copies, rng.choice(times, n_drawn - len(copies), replace=False)]))
    ends = ordered_ends(times[:n_drawn], n_workers, driver_s)
    if n_videos == n_drawn:
        return float(ends[-1])
    half = n_drawn // 2
    steady_s = (ends[-1] - ends[half - 1]) / (n_drawn - half)
    return float(ends[-1] + steady_s * (n_videos - n_drawn))


def ordered_ends(
    times: Sequence[float] | np.ndarray, n_workers: int, driver_s: float = 0.0, in_hand: int = VIDEOS_IN_HAND
) -> np.ndarray:
    """When each piece of work is taken in, as `pool.ordered` does it; seconds [n].

    times     of each piece in a worker
    driver_s  for each piece, in the first process, which hands out the next one when it has done that

    >>> ordered_ends([4.0, 1.0, 1.0, 1.0, 1.0, 1.0], 2, in_hand=2).tolist()
    [4.0, 4.0, 4.0, 4.0, 5.0, 5.0]
    """
    free = [0.0] * n_workers
    ends = np.zeros(len(times))
    taken = 0.0
    done: list[float] = []
    ahead = in_hand * n_workers
    for i, seconds in enumerate(times):
        handed = ends[i - ahead] if i >= ahead else 0.0
        end = max(heapq.heappop(free), handed) + float(seconds)
        heapq.heappush(free, end)
        done.append(end)
        if i >= ahead - 1:
            j = i - ahead + 1
            taken = max(taken, done[j]) + driver_s
            ends[j] = taken
    for j in range(max(0, len(times) - ahead + 1), len(times)):
        taken = max(taken, done[j]) + driver_s
        ends[j] = taken
    return ends


def table(forecasts: Sequence[Forecast]) -> str:
    """Markdown."""
    lines = [
        "| clips | machines x cores | hours | core hours | disk | read from the source | waits for |",
        "|---|---|---|---|---|---|---|",
    ]
    for one in forecasts:
        cells = (
            f"{one.n_clips:,}", f"{one.cluster.machines:,} x {one.cluster.cores}", f"{one.hours:.3g}",
            f"{one.cpu_hours:,.3g}", _size(one.disk_gb), _size(one.egress_gb), one.limit,
        )  # fmt: skip
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def _size(gb: float) -> str:
    """A size in words.

    >>> _size(0.25), _size(1234.0)
    ('0.25 GB', '1.23 TB')
    """
    return f"{gb / 1000:.3g} TB" if gb >= 1000 else f"{gb:.3g} GB"


WIDTH, HEIGHT = 1100, 640
_BOX = (110.0, 70.0, 860.0, 560.0)


def draw_plot(rows: Sequence[Sequence[Forecast]]) -> Image.Image:
    """Hours against machines, a curve for each number of clips, both as powers of ten; where cores are not the limit
    the curve is thin."""
    page = Page(WIDTH, HEIGHT)
    every = [one for row in rows for one in row]
    machines, hours = ([np.log10(f(one)) for one in every] for f in (lambda o: o.cluster.machines, lambda o: o.hours))
    low, high = np.floor(min(hours)), np.ceil(max(hours))
    chart = Chart(page, _BOX, (0.0, max(machines)), (low, high), "Hours of a curation, by simulation")
    chart.grid()
    for number, row in enumerate(rows):
        x = np.array([np.log10(one.cluster.machines) for one in row])
        y = np.array([np.log10(one.hours) for one in row])
        color = PALETTE[1 + number % (len(PALETTE) - 1)]
        chart.line(x, y, color, 1.0)
        chart.line(x, np.where([one.limit == CORES for one in row], y, np.nan), color, 3.5)
        place = _BOX[3] - (y[-1] - low) / (high - low) * (_BOX[3] - _BOX[1])
        page.text(_BOX[2] + 10, place, f"{row[0].n_clips:.0e} clips: {row[-1].limit}", 13, color, "lm")
    chart.axes(f"machines of {every[0].cluster.cores} cores, as powers of ten", "hours, as powers of ten")
    page.text(110, 610, "Thick: the cores are the limit. Thin: something else is, named at the right.", 13, SOFT_INK)
    return page.finish()
