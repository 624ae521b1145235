"""The committed notebooks: made from their sources, without errors, and not too large."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import jupytext
import nbformat
import pytest

from strokerepro import chapters

SLUGS = chapters.chapter_slugs()
SOURCES = chapters.execute.book_folder() / "src"
PARAMETERS = {"profile", "data", "root", "results_dir", "folds", "seed", "device", "train"}
MAX_BYTES = 1_000_000
MAX_LINES = 20

# Digits in the head of a table or in code are names (Table 4, `patch_32`), not results.
_NUMBER = re.compile(r"(?<![\w.#-])\d+(?:\.\d+)?(?![\w-])")
_NAMES = re.compile(
    r"`[^`]*`|\$[^$]*\$|\[[^]]*\]\([^)]*\)|(?:Table|Tables|Fig\.|Sec\.|Eq\.|Figs\.)\s*[\d., and]+"
)
_SCORE_IN_SENTENCE = re.compile(r"\b(?:Dice|recall|precision|DR|m#F[PN])\b[^.\n]{0,40}?\b\d+\.\d+")
_PAPER_BLOCK = re.compile(r"^(:{3,})\{div\} paper-says.*?^\1\s*$", re.DOTALL | re.MULTILINE)

each_chapter = pytest.mark.parametrize("slug", SLUGS)


def _source(slug: str) -> nbformat.NotebookNode:
    return chapters.read_source(SOURCES / f"{slug}.py")


def _code(notebook: nbformat.NotebookNode) -> list[nbformat.NotebookNode]:
    return [cell for cell in notebook.cells if cell.cell_type == "code"]


def _tagged(notebook: nbformat.NotebookNode, tag: str) -> list[nbformat.NotebookNode]:
    return [cell for cell in _code(notebook) if tag in cell.metadata.get("tags", [])]


def _tables(markdown: str) -> list[str]:
    rows = [line for line in markdown.splitlines() if line.strip().startswith("|")]
    return [_NAMES.sub("", row) for row in rows]


def _literal_floats(code: str) -> int:
    """Length of the longest list, tuple or dict of decimal numbers typed into the code."""
    longest = 0
    lines = [line for line in code.splitlines() if not line.lstrip().startswith(("%", "!"))]
    for node in ast.walk(ast.parse("\n".join(lines))):
        if isinstance(node, ast.List | ast.Tuple | ast.Dict):
            floats = [
                item
                for item in ast.walk(node)
                if isinstance(item, ast.Constant) and isinstance(item.value, float)
            ]
            longest = max(longest, len(floats))
    return longest


def test_every_notebook_has_a_source(notebooks: dict[str, nbformat.NotebookNode]) -> None:
    """Sources and notebooks have the same names, so that no notebook is edited by hand."""
    assert sorted(notebooks) == SLUGS


@each_chapter
def test_notebook_is_made_from_its_source(slug: str, repository: Path) -> None:
    """Cells, tags and texts are those of the source; else run `strokerepro book`."""
    book = repository / "book"
    assert chapters.notebook_in_sync(book / "src" / f"{slug}.py", book / f"{slug}.ipynb")


@each_chapter
def test_no_cell_failed(slug: str, notebooks: dict[str, nbformat.NotebookNode]) -> None:
    """No stored output is an error or a warning stream: a build would publish it silently."""
    for cell in _code(notebooks[slug]):
        for output in cell.outputs:
            assert output.output_type != "error", cell.source
            assert output.get("name") != "stderr", cell.source


@each_chapter
def test_checked_cells_have_outputs(slug: str, notebooks: dict[str, nbformat.NotebookNode]) -> None:
    """A cell whose output nbval compares has one; without outputs everything would pass."""
    checked = _tagged(notebooks[slug], "nbval-check-output")
    assert checked
    for cell in checked:
        assert cell.outputs, cell.source


@each_chapter
def test_notebook_is_small(slug: str, repository: Path) -> None:
    """A notebook takes less than a megabyte."""
    assert (repository / "book" / f"{slug}.ipynb").stat().st_size < MAX_BYTES


@each_chapter
def test_defaults_read_records(slug: str) -> None:
    """The parameters cell has the common names, and its defaults train nothing."""
    (cell,) = _tagged(_source(slug), "parameters")
    names = {
        node.target.id: node.value
        for node in ast.parse(cell.source).body
        if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name)
    }
    assert set(names) >= PARAMETERS
    assert ast.literal_eval(names["train"] or ast.Constant(None)) == "never"
    assert ast.literal_eval(names["profile"] or ast.Constant(None)) == "quick"


@each_chapter
def test_cells_are_short(slug: str) -> None:
    """No code cell is longer than 20 lines; longer code belongs in the package."""
    for cell in _code(_source(slug)):
        assert len(cell.source.splitlines()) <= MAX_LINES, cell.source


@each_chapter
def test_every_figure_is_described(slug: str, notebooks: dict[str, nbformat.NotebookNode]) -> None:
    """Each plotly figure and each picture has alternative text."""
    for cell in _code(notebooks[slug]):
        for output in cell.outputs:
            data = output.get("data", {})
            if figure := data.get("application/vnd.plotly.v1+json"):
                assert figure["layout"].get("meta", {}).get("alt"), cell.source
            elif "image/png" in data:
                assert output.metadata.get("image/png", {}).get("alt"), cell.source


@each_chapter
def test_no_number_in_a_table_is_typed(slug: str) -> None:
    """Markdown tables hold words and names only; numbers come from records or published tables."""
    for cell in _source(slug).cells:
        if cell.cell_type == "markdown":
            for row in _tables(cell.source):
                assert not _NUMBER.search(row), row


@each_chapter
def test_no_result_is_typed_into_code(slug: str) -> None:
    """No cell holds a collection of three or more decimal numbers, as a typed table would."""
    for cell in _code(_source(slug)):
        assert _literal_floats(cell.source) < 3, cell.source


@each_chapter
def test_scores_in_sentences_are_quotations(slug: str) -> None:
    """Outside the paper's own block, no sentence states a score: cells compute and show them."""
    for cell in _source(slug).cells:
        if cell.cell_type == "markdown":
            ours = _PAPER_BLOCK.sub("", cell.source)
            assert not _SCORE_IN_SENTENCE.search(ours), ours


