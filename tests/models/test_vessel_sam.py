"""The model: Segment Anything itself until its head is trained, one prompt for each image of a batch."""

from __future__ import annotations

from dataclasses import fields, replace

import pytest
import torch
from segment_anything.modeling import ImageEncoderViT, MaskDecoder, PromptEncoder, Sam, TwoWayTransformer
from torch import Tensor, nn
from torch.nn import functional

from salt_monailabel.models import Prompts, UnknownLabelError, VesselSam
from salt_monailabel.models.hints import draw_hints
from salt_monailabel.models.label_prompts import LabelPrompts

LABEL = torch.zeros(1, dtype=torch.int64)
CLICKS = {"points": torch.tensor([[[20.0, 30.0], [50.0, 7.0]]]), "point_labels": torch.tensor([[1, 0]])}
BOX = {"boxes": torch.tensor([[5.0, 8.0, 40.0, 60.0]])}


def noise(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def images(count: int = 1, size: int = 64) -> Tensor:
    return torch.rand((count, 3, size, size), generator=torch.Generator().manual_seed(0))


def previous_mask() -> dict[str, Tensor]:
    """Return probabilities whose means over 4 x 4 pixels are normal numbers as logits."""
    means = functional.interpolate(noise(1, 1, 16, 16).sigmoid(), scale_factor=4, mode="nearest")
    return {"masks": means + torch.tensor([[0.01, -0.01], [-0.01, 0.01]]).repeat(32, 32)}


PROMPTS = {
    "label alone": Prompts(LABEL),
    "clicks": Prompts(LABEL, **CLICKS),
    "box": Prompts(LABEL, **BOX),
    "mask": Prompts(LABEL, **previous_mask()),
    "all": Prompts(LABEL, **CLICKS, **BOX, **previous_mask()),
}


@pytest.fixture
def sam(tiny_sam: VesselSam) -> VesselSam:
    """Return a SAM whose position embeddings are trained, which begin at zero and would hide mistakes."""
    with torch.no_grad():
        for seed, (name, parameter) in enumerate(tiny_sam.named_parameters()):
            if "pos" in name:
                parameter.copy_(0.1 * noise(*parameter.shape, seed=seed))
    return tiny_sam


def train_the_head(model: VesselSam) -> None:
    """Give the last layer of the head numbers as training would."""
    with torch.no_grad():
        model.detail_head.residual.weight.copy_(0.05 * noise(*model.detail_head.residual.weight.shape))


def segment_anything(model: VesselSam) -> Sam:
    """Return Meta's model with the weights of ours."""
    original = Sam(
        ImageEncoderViT(
            img_size=64,
            patch_size=16,
            embed_dim=32,
            depth=2,
            num_heads=2,
            out_chans=256,
            norm_layer=lambda width: nn.LayerNorm(width, eps=1e-6),
            use_rel_pos=True,
            window_size=4,
            global_attn_indexes=(1,),
        ),
        PromptEncoder(embed_dim=256, image_embedding_size=(4, 4), input_image_size=(64, 64), mask_in_chans=16),
        MaskDecoder(
            transformer_dim=256,
            transformer=TwoWayTransformer(depth=2, embedding_dim=256, mlp_dim=2048, num_heads=8),
        ),
    )
    ours = {
        name: tensor
        for name, tensor in model.state_dict().items()
        if not name.startswith(("label_prompts.", "detail_head."))
    }
    original.load_state_dict(ours, strict=True)
    return original.eval()


@pytest.mark.parametrize("asked", PROMPTS)
def test_without_training_it_is_segment_anything_with_a_label_token(sam: VesselSam, asked: str) -> None:
    prompts, original = PROMPTS[asked], segment_anything(sam)
    with torch.no_grad():
        logits, coarse = sam(images(), prompts)

        embedding = original.image_encoder(original.preprocess(images() * 255))
        points = None if prompts.points is None else (prompts.points, prompts.point_labels)
        masks = None if prompts.masks is None else noise(1, 1, 16, 16)
        sparse, dense = original.prompt_encoder(points=points, boxes=prompts.boxes, masks=masks)
        expected, _ = original.mask_decoder(
            image_embeddings=embedding,
            image_pe=original.prompt_encoder.get_dense_pe(),
            sparse_prompt_embeddings=torch.cat([sam.label_prompts.tokens[None], sparse], dim=1),
            dense_prompt_embeddings=dense,
            multimask_output=False,
        )
        upsampled = original.postprocess_masks(expected, input_size=(64, 64), original_size=(64, 64))
    assert expected.std() > 0.01
    torch.testing.assert_close(coarse, expected, rtol=0, atol=1e-5)
    torch.testing.assert_close(logits, upsampled, rtol=0, atol=1e-5)


def test_a_modulation_parts_labels_that_are_one_to_the_decoder(sam: VesselSam) -> None:
    model = VesselSam(sam.architecture, ("vessel", "stenosis")).eval()
    train_the_head(model)
    twice, asked = images().expand(2, -1, -1, -1), Prompts(torch.tensor([0, 1]))
    with torch.no_grad():
        model.label_prompts.tokens[1] = model.label_prompts.tokens[0]
        alike, _ = model(twice, asked)
        model.label_prompts.modulation[1] = noise(192)
        logits, coarse = model(twice, asked)
    assert torch.equal(alike[0], alike[1])
    assert torch.equal(coarse[0], coarse[1])
    assert torch.equal(logits[0], alike[0])
    assert not torch.allclose(logits[0], logits[1], atol=1e-2)


def test_a_trained_head_changes_the_native_logits_alone(sam: VesselSam) -> None:
    with torch.no_grad():
        logits, coarse = sam(images(), PROMPTS["clicks"])
        train_the_head(sam)
        refined, still_coarse = sam(images(), PROMPTS["clicks"])
    assert torch.equal(coarse, still_coarse)
    assert not torch.allclose(logits, refined, atol=1e-2)


def test_the_head_resolves_what_the_stride_of_the_decoder_blurs(sam: VesselSam) -> None:
    train_the_head(sam)
    with torch.no_grad():
        residual = sam.detail_head(images(), noise(1, 32, 16, 16), torch.zeros(1, 3, 64, 64), torch.zeros(1, 192))
    blurred = functional.interpolate(functional.avg_pool2d(residual, 4), scale_factor=4, mode="bilinear")
    assert residual.shape == (1, 1, 64, 64)
    assert (residual - blurred).std() > 0.2 * residual.std()


def test_the_head_is_shown_the_image_and_the_prompts_drawn_over_it(sam: VesselSam) -> None:
    shown: list[tuple[Tensor, ...]] = []
    sam.detail_head.register_forward_pre_hook(lambda head, inputs: shown.append(inputs))
    asked = PROMPTS["all"]
    with torch.no_grad():
        sam(images(), asked)
    ((pixels, _, hints, _),) = shown
    assert torch.equal(pixels, sam.normalize(images()))
    assert torch.equal(hints, draw_hints(64, asked.points, asked.point_labels, asked.masks, 1))


def test_a_click_two_pixels_further_changes_the_detail(sam: VesselSam) -> None:
    train_the_head(sam)
    embedding = noise(1, 32, 16, 16)
    with torch.no_grad():
        residuals = [
            sam.detail_head(
                images(), embedding, draw_hints(64, points, torch.tensor([[1]]), None, 1), torch.zeros(1, 192)
            )
            for points in (None, torch.tensor([[[20.0, 30.0]]]), torch.tensor([[[22.0, 30.0]]]))
        ]
    assert not torch.allclose(residuals[0], residuals[1], atol=1e-3)
    assert not torch.allclose(residuals[1], residuals[2], atol=1e-3)


def test_a_certain_previous_mask_gives_finite_logits(sam: VesselSam) -> None:
    with torch.no_grad():
        for certain in (torch.zeros(1, 1, 64, 64), torch.ones(1, 1, 64, 64)):
            assert all(answer.isfinite().all() for answer in sam(images(), Prompts(LABEL, masks=certain)))


def test_prompts_move_to_another_device_with_all_they_hold() -> None:
    moved = PROMPTS["all"].to(torch.device("meta"))
    assert all(getattr(moved, field.name).is_meta for field in fields(moved))
    assert PROMPTS["label alone"].to(torch.device("meta")).masks is None


@pytest.mark.parametrize("asked", PROMPTS)
def test_a_batch_is_as_many_single_runs(sam: VesselSam, asked: str) -> None:
    train_the_head(sam)
    one = PROMPTS[asked]
    batch = Prompts(LABEL.expand(3))
    for field in fields(one)[1:]:
        value = getattr(one, field.name)
        if value is not None:
            # Each image gets a prompt of its own, so that a mixed-up batch shows; the kind of a click is kept.
            others = [value if field.name == "point_labels" else value * scale for scale in (1, 0.7, 0.3)]
            batch = replace(batch, **{field.name: torch.cat(others)})
    with torch.no_grad():
        together = sam(images(3), batch)
        for i in range(3):
            single = Prompts(*(None if (v := getattr(batch, f.name)) is None else v[i : i + 1] for f in fields(batch)))
            for found, expected in zip(together, sam(images(3)[i : i + 1], single), strict=True):
                torch.testing.assert_close(found[i : i + 1], expected, rtol=0, atol=1e-5)


def test_images_of_a_batch_may_ask_for_different_labels(sam: VesselSam) -> None:
    model = VesselSam(sam.architecture, ("vessel", "stenosis")).eval()
    twice = images().expand(2, -1, -1, -1)
    with torch.no_grad():
        nn.init.normal_(model.label_prompts.tokens, generator=torch.Generator().manual_seed(0))
        _, both = model(twice, Prompts(torch.tensor([1, 0])))
        alone = [model(images(), Prompts(torch.tensor([label])))[1] for label in (1, 0)]
    assert not torch.allclose(both[0], both[1], atol=1e-3)
    torch.testing.assert_close(both, torch.cat(alone), rtol=0, atol=1e-5)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        pytest.param({}, CLICKS, id="clicks"),
        pytest.param({}, BOX, id="box"),
        pytest.param({}, previous_mask(), id="mask"),
        pytest.param(CLICKS, CLICKS | {"point_labels": torch.tensor([[0, 0]])}, id="foreground or background"),
        pytest.param(CLICKS, CLICKS | {"points": torch.tensor([[[20.0, 30.0], [10.0, 7.0]]])}, id="place of a click"),
        pytest.param(CLICKS, CLICKS | {"points": CLICKS["points"].flip(-1)}, id="x or y"),
        pytest.param(BOX, {"boxes": torch.tensor([[5.0, 8.0, 40.0, 20.0]])}, id="size of a box"),
    ],
)
def test_what_is_asked_changes_the_answer(sam: VesselSam, one: dict[str, Tensor], other: dict[str, Tensor]) -> None:
    with torch.no_grad():
        answers = [sam(images(), Prompts(LABEL, **asked))[0] for asked in (one, other)]
    assert not torch.allclose(*answers, atol=1e-4)


