"""`salt demo`: the whole loop on a real server, with the radiologist played by the truth."""

from __future__ import annotations

import tempfile
import time
from pathlib import Path

import numpy as np
import typer
from PIL import Image
from rich.console import Console
from rich.table import Table

from salt_monailabel.training.clicks import BACKGROUND, simulate_clicks
from salt_monailabel.training.metrics import dice

from .client import Client, ServerError, server_process
from .demo_images import walled_vessels
from .demo_page import Stage, write_page

TO_LABEL, TO_TEST = 3, 2
# Labels given before each update.
ROUNDS = (1, 2)


def run_demo(out: Path, seconds: float, console: Console) -> None:
    """Run the demonstration and write `out`/index.html."""
    started = time.monotonic()
    out.mkdir(parents=True, exist_ok=True)
    images = [walled_vessels(seed) for seed in range(TO_LABEL + TO_TEST)]
    names = [f"label_{i}" for i in range(TO_LABEL)] + [f"test_{i}" for i in range(TO_TEST)]
    truths = dict(zip(names, (truth for _, truth in images), strict=True))
    tests = names[TO_LABEL:]
    try:
        with tempfile.TemporaryDirectory() as folder, console.status("starting the server …") as status:
            log = out / "server.log"
            with server_process(Path(folder) / "studies", log) as client:
                for name, (image, _) in zip(names, images, strict=True):
                    path = Path(folder) / f"{name}.png"
                    Image.fromarray(image).save(path)
                    client.put_image(name, path)
                status.update("segmenting images the model has never seen the like of …")
                stages = [_segment(client, "nothing learned", tests)]
                clicked = _click(client, tests[0], stages[0].masks[0], truths[tests[0]])
                given = 0
                for count in ROUNDS:
                    for _ in range(count):
                        sample = _next_label(client, tests)
                        client.put_label(sample, truths[sample])
                        given += 1
                    status.update(f"learning from {given} corrected image(s), {seconds:.0f} s …")
                    begun = time.monotonic()
                    stats = client.train("salt", {"seconds": seconds})
                    stage = _segment(client, f"{given} label(s)", tests)
                    stages.append(Stage(stage.name, stage.masks, time.monotonic() - begun, stats))
    except (ServerError, OSError) as error:
        console.print(f"{error}\nThe server's own words are in {log}", style="red", markup=False, highlight=False)
        raise typer.Exit(1) from error
    expected = [truths[name] for name in tests]
    console.print(_table(stages, expected))
    console.print(f"Five clicks before any learning, on the first test image: Dice {clicked[0]:.3f} → {clicked[1]:.3f}")
    page = write_page(out, [image for image, _ in images[TO_LABEL:]], expected, stages)
    console.print(f"Pictures and training curve: [bold]{page}[/]   ({time.monotonic() - started:.0f} s in all)")


def _segment(client: Client, name: str, tests: list[str]) -> Stage:
    begun = time.monotonic()
    masks = [client.infer("salt", test) for test in tests]
    return Stage(name, masks, (time.monotonic() - begun) / len(tests))


def _click(client: Client, test: str, mask: np.ndarray, truth: np.ndarray) -> tuple[float, float]:
    """Click on the five largest errors; returns Dice before and after."""
    clicks = simulate_clicks(mask, truth, 5)
    points: dict[str, list[list[int]]] = {"foreground": [], "background": []}
    for (x, y), kind in zip(clicks.points, clicks.labels, strict=True):
        points["background" if kind == BACKGROUND else "foreground"].append([int(x), int(y), 0])
    return dice(mask, truth), dice(client.infer("salt_edit", test, {**points, "label": "vessel"}), truth)


def _next_label(client: Client, tests: list[str]) -> str:
    # "first" goes by name, and "label_…" comes before "test_…": the test images are never offered for labelling.
    name = client.next_sample("first")
    if name in tests:
        raise ServerError(f"the server offered {name} although images to label are left")
    return name


def _table(stages: list[Stage], truths: list[np.ndarray]) -> Table:
    table = Table("after", "Dice", "clDice", "seconds", title=f"{len(truths)} test images, mean")
    for stage in stages:
        score, centreline = stage.scores(truths)
        took = f"{stage.seconds:.1f} to segment one" if not stage.stats else f"{stage.seconds:.0f} to learn"
        table.add_row(stage.name, f"{score:.3f}", f"{centreline:.3f}", took)
    return table
