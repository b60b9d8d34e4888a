"""Every example of the reference is typed as it stands there: in its order within a command, as root and as an ordinary user."""

import os
import shutil
import subprocess
import sys

import pytest
from host import REPOSITORY
from tour import Tour, reference
from user_networks import needs_pasta

EXAMPLES = reference((REPOSITORY / "docs/reference/berth.md").read_text())

WEB = "berth run -d --name web httpd"
PLAIN_WEB = "berth run -d --network none --name web httpd"
JOB = "berth run --network none --name job busybox echo done"
DB = "berth run -d --name db --network none busybox sleep 600"
DATA = "berth volume create data; berth run --rm --network none -v data:/d busybox sh -c 'echo here >/d/file'"
TEAM = "berth network create team"
LIST = "berth manifest create localhost:5000/team/app:1 localhost:5000/team/app:amd64 localhost:5000/team/app:arm64"
LOCAL = "berth tag busybox localhost:5000/team/app:1"

# What is there before a command's first example: lines typed, and `registry`, `password` (a registry that asks for one), `certificates`.
BEFORE = {
    "berth attach": ["berth run -dit --network none --name shell busybox sh", PLAIN_WEB],
    "berth commit": [PLAIN_WEB],
    "berth container cleanup": [JOB],
    "berth container clone": ["berth create --network none --name web httpd"],
    "berth debug": [PLAIN_WEB, "berth exec web sh -c 'mkdir -p /var/log; echo failed > /var/log/app.log'"],
    "berth image unmount": ["berth image mount busybox || true"],
    "berth init": ["berth create --network none --name web httpd"],
    "berth mount": ["berth create --network none --name web httpd", "echo 80 > app.conf; berth cp app.conf web:/etc/app.conf"],
    "berth unmount": ["berth create --network none --name web httpd", "berth mount web || true"],
    "berth container exists": [PLAIN_WEB],
    "berth container inspect": [WEB],
    "berth container prune": [JOB],
    "berth cp": [PLAIN_WEB],
    "berth diff": [PLAIN_WEB, "berth exec web touch /etc/new"],
    "berth events": [JOB],
    "berth exec": [PLAIN_WEB],
    "berth export": [PLAIN_WEB],
    "berth healthcheck run": ["berth run -d --network none --name web --health-cmd true httpd"],
    "berth image copy": ["registry"],
    "berth image delete": ["registry"],
    "berth image inspect": ["registry"],
    "berth image list-tags": ["registry", "berth save -o busybox.tar busybox"],
    "berth image sync": ["registry"],
    "berth inspect": [PLAIN_WEB],
    "berth import": ["gzip -k rootfs.tar"],
    "berth kill": [PLAIN_WEB],
    "berth load": ["berth save -o busybox.tar busybox; gzip -k busybox.tar"],
    "berth login": ["password"],
    "berth logout": ["password", "berth login localhost:5000 -u alice -p $PASSWORD"],
    "berth logs": [PLAIN_WEB],
    "berth manifest add": ["registry", "berth manifest create localhost:5000/team/app:1 localhost:5000/team/app:amd64"],
    "berth manifest annotate": ["registry", LIST],
    "berth manifest create": ["registry"],
    "berth manifest exists": ["registry", LIST],
    "berth manifest inspect": ["registry", LIST],
    "berth manifest push": ["registry", LIST],
    "berth manifest remove": ["registry", LIST],
    "berth manifest rm": ["registry", LIST],
    "berth network connect": [TEAM, "berth network create other; berth run -d --name db --network other busybox sleep 600"],
    "berth network disconnect": [TEAM, "berth run -d --name db --network team busybox sleep 600"],
    "berth network exists": [TEAM],
    "berth network inspect": [TEAM],
    "berth network prune": [TEAM],
    "berth network reload": [TEAM, "berth run -d --name db --network team busybox sleep 600"],
    "berth network rm": [TEAM],
    "berth network update": ["berth network create --dns 1.1.1.1 team"],
    "berth pause": [PLAIN_WEB, DB],
    "berth port": ["berth run -d --name web -p 8080:80 httpd"],
    "berth pull": ["registry"],
    "berth push": ["registry", LOCAL],
    "berth rename": [PLAIN_WEB],
    "berth restart": [PLAIN_WEB],
    "berth rm": [JOB, PLAIN_WEB, DB],
    "berth start": ["berth create --network none --name web httpd", JOB],
    "berth stats": [PLAIN_WEB],
    "berth stop": [PLAIN_WEB, DB],
    "berth system df": [PLAIN_WEB, DATA],
    "berth system prune": [JOB],
    "berth top": [PLAIN_WEB],
    "berth unpause": [PLAIN_WEB, DB, "berth pause -a"],
    "berth unshare": ["mkdir data"],
    "berth untag": [LOCAL],
    "berth update": [WEB],
    "berth volume clone": [DATA, "berth volume snapshot data before"],
    "berth volume exists": [DATA],
    "berth volume export": [DATA],
    "berth volume import": [DATA, "berth volume export -o data.tar data"],
    "berth volume inspect": [DATA],
    "berth volume ls": [DATA],
    "berth volume prune": [DATA],
    "berth volume restore": [DATA, "berth volume snapshot data before"],
    "berth volume rm": [DATA, "berth volume create other; berth volume snapshot other before"],
    "berth volume snapshot": [DATA],
    "berth volume snapshots": [DATA, "berth volume snapshot data before"],
    "berth wait": [JOB, "berth run -d --network none --name web --health-cmd true --health-interval 1s httpd"],
    "berth registry serve": ["certificates"],
    "berth build": [r"printf 'FROM busybox AS test\nARG VERSION=1\nRUN echo $VERSION > /version\nFROM test\nCMD [\"cat\", \"/version\"]\n' > Dockerfile"],
}  # fmt: skip