@pytest.mark.parametrize(
    ("row", "typed"),
    [
        ("| EDD Net | 0.63 |", True),
        ("| n | 361 |", True),
        ("| see Table 4 | `patch_32` |", False),
        ("| [Chen 2017](x.md) | words |", False),
    ],
)
def test_typed_numbers_are_recognised(row: str, typed: bool) -> None:
    """The check above tells results from names of tables and settings."""
    assert any(_NUMBER.search(line) for line in _tables(row)) is typed


def test_typed_tables_are_recognised() -> None:
    """The check above sees a typed table and passes a colour or a pair of limits."""
    assert _literal_floats("pd.DataFrame({'a': [0.5, 0.6], 'b': [0.7, 0.8]})") == 4
    assert _literal_floats("%pip install x\nplot(range=(0.0, 1.0))") == 2


def test_quoted_scores_are_recognised() -> None:
    """A score in the paper's block passes, the same sentence outside does not."""
    sentence = "mean Dice rises to 0.67"
    assert _SCORE_IN_SENTENCE.search(sentence)
    block = f":::{{div}} paper-says\n{sentence}\n:::\n"
    assert not _SCORE_IN_SENTENCE.search(_PAPER_BLOCK.sub("", block))


@each_chapter
def test_source_is_plain_jupytext(slug: str, repository: Path) -> None:
    """The source parses as py:percent and holds no outputs."""
    notebook = jupytext.read(repository / "book" / "src" / f"{slug}.py", fmt="py:percent")
    assert all(not cell.get("outputs") for cell in notebook.cells)
