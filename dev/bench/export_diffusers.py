#!/usr/bin/env python3
"""A model written by `scorefield export --as diffusers`, loaded and evaluated by diffusers itself, beside our own evaluation.

    PYTHON_WITH_DIFFUSERS dev/bench/export_diffusers.py target/release/scorefield MODEL [MODEL ...]

Needs torch, diffusers, safetensors and numpy from PyPI. A MODEL is whatever `export` takes; of a run, file or checkpoint the folder is
written into a temporary place, a folder of diffusers is written anew. At three times the network is asked by both on the same two states;
the largest difference as a share of the largest number must be below 1e-5. Of tables the signal levels are compared through the clean
data, to 1e-4 of them: the library forms its products in single precision. The pipeline then takes two steps, to see that it runs.
"""
import json, os, subprocess, sys, tempfile

os.environ.setdefault("HF_HUB_OFFLINE", "1")
import numpy as np
import torch
from diffusers import DiffusionPipeline, UNet2DModel
from diffusers.utils import logging

logging.set_verbosity_error()
logging.disable_progress_bar()

TOLERANCE, LEVELS = 1e-5, 1e-4


def run(*words):
    done = subprocess.run(words, capture_output=True, text=True)
    if done.returncode:
        sys.exit(f"{' '.join(words)}: {done.stderr}")
    return json.loads(done.stdout) if "--json" in words else done.stdout


def share(a, b):
    return float(np.abs(a - b).max() / np.abs(b).max())


def verify(binary, model, place):
    folder = os.path.join(place, "folder")
    written = run(binary, "export", model, "--as", "diffusers", "-o", folder, "--json")
    pipeline = DiffusionPipeline.from_pretrained(folder)
    pipeline.set_progress_bar_config(disable=True)
    unet, scheduler = UNet2DModel.from_pretrained(folder, subfolder="unet").eval(), pipeline.scheduler
    with open(os.path.join(folder, "unet", "config.json")) as file:
        size = json.load(file)["sample_size"]
    height, width = (size, size) if isinstance(size, int) else size
    channels, fourier = unet.config.in_channels, unet.config.time_embedding_type == "fourier"
    classes, label = unet.config.num_class_embeds, 3
    x = np.random.default_rng(5).standard_normal((2, channels, height, width)).astype(np.float32)
    given, out = os.path.join(place, "x.npy"), os.path.join(place, "y.npy")

    def ours(x, t, what):
        np.save(given, x)
        told = ["--class", str(label)] if classes else []
        run(binary, "predict", model, given, "--time", repr(t), "--as", what, "-o", out, "-q", *told)
        return np.load(out)

    worst, levels = 0.0, 0.0
    last = scheduler.config.num_train_timesteps - 1
    zero = scheduler.config.get("rescale_betas_zero_snr", False)
    for t in [0.25, 0.5, 0.75] if fourier else [0, last // 3, last - (1 if zero else 0)]:
        sigma = scheduler.config.sigma_min * (scheduler.config.sigma_max / scheduler.config.sigma_min) ** t if fourier else None
        state = (x * np.float32(sigma) + np.float32(0.5)) if fourier else x
        time = torch.full((2,), sigma if fourier else t, dtype=torch.float32 if fourier else torch.long)
        labels = torch.full((2,), label) if classes else None
        with torch.no_grad():
            theirs = unet(torch.from_numpy(state), time, class_labels=labels).sample.numpy()
        found = ours(state, float(t), "raw").reshape(theirs.shape)
        worst = max(worst, share(found / np.float32(sigma) if fourier else found, theirs))
        if not fourier:
            output, ab = theirs[:, :channels].astype(np.float64), float(scheduler.alphas_cumprod[t])
            a, s = ab**0.5, (1 - ab) ** 0.5
            kind = scheduler.config.prediction_type
            clean = {"epsilon": (x - s * output) / a, "v_prediction": a * x - s * output, "sample": output}[kind]
            levels = max(levels, share(ours(x, float(t), "clean"), clean))
    if not classes:  # DDPMPipeline tells no class
        pictures = pipeline(batch_size=1, num_inference_steps=2, output_type="np").images
        assert pictures.shape == (1, height, width, channels) and np.isfinite(pictures).all(), pictures.shape
    parameters = sum(p.numel() for p in unet.parameters())
    print(
        f"{model}: {type(pipeline).__name__}, {written['tensors']} tensors, {parameters} parameters; "
        f"network {worst:.1e}" + ("" if fourier else f", clean data {levels:.1e}")
    )
    return worst < TOLERANCE and levels < LEVELS


def main():
    if len(sys.argv) < 3:
        sys.exit(__doc__)
    sound = []
    for model in sys.argv[2:]:
        with tempfile.TemporaryDirectory() as place:
            sound.append(verify(sys.argv[1], model, place))
    sys.exit(0 if all(sound) else 1)


main()