# Where somebody has to type, or to end what goes on by itself: what is seen, and what is typed then.
END = "\x03"
DIALOGUES = {
    "berth run --rm -it busybox sh": [("# ", "exit\r")],
    "berth exec -it web sh": [("# ", "exit\r")],
    "berth attach shell": [("", "\r"), ("# ", "\x10\x11")],
    "berth attach --no-stdin --sig-proxy=false web": [("", END)],
    "berth logs -f --since 0s web": [("", END)],
    "berth events --format json": [("", END)],
    r"berth stats --format 'table {{.Name}}\t{{.MemUsage}}' web": [("web", END)],
    "berth login localhost:5000": [("Username", "alice\r"), ("Password", "secret\r")],
    "berth system prune": [(r"y/N", "y\r")],
    "berth registry serve": [("listening", END)],
    "berth registry serve --listen 127.0.0.1:0": [("listening", END)],
    "berth registry serve --listen :5000 --tls-cert cert.pem --tls-key key.pem --htpasswd users": [("listening", END)],
}
# How those end that ctrl-c ends.
INTERRUPTED = (0, 1, 130, -2)

# What is not run, and why.
CRIU = "needs a CRIU that works with this kernel; test_checkpoint.py looks for one"
OUTSIDE = "an ordinary user mounts in the shell of berth unshare; test_mount.py does"
LEFT_OUT = {
    "berth checkpoint create --leave-running web before-update": CRIU,
    "berth start --checkpoint before-update web": CRIU,
    "berth checkpoint ls web": CRIU,
    "berth checkpoint rm web before-update": CRIU,
    "berth container checkpoint --export web.tar.zst web": CRIU,
    "berth container restore --import web.tar.zst": CRIU,
    "berth container restore --import web.tar.zst --name web2": CRIU,
    "berth debug --image nicolaka/netshoot --cap-add NET_RAW web tcpdump -ni eth0": "fetches an image from Docker Hub",
    "berth search --limit 5 --filter is-official=true redis": "asks Docker Hub",
    "berth system install-service": "changes the machine's own /etc; test_boot.py runs it with --destdir",
    "berth system install-service --user ci": "changes the machine's own /etc; test_boot.py runs it with --destdir",
}
LEFT_OUT_AS = {
    "root": {"berth unshare ls -l data": "root has no user namespace to enter"},
    "user": {
        "sed -i s/80/8080/ $(berth mount web)/etc/app.conf": OUTSIDE,
        "berth unmount web": OUTSIDE,
        "ls $(berth image mount busybox)/bin": OUTSIDE,
        "berth image unmount busybox": OUTSIDE,
    },
}


