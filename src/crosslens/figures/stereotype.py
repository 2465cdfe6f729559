"""What gender the model writes when the picture does not show it."""

import pandas as pd
from matplotlib.figure import Figure

from crosslens.figures.style import colour, heading, nothing, style
from crosslens.summary.names import language_name


def stereotype_figure(shares: pd.DataFrame, fits: pd.DataFrame) -> Figure:
    """Share of woman among the gendered captions, per category and language, beside the planted value.

    shares: rows (language, category, share, low, high, images_gendered, captions_gendered, q, planted).
    fits: rows (language, r, r_low, r_high, mae, categories), planted against measured; NaN where nothing was planted.
    """
    languages = list(dict.fromkeys(shares["language"]))
    order = (
        shares.assign(key=shares["planted"].fillna(shares["share"]))
        .groupby("category")["key"]
        .mean()
        .sort_values(ascending=False)
        .index.tolist()
    )
    with style():
        figure = Figure(figsize=(4.9 * max(len(languages), 2), 1.6 + 0.33 * max(len(order), 3)))
        panels = figure.subplots(1, max(len(languages), 1), sharey=True, squeeze=False)[0]
        if shares.empty:
            nothing(panels[0])
        for axes, language in zip(panels, languages, strict=False):
            rows = shares[shares["language"] == language]
            _panel(axes, rows, order, colour(language, languages))
            axes.set_title(_words(language, rows, fits[fits["language"] == language]), fontsize=8.5)
        if languages:
            panels[0].set_yticks(range(len(order)), order)
            panels[0].set_ylim(len(order) - 0.5, -0.5)
            handles, labels = panels[0].get_legend_handles_labels()
            figure.legend(handles, labels, loc="outside lower right", ncols=3)
        heading(
            figure,
            "Gender written for pictures that hide it",
            "Mean over pictures of the share of a picture's gendered captions that say woman; n = pictures with such "
            "captions.\nBars: 95 % CI over pictures. Dashed: .5. Dotted: over all pictures; what lies off it hangs on the "
            "category.",
        )
    return figure


def _panel(axes, rows: pd.DataFrame, order: list[str], shade: str) -> None:
    y = rows["category"].map(order.index)
    axes.axvline(0.5, color="#333333", linewidth=0.9, linestyle="--")
    overall = (rows["share"] * rows["images_gendered"]).sum() / rows["images_gendered"].sum()
    axes.axvline(overall, color=shade, linewidth=1.2, linestyle=":", label="all pictures")
    axes.hlines(y, rows["low"], rows["high"], color=shade, linewidth=2.2)
    axes.plot(rows["share"], y, "o", color=shade, markersize=6, label="measured")
    if rows["planted"].notna().any():
        axes.plot(rows["planted"], y, "D", color="black", markersize=5, fillstyle="none", label="planted")
    for at, n in zip(y, rows["images_gendered"], strict=True):
        axes.text(1.03, at, f"n = {int(n)}", va="center", fontsize=7.5, color="#444444")
    axes.set_xlim(-0.03, 1.03)
    axes.set_xlabel("share of gendered captions that say woman")


def _words(language: str, rows: pd.DataFrame, fit: pd.DataFrame) -> str:
    captions, pictures = (int(rows[name].sum()) for name in ("captions_gendered", "images_gendered"))
    counts = f"n = {captions:,} gendered captions of {pictures:,} pictures, {len(rows)} categories"
    if fit.empty or pd.isna(fit.iloc[0]["r"]):
        return f"{language_name(language)}\n{counts}\nno planted values to compare with"
    row = fit.iloc[0]
    ci = "" if pd.isna(row["r_low"]) else f" [{row['r_low']:.2f}, {row['r_high']:.2f}]"
    fitted = f"planted against measured: r = {row['r']:.3f}{ci}, MAE {row['mae']:.3f}"
    return f"{language_name(language)}\n{counts}\n{fitted}"
