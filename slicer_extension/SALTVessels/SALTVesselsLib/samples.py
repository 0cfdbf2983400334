"""Drawn images to try the module with, in Slicer's *Sample Data*; none shows a patient."""

from __future__ import annotations

from pathlib import Path

FOLDER = Path(__file__).parents[1] / "Resources" / "Samples"
CATEGORY = "SALTVessels"
# What each is called; its file is beside the others.
SAMPLES = {
    "SALTFundus": "Fundus (drawn)",
    "SALTAngiogram": "Angiogram (drawn)",
    "SALTOCTA": "OCT angiography (drawn)",
}


def register_samples() -> None:
    """Offer the images in *Sample Data*; they lie with the module, and nothing is downloaded."""
    import SampleData

    logic = SampleData.SampleDataLogic
    for name, title in SAMPLES.items():
        file = FOLDER / f"{name}.png"
        logic.registerCustomSampleDataSource(
            category=CATEGORY,
            sampleName=title,
            uris=file.as_uri(),
            fileNames=file.name,
            nodeNames=name,
            thumbnailFileName=str(file),
            # Else a number at the end of a name would make it one of a stack.
            loadFileProperties={"singleFile": True},
        )
