"""Manual pages: what man's formatters say of them, what is in them, and where `make install` puts them."""

import pathlib
import re
import shutil
import subprocess

import pytest
from host import REPOSITORY

SECTIONS = ["NAME", "SYNOPSIS", "DESCRIPTION", "OPTIONS", "EXAMPLES", "EXIT STATUS", "SEE ALSO"]


@pytest.fixture(scope="module", params=["berth", "berth-runtime"])
def manual(request, berth_programs, tmp_path_factory):
    directory = tmp_path_factory.mktemp("man") / "man1"
    directory.mkdir()
    subprocess.run([berth_programs / request.param, "__man", directory], check=True)
    return directory


def rendered(page, *flags):
    """As people see it, and what groff warns of."""
    # -s follows .so, as man does.
    command = ["groff", "-s", "-I", str(page.parent.parent), "-man", "-Tutf8", "-P-cbou", "-ww", "-rLL=78n", *flags, str(page)]
    done = subprocess.run(["sh", "-c", 'exec "$@"', "sh", *command], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout, done.stderr


def test_groff_has_nothing_to_say(manual):
    pages = sorted(manual.iterdir())
    assert len(pages) > 10
    done = subprocess.run(
        ["groff", "-I", str(manual.parent), "-man", "-Tutf8", "-ww", "-z", *map(str, pages)], capture_output=True, text=True)  # fmt: skip
    assert (done.returncode, done.stderr) == (0, "")


def test_mandoc_has_nothing_to_say(manual):
    if not shutil.which("mandoc"):
        pytest.skip("mandoc is not installed (scripts/setup test)")
    pages = [page for page in sorted(manual.iterdir()) if not page.read_text().startswith(".so")]
    done = subprocess.run(["mandoc", "-Tlint", "-Wwarning", *map(str, pages)], capture_output=True, text=True)
    assert (done.returncode, done.stdout + done.stderr) == (0, "")


def test_sections_stand_in_their_order(manual):
    for page in manual.iterdir():
        text = page.read_text()
        if text.startswith(".so "):
            assert (manual.parent / text.split()[1]).exists(), page
            continue
        found = [section for section in re.findall(r"^\.SH (.+)$", text, re.M) if section in SECTIONS]
        assert found == [section for section in SECTIONS if section in found], page
        assert found[:3] == SECTIONS[:3], page
        for name in re.findall(r"^\.BR (\S+) \(1\)", text, re.M):
            assert (manual / (name.replace("\\-", "-") + ".1")).exists(), f"{page.name} leads to {name}"


def test_pages_say_what_to_type(berth_programs, tmp_path):
    subprocess.run([berth_programs / "berth", "__man", tmp_path], check=True)
    text, _ = rendered(tmp_path / "berth-run.1")
    assert "berth run [OPTIONS] IMAGE [COMMAND] [ARG...]" in text
    assert "berth run --rm -it busybox sh" in text
    assert "-m, --memory bytes" in text
    assert re.search(r"^ +127 +The command is not here", text, re.M)
    # Quotes and backslashes as a shell wants them.
    assert r"berth stats --format 'table {{.Name}}\t{{.MemUsage}}' web" in rendered(tmp_path / "berth-stats.1")[0]
    assert (tmp_path / "berth-container-ls.1").read_text() == ".so man1/berth-ps.1\n"


def test_a_directory_that_is_not_there(berth_programs, tmp_path):
    done = subprocess.run([berth_programs / "berth", "__man", tmp_path / "none"], capture_output=True, text=True)
    assert done.returncode == 1
    assert "none/berth.1" in done.stderr


def test_install_and_uninstall(berth_programs, tmp_path):
    """As `make install` does it, and the other way round."""
    environment = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "BUILT": str(berth_programs), "DESTDIR": str(tmp_path), "PREFIX": "/usr"}
    script = REPOSITORY / "scripts/install"
    subprocess.run([script], env=environment, check=True)
    share = tmp_path / "usr/share"
    assert (tmp_path / "usr/bin/berth").stat().st_mode & 0o777 == 0o755
    assert (tmp_path / "usr/bin/berth-runtime").exists()
    for page in ("berth.1", "berth-run.1", "berth-container-ls.1", "berth-runtime.1", "berth-runtime-create.1"):
        assert (share / "man/man1" / page).exists()
    for file in ("bash-completion/completions/berth", "zsh/site-functions/_berth", "fish/vendor_completions.d/berth.fish"):
        assert "completion for berth" in (share / file).read_text()
    assert (share / "zsh/site-functions/_berth").read_text().startswith("#compdef berth\n")
    if shutil.which("man"):
        shown = subprocess.run(["man", "-M", str(share / "man"), "berth-container-ls"], capture_output=True, text=True, env=environment | {"MANPAGER": "cat", "LANG": "C.UTF-8"})
        assert "berth-ps" in shown.stdout
    subprocess.run([script, "--remove"], env=environment, check=True)
    assert [path for path in pathlib.Path(tmp_path).rglob("*") if not path.is_dir()] == []
