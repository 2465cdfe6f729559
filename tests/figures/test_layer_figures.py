"""The figures of one layer show what the result files say, read back from the axes."""

import numpy as np
import pandas as pd
import pytest
from matplotlib.patches import StepPatch
from result_files import D_SAE, OTHERS, change

from crosslens.errors import InputError
from crosslens.figures.decoder import decoder_figure
from crosslens.figures.density import density_figure
from crosslens.figures.effect_sizes import effect_sizes_figure
from crosslens.figures.gender_features import gender_features_figure
from crosslens.figures.gender_layer import SHOWN, effect_frames, gender_frame, gender_layer_figures
from crosslens.figures.layer import decoder_frames, density_frames, layer_figures, training_frame
from crosslens.figures.training import training_figure
from crosslens.summary.names import ONE_SEED
from crosslens.summary.records.gender_robustness import named_records
from crosslens.tables.documents import read_json, read_table

NAMES = ["decoder.png", "density.png", "effect_sizes.png", "gender_features.png", "training.png"]
STAGES = {
    layer_figures: ("training", "quality"),
    gender_layer_figures: ("effects", "gender", "robustness", "cross_lingual", "words"),
}


def words(figure) -> str:
    """Everything written on the figure."""
    texts = [text.get_text() for text in figure.findobj(match=lambda artist: hasattr(artist, "get_text"))]
    return "\n".join(texts)


def test_training_has_a_line_a_corpus_with_the_points_of_the_file(drawn_study):
    _, features = density_frames(drawn_study.quality["2"])
    figure = training_figure(training_frame(drawn_study.training["2"], features), site="2")
    curve = read_json(drawn_study.training["2"]["ar"], "training")["curve"]
    loss, fvu, l0, dead = figure.axes
    assert [line.get_label() for line in dead.lines] == ["joint SAE", "English SAE", "Arabic SAE"]
    np.testing.assert_allclose(loss.lines[2].get_ydata(), [point["loss"] for point in curve])
    np.testing.assert_allclose(fvu.lines[2].get_ydata(), [point["fvu"] for point in curve])
    np.testing.assert_allclose(l0.lines[2].get_xdata(), [point["tokens"] / 1e6 for point in curve])
    np.testing.assert_allclose(dead.lines[2].get_ydata(), [point["dead"] / D_SAE for point in curve])
    assert "20,480" in words(figure) and "Trained elsewhere" not in words(figure)


def test_pretrained_saes_have_no_curve_and_the_figure_says_so(drawn_study, tmp_path):
    _, features = density_frames(drawn_study.quality["2"])
    frame = training_frame(drawn_study.training["2"], features)
    figure = training_figure(frame, site="2", absent=[OTHERS])
    assert "Trained elsewhere, without a curve: gemmascope (pretrained)." in words(figure)
    alone = training_figure(training_frame({}, features), site="2", absent=[OTHERS])
    assert words(alone).count("no SAE was trained here") == 4 and "gemmascope" in words(alone)
    own = {key: path for key, path in drawn_study.quality["2"].items() if key.startswith(OTHERS)}
    layer_figures(site="2", training={}, quality=own, out=tmp_path)
    arguments = drawn_study.figures("2", "effects", "gender", "robustness")
    for name in ("effects", "gender", "robustness"):
        arguments[name] = {key: path for key, path in arguments[name].items() if key.startswith(OTHERS)}
    gender_layer_figures(**arguments, cross_lingual={}, words=drawn_study.words, out=tmp_path)
    assert sorted(path.name for path in tmp_path.glob("*.png")) == NAMES
    assert set(gender_frame(arguments["gender"])["corpus"]) == {OTHERS}


def test_decoder_has_a_panel_an_sae_with_the_counts_of_the_file(drawn_study):
    figure = decoder_figure(*decoder_frames(drawn_study.quality["2"]), site="2")
    panels = [axes for axes in figure.axes if axes.get_title(loc="left")]
    names = [axes.get_title(loc="left").split("\n")[0] for axes in panels]
    assert names == ["joint SAE", "English SAE", "Arabic SAE", "gemmascope (pretrained)"]
    told = read_json(drawn_study.quality["2"]["joint/en"], "quality")["decoder_cosine"]
    bars, (random,) = panels[0].containers[0], panels[0].findobj(StepPatch)
    assert [bar.get_height() for bar in bars] == told["decoder"]["counts"]
    np.testing.assert_allclose([bar.get_x() for bar in bars], told["edges"][:-1])
    assert random.get_data().values.tolist() == told["random"]["counts"]
    title = panels[0].get_title(loc="left")
    assert f"n = {D_SAE} of {D_SAE} features" in title
    assert f"median {told['decoder']['median']:.2f} (random {told['random']['median']:.2f})" in title


def test_a_lone_feature_and_bins_that_do_not_fit_are_said(drawn_study, tmp_path):
    bins, saes = decoder_frames(drawn_study.quality["2"])
    lone = saes.assign(median=np.nan)
    assert words(decoder_figure(bins, lone, site="2")).count("a single feature has no other") == 4
    path = tmp_path / "quality.json"
    path.write_bytes(drawn_study.quality["2"]["joint/en"].read_bytes())
    change(path, "quality", lambda document: document["decoder_cosine"]["random"]["counts"].pop())
    with pytest.raises(InputError, match="bins of decoder cosines"):
        decoder_frames({"joint/en": path})