def test_the_place_of_a_padding_point_does_not_matter(sam: VesselSam) -> None:
    answers = []
    for x, y in ((0.0, 0.0), (33.0, 50.0)):
        points = torch.cat([CLICKS["points"], torch.tensor([[[x, y]]])], dim=1)
        kinds = torch.tensor([[1, 0, -1]])
        with torch.no_grad():
            answers.append(sam(images(), Prompts(LABEL, points, kinds))[0])
    assert torch.equal(*answers)


def test_padding_points_let_images_of_a_batch_have_different_numbers_of_clicks(sam: VesselSam) -> None:
    points = CLICKS["points"].repeat(2, 1, 1)
    kinds = torch.tensor([[1, 0], [1, -1]])
    with torch.no_grad():
        _, together = sam(images(2), Prompts(LABEL.expand(2), points, kinds))
        _, two = sam(images(2)[:1], Prompts(LABEL, points[:1], kinds[:1]))
        _, lone = sam(images(2)[1:], Prompts(LABEL, points[1:], kinds[1:]))
    torch.testing.assert_close(together, torch.cat([two, lone]), rtol=0, atol=1e-5)


@pytest.mark.parametrize("size", [16, 32, 80, 96, 112])
def test_any_multiple_of_the_patch_size_is_an_input_size(sam: VesselSam, size: int) -> None:
    model = VesselSam(sam.architecture, input_size=size).eval()
    with torch.no_grad():
        embeddings = model.encode(images(2, size))
        logits, coarse = model(images(2, size), Prompts(LABEL.expand(2)))
        again = model(images(2, size), Prompts(LABEL.expand(2), masks=logits.sigmoid()))[0]
    assert embeddings.shape == (2, 256, size // 16, size // 16)
    assert logits.shape == again.shape == (2, 1, size, size)
    assert coarse.shape == (2, 1, size // 4, size // 4)
    assert logits.isfinite().all()


@pytest.mark.parametrize("size", [8, 63, 100])
def test_another_input_size_is_refused(sam: VesselSam, size: int) -> None:
    with pytest.raises(ValueError, match=f"input_size {size} is not a multiple of the patch size 16"):
        VesselSam(sam.architecture, input_size=size)


def test_decoding_what_was_encoded_is_the_whole_model(sam: VesselSam) -> None:
    with torch.no_grad():
        whole = sam(images(), PROMPTS["all"])
        apart = sam.decode(images(), sam.encode(images()), PROMPTS["all"])
    assert all(torch.equal(one, other) for one, other in zip(whole, apart, strict=True))


def test_an_unknown_label_is_refused_and_the_known_ones_named() -> None:
    prompts = LabelPrompts(("vessel", "stenosis"), 8, 4)
    assert prompts.index("stenosis") == 1
    with pytest.raises(UnknownLabelError, match="unknown label 'catheter'; this model knows: vessel, stenosis"):
        prompts.index("catheter")


@pytest.mark.parametrize("labels", [(), ("vessel", "vessel")])
def test_labels_must_be_distinct_and_at_least_one(labels: tuple[str, ...]) -> None:
    with pytest.raises(ValueError, match="labels must be distinct"):
        LabelPrompts(labels, 8, 4)


def test_label_tokens_from_text_are_an_affine_map_that_trains(sam: VesselSam) -> None:
    text = noise(2, 6)
    model = VesselSam(sam.architecture, ("vessel", "stenosis"), text_embeddings=text)
    tokens = model.label_prompts(torch.tensor([1, 0]))
    affine = model.label_prompts.affine
    torch.testing.assert_close(tokens, (text[[1, 0]] @ affine.weight.T + affine.bias).unsqueeze(1))
    tokens.square().sum().backward()
    assert affine.weight.grad is not None
    assert affine.weight.grad.any()
    assert torch.equal(model.state_dict()["label_prompts.text"], text)
    assert "label_prompts.text" not in dict(model.named_parameters())
