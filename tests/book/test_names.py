"""One name for each paper, and one public address, in every file that mentions them."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from strokerepro import chapters, papers
from strokerepro.chapters import status

_SLUG_ROW = re.compile(r"^\|\s*`(\w+)`.*$", re.MULTILINE)
_COLAB = re.compile(r"https://colab\.research\.google\.com/github/[^\s)\"'<>]+")
_REPOSITORY_URL = re.compile(r"https://github\.com/[\w.-]+/[\w.-]+")
# Files that name the public address; other repositories may be cited in the book's text.
ADDRESSED = ("README.md", "CONTRIBUTING.md", "CITATION.cff", "_config.yml", "book/index.md",
             "book/reading-guide.md")  # fmt: skip


@pytest.fixture(scope="module")
def address(project: dict[str, Any]) -> str:
    """Public address, from the one place that holds it."""
    return str(project["urls"]["Repository"])


@pytest.fixture(scope="module")
def pages_address(address: str) -> str:
    """Where GitHub publishes the pages of that repository."""
    owner, name = address.removeprefix("https://github.com/").split("/")
    return f"https://{owner}.github.io/{name}/"


def test_toc_names_existing_files(toc_files: list[str], repository: Path) -> None:
    """Every entry of the table of contents is a page or a notebook."""
    for file in toc_files:
        assert any((repository / f"{file}{suffix}").is_file() for suffix in (".md", ".ipynb")), file


def test_every_chapter_is_in_the_toc(toc_files: list[str]) -> None:
    """Every chapter with a source is listed, and every paper in the registry has a chapter."""
    listed = {Path(file).name for file in toc_files}
    assert set(chapters.chapter_slugs()) <= listed
    assert set(papers.slugs()) <= listed


def test_readme_lists_every_paper(repository: Path) -> None:
    """Every paper in the registry has its row with its chapter and its Colab badge."""
    readme = (repository / "README.md").read_text()
    rows = {match[1]: match[0] for match in _SLUG_ROW.finditer(readme)}
    assert set(papers.slugs()) <= set(rows)
    for slug, row in rows.items():
        written = slug in papers.slugs()
        assert (f"(book/{slug}.ipynb)" in row) is written, row
        assert (f"blob/main/book/{slug}.ipynb)" in row) is written, row
        assert ("not yet written" in row) is not written, row


def test_index_lists_the_same_papers(repository: Path) -> None:
    """The book's first page and the README speak of the same papers, written and unwritten."""
    readme = set(_SLUG_ROW.findall((repository / "README.md").read_text()))
    index = (repository / "book" / "index.md").read_text()
    for slug in readme:
        link = f"({slug}.ipynb)" if slug in papers.slugs() else f"`{slug}`"
        assert link in index, slug


@pytest.mark.parametrize("file", ADDRESSED)
def test_pages_name_the_public_address(file: str, repository: Path, address: str) -> None:
    """Links to GitHub in the project's own pages go to the address in pyproject.toml."""
    text = (repository / file).read_text()
    assert {url.removesuffix(".git") for url in _REPOSITORY_URL.findall(text)} <= {address}


def test_book_configuration_has_the_address(
    repository: Path, address: str, pages_address: str
) -> None:
    """The repository button, the Colab button and the pages' base address agree."""
    config = yaml.safe_load((repository / "_config.yml").read_text())
    assert config["repository"] == {"url": address, "path_to_book": "", "branch": "main"}
    assert config["html"]["baseurl"] == pages_address
    assert config["launch_buttons"]["colab_url"] == "https://colab.research.google.com"


def test_citation_agrees_with_the_package(
    repository: Path, project: dict[str, Any], address: str, pages_address: str
) -> None:
    """Version, licence, address and authors are those of the package."""
    citation = yaml.safe_load((repository / "CITATION.cff").read_text())
    assert citation["repository-code"] == address
    assert citation["url"] == pages_address
    assert citation["version"] == project["version"]
    assert citation["license"] == project["license"]
    assert [author["name"] for author in citation["authors"]] == [
        author["name"] for author in project["authors"]
    ]


def test_colab_links_open_existing_notebooks(repository: Path, address: str) -> None:
    """Each Colab link names this repository's main branch and a chapter that has a source."""
    prefix = f"{address.replace('https://github.com', '')}/blob/main/book/"
    files = [repository / "README.md", *sorted((repository / "book").glob("**/*.md"))]
    files += sorted((repository / "book" / "src").glob("*.py"))
    links = {link for file in files for link in _COLAB.findall(file.read_text())}
    assert links
    for link in links:
        path = link.removeprefix("https://colab.research.google.com/github")
        assert path.startswith(prefix), link
        assert (repository / "book" / path.removeprefix(prefix)).is_file(), link


def test_colab_cells_install_this_package(repository: Path, address: str) -> None:
    """A chapter that installs the package from git does so from the public address."""
    for source in sorted((repository / "book" / "src").glob("*.py")):
        for url in re.findall(r"git\+(https://[^\s\"'@]+)", source.read_text()):
            assert url.removesuffix(".git") == address, source.name


def test_status_page_is_current(repository: Path) -> None:
    """The status page says what the records say; else run `strokerepro book`."""
    page = (repository / "book" / "status.md").read_text()
    assert page.endswith(status.status_table(status.read_records()))


def test_costs_are_current(repository: Path) -> None:
    """The README's cost table says what the records say; else run `strokerepro book`."""
    readme = (repository / "README.md").read_text()
    block = readme.partition(status.COSTS_BEGIN)[2].partition(status.COSTS_END)[0]
    assert block.strip() == status.costs_table(status.read_records()).strip()


def test_pictures_of_the_readme_exist(repository: Path) -> None:
    """Every local picture in the README is in the repository."""
    for link in re.findall(r"!\[[^]]*\]\(([^)]+)\)", (repository / "README.md").read_text()):
        assert link.startswith("https://") or (repository / link).is_file(), link


def test_readme_numbers_are_generated(repository: Path) -> None:
    """Outside the generated block no table of the README holds a decimal number."""
    readme = (repository / "README.md").read_text()
    before, _, rest = readme.partition(status.COSTS_BEGIN)
    after = rest.partition(status.COSTS_END)[2]
    for row in re.findall(r"^\|.*\|$", before + after, re.MULTILINE):
        words = re.sub(r"\]\([^)]*\)|`[^`]*`", "", row)
        assert not re.search(r"\d\.\d", words), row