def test_density_bars_count_the_live_features(drawn_study):
    density, features = density_frames(drawn_study.quality["2"])
    figure = density_figure(density, features, site="2")
    titles = {axes.get_title(loc="left"): axes for axes in figure.axes}
    assert len(titles) == 6
    assert all(f"of {D_SAE} features" in title for title in titles)
    by_live = sorted(sum(bar.get_height() for bar in axes.patches) for axes in titles.values())
    assert by_live == sorted(features["live"])


def test_a_histogram_that_does_not_add_up_is_refused(drawn_study, tmp_path):
    path = tmp_path / "quality.json"
    path.write_bytes(drawn_study.quality["2"]["joint/en"].read_bytes())
    change(path, "quality", lambda document: document["density"]["counts"].append(1))
    with pytest.raises(InputError, match="density histogram"):
        density_frames({"joint/en": path})


def test_gender_features_are_those_chosen_with_their_interval(drawn_study):
    named = named_records(drawn_study.robustness["2"])
    figure = gender_features_figure(gender_frame(drawn_study.gender["2"], named), site="2")
    chosen = read_json(drawn_study.gender["2"]["joint/ar"], "gender")["conditions"]["prompt"]
    axes = next(
        a
        for a in figure.axes
        if "Arabic" in a.get_title(loc="left") and "before the caption" in a.get_title(loc="left")
    )
    expected = chosen["top_female"][:SHOWN] + chosen["top_male"][:SHOWN]
    again = [1, 0] * (SHOWN // 2) * 2  # of one other seed, in every other feature of a side
    assert [label.get_text() for label in axes.get_yticklabels()] == [
        f"#{entry['feature']} ({kept}/1)" for entry, kept in zip(expected, again, strict=True)
    ]
    assert "other seeds" in words(figure) and ONE_SEED not in words(figure)
    alone = gender_features_figure(gender_frame(drawn_study.gender["2"]), site="2")
    assert ONE_SEED in words(alone).replace("\n", " ")
    assert f"#{expected[0]['feature']}" in [label.get_text() for label in alone.axes[0].get_yticklabels()]
    bars = [line for line in axes.lines if line.get_gid() == "ci"]
    np.testing.assert_allclose(
        [bar.get_xdata() for bar in bars], [[e["d_low"], e["d_high"]] for e in expected]
    )
    points = [line for line in axes.lines if line.get_marker() == "o"]
    np.testing.assert_allclose([point.get_xdata()[0] for point in points], [entry["d"] for entry in expected])
    hollow = [point.get_markerfacecolor() == "white" for point in points]
    assert hollow == [not entry["significant"] for entry in expected]
    assert "n = 60 female + 62 male" in axes.get_title(loc="left")
    assert "العربية" in words(figure)


def test_nothing_chosen_is_said_in_words(drawn_study, tmp_path):
    path = tmp_path / "gender.json"
    path.write_bytes(drawn_study.gender["2"]["joint/en"].read_bytes())

    def clear(document):
        for condition in document["conditions"].values():
            condition["top_female"], condition["top_male"] = [], []

    change(path, "gender", clear)
    figure = gender_features_figure(gender_frame({"joint/en": path}), site="2")
    assert words(figure).count("no feature was significant on select") == 2


def test_effect_sizes_has_a_point_a_feature_in_the_right_class(drawn_study):
    points, agreement = effect_frames(drawn_study.cross_lingual["2"], drawn_study.effects["2"])
    languages = ("en", "ar")
    assert set(zip(points["first"], points["second"], strict=True)) == {languages}
    figure = effect_sizes_figure(points, agreement, site="2")
    result = read_json(drawn_study.cross_lingual["2"]["joint"], "cross_lingual")["results"][0]
    axes = figure.axes[0]
    offsets = np.concatenate([np.asarray(scatter.get_offsets()) for scatter in axes.collections])
    assert len(offsets) == D_SAE
    np.testing.assert_allclose(np.sort(offsets[:, 1]), np.sort(result["scatter"]["d"][1]))
    significant = {}
    for language in languages:
        table = read_table(drawn_study.effects["2"][f"joint/{language}"], "gender_effects")
        test = table[(table["split"] == "test") & (table["condition"] == "prompt")]
        significant[language] = set(test.loc[test["significant"], "feature"])
    chosen = {
        f for f, yes in zip(result["scatter"]["feature"], result["scatter"]["chosen"], strict=True) if yes
    }
    sizes = {scatter.get_label(): len(scatter.get_offsets()) for scatter in axes.collections}
    both = len(chosen & significant["en"] & significant["ar"])
    assert sizes[f"chosen, confirmed in both ({both:,})"] == both
    assert sizes[f"not chosen on select ({D_SAE - len(chosen):,})"] == D_SAE - len(chosen)
    assert f"r = {result['live']['pearson']['r']:.2f}" in axes.get_title(loc="left")
    assert f"n = {D_SAE} features, 122 pictures or texts" in axes.get_title(loc="left")


def test_a_correlation_that_is_undefined_is_said_in_words(drawn_study):
    points, agreement = effect_frames(drawn_study.cross_lingual["2"], drawn_study.effects["2"])
    agreement = agreement.assign(r=np.nan, features=2)
    figure = effect_sizes_figure(points.iloc[:0], agreement, site="2")
    assert "too few for a correlation" in words(figure)
    assert "no feature is live in both English and Arabic" in words(figure)


def test_without_a_second_language_the_figure_says_so():
    figure = effect_sizes_figure(*effect_frames({}, {}), site="2")
    assert "not measured" in words(figure)


def test_three_languages_have_panels_pair_by_pair(drawn_study):
    points, agreement = effect_frames(drawn_study.cross_lingual["2"], drawn_study.effects["2"])
    three = [("en", "ar"), ("en", "fr"), ("ar", "fr")]
    frames = [
        pd.concat([frame.assign(first=first, second=second) for first, second in three], ignore_index=True)
        for frame in (points, agreement)
    ]
    figure = effect_sizes_figure(*frames, site="2")
    conditions = agreement["condition"].nunique()
    assert len(figure.axes) == 3 * conditions
    shown = [
        (axes.get_xlabel().split()[2], axes.get_ylabel().split()[2]) for axes in figure.axes[::conditions]
    ]
    assert shown == [("English", "Arabic"), ("English", "fr"), ("Arabic", "fr")]
    for axes in figure.axes:
        assert sum(len(scatter.get_offsets()) for scatter in axes.collections) == D_SAE


@pytest.mark.long  # the style is one: test_study_figures.py
def test_stage_writes_the_same_bytes_twice(drawn_study, tmp_path):
    """Of one SAE: the others' panels are drawn in the same way."""

    def of_joint(given):
        keys = {key for key in given if key.startswith("joint")} if isinstance(given, dict) else ()
        return {key: given[key] for key in given if key in keys} if keys else given

    for name in ("first", "second"):
        for draw, wanted in STAGES.items():
            given = drawn_study.figures("2", *wanted)
            draw(**{argument: of_joint(value) for argument, value in given.items()}, out=tmp_path / name)
    assert sorted(path.name for path in (tmp_path / "first").glob("*.png")) == NAMES
    for name in NAMES:
        first, second = ((tmp_path / run / name).read_bytes() for run in ("first", "second"))
        assert first == second
        assert b"tEXt" not in first and b"tIME" not in first


@pytest.mark.parametrize(
    ("argument", "key", "kind"),
    [("quality", "joint/en", "quality"), ("gender", "joint/en", "gender"), ("training", "joint", "training")],
)
def test_a_missing_file_or_field_is_named(drawn_study, tmp_path, argument, key, kind):
    draw, wanted = next((draw, wanted) for draw, wanted in STAGES.items() if argument in wanted)
    arguments = drawn_study.figures("2", *wanted)
    arguments[argument] = arguments[argument] | {key: tmp_path / "absent.json"}
    with pytest.raises(InputError, match="absent.json.*no such file"):
        draw(**arguments, out=tmp_path / "out")
    broken = tmp_path / "broken.json"
    broken.write_text(f'{{"schema": 1, "kind": "{kind}"}}')
    arguments[argument] = arguments[argument] | {key: broken}
    with pytest.raises(InputError, match="broken.json"):
        draw(**arguments, out=tmp_path / "out")


def test_the_palette_is_seaborns_colorblind():
    seaborn = pytest.importorskip("seaborn")
    from crosslens.figures import style

    names = "BLUE ORANGE GREEN RED PINK BROWN - GREY - SKY".split()
    palette = seaborn.color_palette("colorblind").as_hex()
    for name, colour in zip(names, palette, strict=True):
        assert name == "-" or getattr(style, name).lower() == colour.lower()


def test_a_users_matplotlib_settings_change_nothing(drawn_study, tmp_path):
    import matplotlib

    from crosslens.figures.style import save

    density = density_frames(drawn_study.quality["2"])
    save(density_figure(*density, site="2"), tmp_path / "plain.png", density[0])
    with matplotlib.rc_context({"font.size": 20, "axes.facecolor": "red", "savefig.dpi": 40}):
        save(density_figure(*density, site="2"), tmp_path / "styled.png", density[0])
    assert (tmp_path / "plain.png").read_bytes() == (tmp_path / "styled.png").read_bytes()


def test_frames_are_tidy(drawn_study):
    assert isinstance(gender_frame(drawn_study.gender["2"]), pd.DataFrame)
    assert set(gender_frame(drawn_study.gender["2"])["corpus"]) == {"joint"}
    own = {key: path for key, path in drawn_study.gender["2"].items() if not key.startswith("joint")}
    assert list(own)[-1] == f"{OTHERS}/ar"
    assert set(gender_frame(own)["corpus"]) == {"en", "ar"}
