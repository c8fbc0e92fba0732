"""Take the pictures in the README: the terminal, the Excel sheet and the report, of the article that ships with the project.

    python experiments/pictures.py

Needs chromium, LibreOffice (soffice) and pdftoppm on the PATH and a font with Chinese characters.
"""

from __future__ import annotations

import shutil
import subprocess
import tempfile
from pathlib import Path

from rich.console import Console
from rich.terminal_theme import DEFAULT_TERMINAL_THEME
from train import RESULTS, ROOT

from policyclf.article import read_article
from policyclf.outputs import write
from policyclf.tagger import load
from policyclf.terminal import show

FLAGS = ("--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars", "--no-first-run", "--disable-background-networking", "--disable-sync")


def photograph(page: Path, picture: Path, width: int, height: int) -> None:
    with tempfile.TemporaryDirectory() as profile:
        size = f"--window-size={width},{height}"
        command = ["chromium", *FLAGS, f"--user-data-dir={profile}", size, f"--screenshot={picture}", page.as_uri()]
        subprocess.run(command, check=True, capture_output=True)


def main() -> None:
    tagger = load(ROOT / "models" / "default")
    articles = ROOT / "tests" / "articles"
    results = [tagger.tag(read_article(articles / name)._replace(source=name), evidence=True) for name in ("demo.txt", "report.docx")]
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        with open(folder / "nowhere", "w", encoding="utf-8") as nowhere:
            console = Console(record=True, width=112, file=nowhere, force_terminal=True, color_system="truecolor")
            show(results[0], console)
        page = console.export_html(theme=DEFAULT_TERMINAL_THEME, inline_styles=True)
        page = page.replace("<body>", '<body style="margin:18px;background:#fff">').replace(
            "font-family:", "line-height:1.5;font-family:'Noto Sans Mono CJK SC',"
        )
        (folder / "terminal.html").write_text(page, encoding="utf-8")
        photograph(folder / "terminal.html", RESULTS / "terminal.png", 1000, 640)

        write(results[0], folder / "report.html", thresholds=tagger.thresholds, codebook=tagger.model.categories)
        photograph(folder / "report.html", RESULTS / "report.png", 1300, 900)

        write(results, folder / "excel.xlsx")
        subprocess.run(["soffice", "--headless", "--convert-to", "pdf", "--outdir", folder, folder / "excel.xlsx"], check=True, capture_output=True)
        crop = ("-r", "190", "-f", "1", "-l", "1", "-x", "60", "-y", "75", "-W", "1420", "-H", "620", "-png", "-singlefile")
        subprocess.run(["pdftoppm", *crop, folder / "excel.pdf", folder / "excel"], check=True)
        shutil.copy(folder / "excel.png", RESULTS / "excel.png")


if __name__ == "__main__":
    main()
