"""The figures of an evaluation as a text table, each beside its ceilings."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

HEADLINES: dict[str, tuple[str, float]] = {
    "mouth_correlation": ("at least", 0.82),
    "offset_exact": ("at least", 0.95),
    "emotion_accuracy": ("at least", 0.88),
    "emotion_accuracy_ground_truth": ("at least", 0.92),
    "intensity_order": ("at least", 0.90),
    "psnr": ("at least", 32.0),
    "psnr_gain_over_static": ("at least", 3.0),
    "background_psnr": ("at least", 40.0),
    "jitter_ratio": ("at most", 1.2),
    "seconds_per_second": ("at most", 0.1),
    "peak_memory_gb": ("at most", 2.0),
}
"""What the mini is held to at its default settings, 48 clips and two CPU cores."""
HEADLINES_256 = HEADLINES | {
    "mouth_correlation": ("at least", 0.86),
    "emotion_accuracy": ("at least", 0.92),
    "psnr": ("at least", 33.0),
    "jitter_ratio": ("at most", 1.15),
    "seconds_per_second": ("at most", 1.0),
}
"""The same for the mini-256."""

_ROWS = {
    "mouth_correlation": "mouth opening, correlation with the truth",
    "offset_exact": "clips whose best sound offset is 0",
    "lse_c": "LSE-C (unit embeddings)",
    "lse_d": "LSE-D (unit embeddings)",
    "emotion_accuracy": "emotion accuracy, 8-way, swapped on one portrait",
    "intensity_order": "levels of intensity in the right order",
    "psnr": "PSNR, dB",
    "psnr_gain_over_static": "PSNR above the still portrait, dB",
    "mouth_psnr": "PSNR of the mouth, dB",
    "background_psnr": "PSNR of the background, dB",
    "ssim": "SSIM",
    "jitter_ratio": "jitter ratio",
    "jitter_ratio_mouth": "jitter ratio of the mouth",
    "jitter_ratio_eyes": "jitter ratio of the eyes",
    "motion_amplitude_ratio": "motion amplitude ratio",
    "sharpness_ratio_mouth": "sharpness of the mouth, of the truth's",
    "sharpness_ratio_eyes": "sharpness of the eyes, of the truth's",
    "mouth_band_ratio": "mouth motion at 3-8 Hz, power ratio",
    "blink_correlation": "blinks, correlation with the truth (given)",
    "yaw_correlation": "head yaw, correlation with the truth (given)",
    "identity": "identity (appearance) against the portrait",
}
_COLUMNS = {
    "generated": "generated",
    "ground_truth": "truth",
    "vae_reconstruction": "VAE",
    "static_reference": "still",
}


def format_table(results: Mapping[str, Any]) -> str:
    """An evaluation's results, the JSON values of `evaluate.evaluate`, as lines of text."""
    lines = [
        f"{results['model']}: {results['clips']} held-out clips of 3 s, seed {results['seed']}. Given: portrait, "
        "sound, prompt, and the true head pose, blinks and gaze.",
        "",
        *_versions_table(results["versions"], headlines_of(results["model"])),
        "",
        *_single_figures(results),
    ]
    for name, title in _SECTIONS.items():
        if name in results:
            lines += ["", title, *_SECTION_TABLES[name](results[name])]
    return "\n".join(lines)


def headlines_of(model: str) -> Mapping[str, tuple[str, float]]:
    """What a model is held to, by its name or folder.

    >>> headlines_of("runs/mini-256")["psnr"], headlines_of("mini")["psnr"]
    (('at least', 33.0), ('at least', 32.0))
    """
    return HEADLINES_256 if Path(model).name == "mini-256" else HEADLINES


def missed(results: Mapping[str, Any], headlines: Mapping[str, tuple[str, float]] | None = None) -> list[str]:
    """The headline figures that are worse than asked, as sentences.

    >>> missed({"psnr": 30.0})
    ['psnr is 30.00, asked for at least 32']
    """
    found = []
    for key, (kind, bound) in (headlines or headlines_of(results.get("model", ""))).items():
        value = results.get(key)
        if value is not None and (value < bound if kind == "at least" else value > bound):
            found.append(f"{key} is {value:.2f}, asked for {kind} {bound:g}")
    return found


def _versions_table(versions: Mapping[str, Mapping[str, Any]], headlines: Mapping[str, Any]) -> list[str]:
    """A line for every figure that has a meaning here; the truth against itself has no PSNR."""
    lines = [f"{'':52s}" + "".join(f"{title:>11s}" for title in _COLUMNS.values()) + "   asked for" * bool(headlines)]
    for key, title in _ROWS.items():
        values = {c: None if "psnr" in key and c == "ground_truth" else versions[c].get(key) for c in _COLUMNS}
        if all(value is None for value in values.values()):
            continue
        figures = "".join(f"{_figure(key, value):>11s}" for value in values.values())
        kind, bound = headlines.get(key, ("", 0.0))
        lines.append(f"{title:52s}{figures}" + (f"   {kind} {bound:g}" if headlines and kind else ""))
    return lines


def _figure(key: str, value: float | None) -> str:
    if value is None:
        return "-"
    return f"{value:.2f}" if "psnr" in key else f"{value:.3f}"


def _single_figures(results: Mapping[str, Any]) -> list[str]:
    lines = [f"prompts read as the asked label: {_figure('', results['prompt_accuracy'])}"]
    by = [("emotion", results["accuracy_by_emotion"]), ("level", results["accuracy_by_level"])]
    for name, accuracies in by:
        parts = [f"{key} {_pair(values)}" for key, values in accuracies.items()]
        lines.append(f"emotion accuracy by {name} (generated/truth): {', '.join(parts)}")
    for key, unit in (
        ("seconds_per_second", "s per second of video, whole pipeline"),
        ("peak_memory_gb", "GB at most"),
    ):
        if results.get(key) is not None:
            kind, bound = headlines_of(results["model"])[key]
            lines.append(f"{key}: {results[key]:.2f} {unit} ({kind} {bound:g} asked for)")
    return lines


def _pair(values: Mapping[str, float | None]) -> str:
    return "/".join("-" if values[key] is None else f"{values[key]:.2f}" for key in ("generated", "ground_truth"))


def _sync_lines(section: Mapping[str, Mapping[str, Any]]) -> list[str]:
    keys = (
        *("mouth_correlation", "lse_c", "lse_d", "offset_exact", "emotion_accuracy", "psnr", "mouth_psnr"),
        *("jitter_ratio", "mouth_band_ratio", "strength", "animate_seconds_per_second"),
    )
    lines = [f"{'':32s}{'off':>11s}{'on':>11s}"]
    return lines + [
        f"{key:32s}" + "".join(f"{_figure(key, section[c].get(key)):>11s}" for c in ("off", "on")) for key in keys
    ]


def _long_lines(section: Mapping[str, Any]) -> list[str]:
    border, true = section["jitter_at_window_borders"], section["true_jitter_at_window_borders"]
    return [
        *_versions_table(section["versions"], {}),
        f"jitter at window borders against elsewhere: generated {border:.3f}, truth {true:.3f}",
    ]


_SECTIONS = {
    "sync_guidance": "SyncNet guidance off and on, the same clips",
    "emotional_references": "Portraits that already show another emotion",
    "long_clips": "Clips of 10 s with full head motion",
}
_SECTION_TABLES = {
    "sync_guidance": _sync_lines,
    "emotional_references": lambda section: _versions_table(section, {}),
    "long_clips": _long_lines,
}