# What an ordinary user gets for these where no cgroup is theirs: the sentence that says what to type.
NO_CGROUP = "delegated"


def shell_of(command):
    """`berth completion SHELL` is for that shell."""
    words = command.split()
    return words[2] if words[1] == "completion" else None


@pytest.fixture
def tour(suite, who, berth_programs):
    made = Tour(suite, who, berth_programs)
    yield made
    made.close()


def prepare(tour, command):
    before = BEFORE.get(command, [])
    if command not in ("berth load", "berth registry serve") and not shell_of(command):
        tour.load()
    elif command == "berth load":
        tour.load("busybox")
    for step in before:
        if step == "registry":
            tour.serve()
        elif step == "password":
            tour.serve("--htpasswd", "users")
        elif step == "certificates":
            tour.certificates()
        else:
            done = tour.sh(step)
            if done.code and NO_CGROUP in done.err and not tour.who.is_root:
                pytest.skip("no cgroup is delegated to the ordinary user")
            done.check()


@needs_pasta
@pytest.mark.parametrize("command", EXAMPLES)
def test_examples(tour, command):
    shell = shell_of(command)
    if shell and not shutil.which(shell):
        pytest.skip(f"{shell} is not installed")
    prepare(tour, command)
    name = "root" if tour.who.is_root else "user"
    for line in EXAMPLES[command]:
        if line in LEFT_OUT or line in LEFT_OUT_AS[name]:
            continue
        if line in DIALOGUES:
            code = tour.type(line, DIALOGUES[line])
            assert code == 0 or DIALOGUES[line][-1][1] == END and code in INTERRUPTED, f"{line}: exit {code}"
        elif shell and shell != "bash":
            keywords = {} if tour.who.is_root else {"user": tour.who.uid, "group": tour.who.gid}
            done = subprocess.run([shell, "-c", line], env=tour.environment(), capture_output=True, text=True, cwd=tour.home, **keywords)
            assert done.returncode == 0, f"{line}: {done.stderr}"
        else:
            done = tour.sh(line)
            if done.code == 1 and NO_CGROUP in done.err and not tour.who.is_root:
                continue
            assert done.code == 0, f"{line}: exit {done.code}\n{done.out}{done.err}"


def test_lists_hold_only_what_is_there(capsys):
    """What is prepared, typed or left out is in the reference; every command that does something has an example."""
    lines = {line for lines in EXAMPLES.values() for line in lines}
    assert set(BEFORE) <= set(EXAMPLES)
    for some in (DIALOGUES, LEFT_OUT, *LEFT_OUT_AS.values()):
        assert set(some) <= lines
    every = [lines for lines in EXAMPLES.values()]
    total = sum(map(len, every))
    told = [f"examples run: {total - len(LEFT_OUT)} of {total}", *(f"  not run: {line}: {why}" for line, why in LEFT_OUT.items())]
    told += [f"  not run as {name}: {line}: {why}" for name, some in LEFT_OUT_AS.items() for line, why in some.items()]
    with capsys.disabled():
        print("\n" + "\n".join(told), file=sys.stderr, flush=True)


@pytest.mark.parametrize("program", ["berth", "berth-runtime"])
def test_the_reference_is_that_of_the_program(program, berth_programs):
    """`make docs` was run after the last change of a table."""
    text = subprocess.run([berth_programs / program, "__markdown"], capture_output=True, text=True, check=True, env={"PATH": os.environ["PATH"]}).stdout
    assert (REPOSITORY / f"docs/reference/{program}.md").read_text() == text, "type: make docs"


def test_every_command_has_an_example():
    text = (REPOSITORY / "docs/reference/berth.md").read_text()
    missing = []
    for section in text.split("\n## ")[1:]:
        command, _, body = section.partition("\n")
        is_group = "\n| command | what it does |" in body
        if not is_group and not body.startswith("\nThe same as") and command not in EXAMPLES:
            missing.append(command)
    assert missing == []
