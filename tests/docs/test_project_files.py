"""The files around the code: the site's navigation, CI, commit hooks and versions."""

from __future__ import annotations

import configparser
import re
import subprocess
import sys
import tarfile
from pathlib import Path
from typing import Any

import pytest
import yaml

from frcnn_cli import __version__
from frcnn_cli.engine.models.shipped.table import FOLDER
from frcnn_cli.engine.network.backbones.defaults import DEFAULTS
from frcnn_proposals.sources.registry import list_sources

REPOSITORY = Path(__file__).resolve().parents[2]
DOCS = REPOSITORY / "docs"
GITHUB = REPOSITORY / ".github"
HOOKS = REPOSITORY / ".pre-commit-config.yaml"
IS_CHECKOUT = (REPOSITORY / ".git").exists()
MOST_BYTES, MOST_BYTES_OF_MODEL = 10**6, 16 * 10**6  # of a file in the repository
WORKFLOWS = sorted((GITHUB / "workflows").glob("*.yml"))
YAML_FILES = [HOOKS, REPOSITORY / "CITATION.cff", REPOSITORY / "mkdocs.yml", *GITHUB.rglob("*.yml")]


def parsed(path: Path) -> dict[str, Any]:
    value = yaml.safe_load(path.read_text(encoding="utf-8"))
    assert isinstance(value, dict), path
    return value


def make_targets() -> set[str]:
    makefile = (REPOSITORY / "Makefile").read_text(encoding="utf-8")
    rules = re.findall(r"^([a-z][a-z0-9 -]*):", makefile, re.MULTILINE)
    return {target for rule in rules for target in rule.split()}


def commands(workflow: Path) -> list[str]:
    """What the steps of a workflow run, without comments."""
    steps = [step for job in parsed(workflow)["jobs"].values() for step in job["steps"]]
    lines = "\n".join(step.get("run", "") for step in steps).splitlines()
    return [line.partition(" #")[0].strip() for line in lines if line.strip()]


def assert_known(command: str) -> None:
    """A command is a target of the Makefile, or a script of the repository."""
    program, *arguments = command.split()
    if program == "make":
        assert arguments
        assert set(arguments) <= make_targets(), command
    else:
        assert (REPOSITORY / program).stat().st_mode & 0o111, command


@pytest.mark.parametrize("path", YAML_FILES, ids=lambda path: path.name)
def test_yaml_files_parse(path: Path) -> None:
    assert parsed(path)


def test_every_page_is_in_the_navigation() -> None:
    groups = parsed(REPOSITORY / "mkdocs.yml")["nav"]
    listed = [path for group in groups for pages in group.values() for page in pages
              for path in page.values()]  # fmt: skip
    pages = {
        path.relative_to(DOCS).as_posix()
        for pattern in ("*.md", "*.ipynb")
        for path in DOCS.rglob(pattern)
        if ".ipynb_checkpoints" not in path.parts
    }
    assert sorted(listed) == sorted(pages)


@pytest.mark.parametrize("page", sorted(REPOSITORY.glob("*.md")), ids=lambda page: page.name)
def test_links_outside_the_site_lead_somewhere(page: Path) -> None:
    """Those in docs/ are checked by `make docs`."""
    links = re.findall(r"\]\((?!https?:|#)([^)#\s]+)", page.read_text(encoding="utf-8"))
    assert [link for link in links if not (REPOSITORY / link).exists()] == []


@pytest.mark.parametrize("workflow", WORKFLOWS, ids=lambda path: path.name)
def test_workflows_run_existing_files(workflow: Path) -> None:
    assert commands(workflow)
    for command in commands(workflow):
        assert_known(command)


def test_a_workflow_runs_the_checks_and_one_builds_wheels() -> None:
    every = [command for workflow in WORKFLOWS for command in commands(workflow)]
    assert ".ci/run" in every
    assert "make test-install test-abi" in every


def test_hooks_and_checks_run_targets_of_the_makefile() -> None:
    hooks = [hook for repo in parsed(HOOKS)["repos"] for hook in repo["hooks"]]
    for hook in hooks:
        assert_known(hook["entry"])
    checks = re.findall(r"^make .*", (REPOSITORY / ".ci" / "run").read_text(), re.MULTILINE)
    assert len(checks) >= 5
    for command in checks:
        assert_known(command)


def git(*arguments: str) -> list[str]:
    """The file names that a command of git prints."""
    command = ["git", "-c", "core.quotePath=off", *arguments]
    result = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, check=True)
    return result.stdout.splitlines()


@pytest.mark.skipif(not IS_CHECKOUT, reason="this is not a checkout")
def test_no_file_of_the_repository_is_large() -> None:
    """Except the shipped models. Fixtures of larger files are compressed or generated."""
    tracked = [REPOSITORY / name for name in git("ls-files")]
    sizes = {path: path.stat().st_size for path in tracked if path.is_file()}
    assert len(sizes) > 500
    most = {FOLDER / "voc.safetensors": MOST_BYTES_OF_MODEL}
    assert [path for path in sizes if sizes[path] > most.get(path, MOST_BYTES)] == []


@pytest.mark.skipif(not IS_CHECKOUT, reason="this is not a checkout")
def test_results_in_the_repositorys_folder_are_ignored() -> None:
    """Not those in other folders, which hold fixtures and the shipped model."""
    results = [f"model.{ending}" for ending in ("safetensors", "onnx", "pt2", "pkl", "proposals")]
    fixtures = [f"tests/fixtures/{name}" for name in results]
    shipped = (FOLDER / "voc.safetensors").relative_to(REPOSITORY).as_posix()
    assert git("check-ignore", "--no-index", *results, *fixtures, shipped) == results


def test_the_demo_begins_and_ends_with_a_photograph() -> None:
    words = ("make", "-n", "-o", "setup", "demo", "FRCNN=frcnn", "DEMO=demo")
    result = subprocess.run(words, cwd=REPOSITORY, capture_output=True, text=True, check=True)
    commands = [line for line in result.stdout.splitlines() if line.startswith("frcnn ")]
    for command, name in (commands[0], "detect"), (commands[-1], "explain"):
        words = command.split()
        assert words[1] == name
        assert (REPOSITORY / words[2]).is_file()
        assert words[3:5] == ["--model", "voc"]


def test_an_unknown_command_is_noticed() -> None:
    with pytest.raises(AssertionError):
        assert_known("make everything")
    with pytest.raises(FileNotFoundError):
        assert_known("ci/run.sh")


def test_the_version_is_the_newest_of_the_changelog() -> None:
    changelog = (REPOSITORY / "CHANGELOG.md").read_text(encoding="utf-8")
    newest = re.findall(r"^## (\d+\.\d+\.\d+)", changelog, re.MULTILINE)[0]
    assert newest == __version__ == parsed(REPOSITORY / "CITATION.cff")["version"]


def dependencies() -> dict[str, set[str]]:
    """Names of packages by extra; those that are always installed are under ""."""
    setup = configparser.ConfigParser()
    setup.read(REPOSITORY / "setup.cfg")
    listed = {"": setup["options"]["install_requires"], **setup["options.extras_require"]}
    return {
        extra: {re.split(r"[<>=\[]", line)[0] for line in lines.split()}
        for extra, lines in listed.items()
    }


def test_the_readme_lists_every_dependency_with_its_extra() -> None:
    readme = (REPOSITORY / "README.md").read_text(encoding="utf-8")
    section = readme.partition("\n## Dependencies\n")[2].partition("\n## ")[0]
    shown = re.findall(r"^\| ([a-z][\w, -]*?)(?: \(extra `(\w+)`\))? \|", section, re.MULTILINE)
    pairs = {(name, extra) for names, extra in shown for name in names.split(", ")}
    pairs.remove(("package", ""))  # the heading
    required = dependencies()
    development = required.pop("dev")
    others = {(name, extra) for extra, names in required.items() for name in names}
    of_users = set.union(*(names for extra, names in required.items() if extra != "fuzz"))
    assert pairs == others | {(name, "dev") for name in development - of_users}


def test_setup_includes_every_extra_but_large_ones() -> None:
    required = dependencies()
    del required["fuzz"], required["ray"]
    development = required["dev"] | required[""]
    assert [names - development for names in required.values() if names - development] == []


def test_the_architecture_page_lists_files_that_exist() -> None:
    page = (DOCS / "architecture.md").read_text(encoding="utf-8")
    lists = page.partition("## How to add a backbone")[2]
    rows = re.findall(r"^\| `([^`]+)` \|", lists, re.MULTILINE)
    assert len(rows) >= 20
    backbones = "src/frcnn_cli/engine/network/backbones/"
    for row in rows:
        path = REPOSITORY / re.sub("^backbones/", backbones, row)
        assert (path.parent if path.stem == "NAME" else path).exists(), row


def test_the_architecture_page_names_functions_in_their_files() -> None:
    """Those of its two paths; the other functions are called in one of these files."""
    page = (DOCS / "architecture.md").read_text(encoding="utf-8")
    paths = page.partition("## Two paths")[2].partition("\n## ")[0]
    named = re.findall(r"`(\w+)`\s+in\s+`([\w/]+\.py)`", paths)
    assert len(named) >= 8
    texts = []
    for name, file in named:
        root = "kernels" if file.startswith("frcnn_kernels/") else "src/frcnn_cli"
        texts.append((REPOSITORY / root / file).read_text(encoding="utf-8"))
        assert re.search(rf"^(def|class) {name}\b", texts[-1], re.MULTILINE), (name, file)
    for name in set(re.findall(r"`([a-z]\w+_\w+)`", paths)):
        assert any(f"{name}(" in text for text in texts), name


def test_wheels_and_source_distributions_contain_shipped_models(tmp_path: Path) -> None:
    """What setuptools would put into them, without compiling."""
    words = f"egg_info --egg-base {tmp_path} build_py --build-lib {tmp_path / 'wheel'}"
    source = f"sdist --formats tar --dist-dir {tmp_path}"
    subprocess.run(
        [sys.executable, "setup.py", "-q", *words.split(), *source.split()],
        cwd=REPOSITORY, check=True, capture_output=True,
    )  # fmt: skip
    files = [path for path in FOLDER.iterdir() if path.suffix in (".toml", ".safetensors")]
    assert any(path.suffix == ".toml" for path in files)
    (archive,) = tmp_path.glob("*.tar")
    with tarfile.open(archive) as content:
        sources = {"/".join(name.split("/")[1:]) for name in content.getnames()}
    for file in files:
        inside = file.relative_to(REPOSITORY)
        assert inside.as_posix() in sources
        assert (tmp_path / "wheel" / inside.relative_to("src")).read_bytes() == file.read_bytes()


def test_every_backbone_and_every_source_is_documented() -> None:
    built_in = [source.name for source in list_sources() if source.origin == "built in"]
    for names, page in ((DEFAULTS, "backbones.md"), (built_in, "proposals.md")):
        rows = re.findall(r"^\| .*", (DOCS / page).read_text(encoding="utf-8"), re.MULTILINE)
        assert [name for name in names if f"`{name}`" not in "\n".join(rows)] == [], page
