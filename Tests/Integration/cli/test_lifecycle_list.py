"""ps, inspect, version, info, system check: what they show, in which order and format."""

import json
import re

import pytest

import images
from host import wait_for


def create(berth, name, *flags, command=("true",)):
    return berth.ok("create", "--name", name, "--network", "none", *flags, "test", *command).text


# ps


def test_the_table(berth):
    identity = berth.up("--name", "first")
    lines = berth.ok("ps").lines
    assert re.split(r"\s{3,}", lines[0]) == ["CONTAINER ID", "IMAGE", "COMMAND", "CREATED", "STATUS", "PORTS", "NAMES"]
    assert re.fullmatch(identity[:12] + r'\s+test\s+"sleep 1000"\s+(Less than a second|\d+ seconds?) ago\s+Up (Less than a second|\d+ seconds?)\s+first', lines[1])
    assert len(lines) == 2


def test_which_are_shown(berth):
    identity = berth.up("--name", "runs")
    made = create(berth, "idle")
    berth.call("run", "--name", "ended", "--network", "none", "test", "sh", "-c", "exit 3")
    assert berth.names() == ["runs"]
    assert berth.names("-a") == ["ended", "idle", "runs"]  # newest first
    assert berth.ok("ps", "-q").text == identity[:12]
    assert berth.ok("ps", "-q", "--no-trunc").text == identity
    assert berth.ok("ps", "-l", "--format", "{{.Names}}").text == "ended"
    assert berth.names("-n", "2") == ["ended", "idle"]
    assert berth.names("-n2") == ["ended", "idle"]
    assert berth.names("--last=9") == ["ended", "idle", "runs"]
    assert berth.ok("container", "ls", "-aq").lines == berth.ok("container", "list", "-a", "-q").lines == berth.ok("container", "ps", "-aq").lines
    status = dict(line.split("\t") for line in berth.ok("ps", "-a", "--format", "{{.Names}}\t{{.Status}}").lines)
    assert status["idle"] == "Created" and re.match(r"Exited \(3\) .* ago", status["ended"]) and status["runs"].startswith("Up ")
    assert made[:12] in berth.ok("ps", "-aq").lines


def test_long_commands_are_cut(berth):
    berth.up("--name", "long", command=("sh", "-c", "sleep 1000; echo a long command line"))
    assert '"sh -c \'sleep 1000' in berth.ok("ps").out or '"sh -c sleep 1000; e' in berth.ok("ps").out or "…" in berth.ok("ps").out
    assert "a long command line" in berth.ok("ps", "--no-trunc").out
    assert "a long command line" not in berth.ok("ps").out


def test_size(berth):
    berth.up("--name", "writes", command=("sh", "-c", "dd if=/dev/zero of=/file bs=1000 count=100 2>/dev/null; exec sleep 1000"))
    wait_for(lambda: "100kB (virtual" in berth.ok("ps", "-s").out, "the size of what was written")
    assert "SIZE" in berth.ok("ps", "-s").lines[0]
    document = json.loads(berth.ok("inspect", "-s", "writes").out)[0]
    assert document["SizeRw"] == 100000 and document["SizeRootFs"] > document["SizeRw"]
    assert "SizeRw" not in berth.inspect("writes")


def test_filters(berth):
    first = create(berth, "web-1", "--label", "role=web", "--label", "tier")
    second = berth.up("--name", "web-2", "--label", "role=web", "-v", "a-volume:/data")
    third = create(berth, "db", "--label", "role=db")
    berth.call("run", "--name", "failed", "--network", "none", "test", "sh", "-c", "exit 3")
    fourth = berth.inspect("failed", "Id")
    cases = {
        ("name=web",): ["web-2", "web-1"], ("name=^/web-1$",): ["web-1"], ("name=^db",): ["db"], ("name=web-[12]|db",): ["db", "web-2", "web-1"],
        (f"id={first[:8]}",): ["web-1"], (f"id={second}",): ["web-2"], ("label=role=web",): ["web-2", "web-1"], ("label=role",): ["db", "web-2", "web-1"],
        ("label=role=web", "label=tier"): ["web-1"], ("label!=role",): ["failed"],
        ("status=running",): ["web-2"], ("status=created",): ["db", "web-1"], ("status=exited",): ["failed"],
        ("status=created", "status=running"): ["db", "web-2", "web-1"],
        ("exited=3",): ["failed"], ("exited=0",): [], ("ancestor=test",): ["failed", "db", "web-2", "web-1"], ("ancestor=nosuch",): [],
        ("before=db",): ["web-2", "web-1"], (f"since={first}",): ["failed", "db", "web-2"], ("volume=a-volume",): ["web-2"], ("volume=/data",): ["web-2"],
        ("network=none",): ["failed", "db", "web-2", "web-1"], ("network=host",): [], ("health=none", "name=db"): ["db"], ("health=healthy",): [],
        ("is-task=false", "name=db"): ["db"], ("name=nosuch",): [],
        ("name=web", "status=running"): ["web-2"],
    }  # fmt: skip
    for filters, expected in cases.items():
        words = [word for text in filters for word in ("--filter", text)]
        assert berth.names("-a", *words) == expected, filters
    # a filter by state shows all states, as Docker's does
    assert berth.names("-f", "status=exited") == ["failed"]
    assert {third, fourth} <= set(berth.ok("ps", "-aq", "--no-trunc").lines)


@pytest.mark.parametrize("text", ["nosuch=x", "status=sleeping", "exited=x", "novalue", "health=x", "name=[", "since=nosuch", "before=nosuch"])
def test_filters_that_are_none(berth, text):
    berth.up()
    assert berth.call("ps", "-a", "--filter", text).code in (1, 125)


def test_formats(berth):
    identity = berth.up("--name", "first", "--label", "a=1", "--label", "b=2")
    row = json.loads(berth.ok("ps", "--format", "json").out)
    assert row["ID"] == identity[:12] and row["Names"] == "first" and row["State"] == "running" and row["Labels"] == "a=1,b=2"
    keys = "Command CreatedAt ID Image Labels LocalVolumes Mounts Names Networks Platform Ports RunningFor Size State Status"
    assert sorted(row) == keys.split()
    assert json.loads(berth.ok("ps", "--format", "{{json .}}").out) == row
    assert json.loads(berth.ok("ps", "--no-trunc", "--format", "{{json .ID}}").out) == identity
    assert berth.ok("ps", "--format", '{{.Label "a"}}-{{.Label "none"}}').text == "1-"
    assert berth.ok("ps", "--format", "{{.Names}}\\t{{upper .Image}}").text == "first\tTEST"
    table = berth.ok("ps", "--format", "table {{.Names}}\\t{{.State}}\\t{{.RunningFor}}").lines
    assert re.split(r"\s{3,}", table[0]) == ["NAMES", "STATE", "CREATED"] and re.split(r"\s{3,}", table[1])[:2] == ["first", "running"]
    assert berth.ok("ps", "--format", "table").lines[0].startswith("CONTAINER ID")
    berth.call("ps", "--format", "{{.Nosuch}}").fails(1, "can't evaluate field Nosuch")
    berth.call("ps", "--format", "{{.ID").fails(64, "template parsing error")
    # Docker's -q wins over no format only
    assert berth.ok("ps", "-q", "--format", "{{.Names}}").text == "first"


def test_empty_lists(fresh):
    """Looking makes nothing: no store is there before something is put into it."""
    assert len(fresh.ok("ps").lines) == 1
    assert fresh.ok("ps", "-aq").out == "" and fresh.ok("ps", "--format", "json").out == ""
    assert len(fresh.ok("images").lines) == 1
    assert not fresh.root.exists()


# inspect


def test_several_and_missing(berth):
    first, second = create(berth, "one"), create(berth, "two")
    documents = json.loads(berth.ok("inspect", "two", first).out)
    assert [document["Id"] for document in documents] == [second, first]
    result = berth.call("inspect", "one", "missing").fails(1, "no such object: missing")
    assert [document["Id"] for document in json.loads(result.out)] == [first]
    result = berth.call("inspect", "missing").fails(1, "no such object: missing")
    assert json.loads(result.out) == []
    result = berth.call("container", "inspect", "missing").fails(1, "no such container: missing")
    assert json.loads(result.out) == []


def test_kinds(berth):
    create(berth, "one", "-v", "seen:/data")
    kinds = json.loads(berth.ok("inspect", "one", "test", "seen").out)
    assert kinds[0]["State"]["Status"] == "created" and kinds[1]["RepoTags"] == ["test:latest"] and kinds[2]["Name"] == "seen"
    assert json.loads(berth.ok("inspect", "--type", "image", "test").out)[0]["RepoTags"] == ["test:latest"]
    assert json.loads(berth.ok("inspect", "--type=container", "one").out)[0]["Name"] == "/one"
    berth.call("inspect", "--type", "image", "one").fails(1, "no such image: one")
    berth.call("inspect", "--type", "container", "test").fails(1, "no such container: test")
    assert berth.call("inspect", "--type", "nosuch", "one").code in (1, 125)
    berth.call("container", "inspect", "test").fails(1, "no such container: test")
    berth.call("image", "inspect", "one").fails(1, "no such image: one")


TEMPLATES = {
    "{{.State.Status}}": "running", "{{.Name}}": "/web", "{{json .State.Running}}": "true", "{{len .Mounts}}": "2",
    '{{index .Config.Labels "a"}}': "1", '{{index .Config.Labels "com.example.b"}}': "x y", '{{index .Config.Labels "none"}}': "",
    "{{if .State.Running}}up{{else}}down{{end}}": "up", "{{range .Mounts}}{{.Type}}:{{.Destination}} {{end}}": "bind:/mnt volume:/data ",
    "{{with .State.Health}}{{.Status}}{{else}}none{{end}}": "none", "{{if .State.Health}}{{.State.Health.Status}}{{end}}": "",
    '{{printf "%s=%d" .Name .HostConfig.ShmSize}}': "/web=67108864", "{{println .Name}}": "/web\n", '{{join .Args " "}}': "1000",
    "{{upper .Path}} {{lower .Path}} {{title .Path}}": "SLEEP sleep Sleep", "{{.HostConfig.Privileged}}": "false",
    "{{.HostConfig.NetworkMode}} {{.HostConfig.RestartPolicy.Name}}": "none no",
    "{{range $name, $net := .NetworkSettings.Networks}}{{$name}}:{{$net.IPAddress}};{{end}}": "none:;",
    "{{range .Config.Env}}{{if eq (index (split . \"=\") 0) \"KEY\"}}{{.}}{{end}}{{end}}": "KEY=value",
    "{{json .HostConfig.PortBindings}} {{.NetworkSettings.Ports}}": "{} map[]", "{{.Config.Labels}}": "map[a:1 com.example.b:x y]",
    "{{.Config.Cmd}} {{.HostConfig.CapAdd}}": "[sleep 1000] []", "{{(index .Mounts 0).Destination}}": "/mnt",
    "{{$c := .}}{{range $i, $m := .Mounts}}{{if $i}}, {{end}}{{$c.Name}}{{$m.Destination}}{{end}}": "/web/mnt, /web/data",
    "{{slice .Id 0 0}}{{truncate .Name 3}}": "/we", "{{not .State.Paused}} {{and .State.Running .State.Paused}}": "true false",
    "{{if or .State.Paused (eq .State.Status \"running\")}}alive{{end}}": "alive", "{{.NetworkSettings.IPAddress}}": "",
    "{{- .Name -}}  ": "/web", "{{/* comment */}}x": "x", "a\\tb": "a\\tb", "{{json .Config.Entrypoint}}": "null",
    "{{.Config.Labels.none}}": "<no value>", "{{range .HostConfig.CapAdd}}x{{else}}empty{{end}}": "empty",
    "{{if gt .State.Pid 0}}{{if and (ge 2 1) (ne .Name \"x\")}}ok{{end}}{{end}}": "ok",
}  # fmt: skip


def test_templates(berth, place):
    identity = berth.up("--name", "web", "--label", "a=1", "--label", "com.example.b=x y", "-e", "KEY=value", "-v", f"{place}:/mnt", "-v", "tv:/data")
    for template, expected in TEMPLATES.items():
        for flag in (["-f", template], ["--format", template]):
            assert berth.ok("inspect", *flag, "web").out == expected + "\n", template
    assert json.loads(berth.ok("inspect", "-f", "json", "web").out)[0]["Id"] == identity
    mounts = json.loads(berth.ok("inspect", "-f", "{{json .Mounts}}", "web").out)
    assert {mount["Destination"]: mount["Source"] for mount in mounts} == {"/mnt": str(place), "/data": str(berth.root / "volumes/tv/_data")}
    create(berth, "two")
    assert berth.ok("inspect", "-f", "{{.Name}}", "web", "two").lines == ["/web", "/two"]
    berth.call("inspect", "-f", "{{.Name}}", "web", "missing").fails(1, "no such object: missing")


@pytest.mark.parametrize("template", ["{{.Nosuch}}", "{{.State.Nosuch}}", "{{.Name.X}}", "{{index .Mounts 9}}", "{{len .State.Pid}}", "{{upper .State.Pid}}"])
def test_templates_that_fail(berth, template):
    create(berth, "one")
    result = berth.call("inspect", "-f", template, "one").fails(1, "template parsing error: template: :1:")
    assert result.text == ""


@pytest.mark.parametrize("template", ["{{.Name", "{{if .Name}}", "{{end}}", "{{nosuch .Name}}", "{{", "{{}}", "{{.Name | }}", "{{template \"x\"}}"])
def test_templates_that_are_none(berth, template):
    create(berth, "one")
    berth.call("inspect", "-f", template, "one").fails(64, "template parsing error")


STRING, NUMBER, FLAG, LIST, MAP, TEXTS = "string", "number", "flag", "list", "map", "texts"
# Docker's Engine API, ContainerInspectResponse: every key that its own inspect shows for a plain container.
SHAPE = {
    "": {"Id": STRING, "Created": STRING, "Path": STRING, "Args": LIST, "State": MAP, "Image": STRING, "ResolvConfPath": STRING, "HostnamePath": STRING,
         "HostsPath": STRING, "LogPath": STRING, "Name": STRING, "RestartCount": NUMBER, "Driver": STRING, "Platform": STRING, "MountLabel": STRING,
         "ProcessLabel": STRING, "AppArmorProfile": STRING, "ExecIDs": LIST, "HostConfig": MAP, "GraphDriver": MAP, "Mounts": LIST, "Config": MAP,
         "NetworkSettings": MAP},
    "State": {"Status": STRING, "Running": FLAG, "Paused": FLAG, "Restarting": FLAG, "OOMKilled": FLAG, "Dead": FLAG, "Pid": NUMBER, "ExitCode": NUMBER,
              "Error": STRING, "StartedAt": STRING, "FinishedAt": STRING},
    "HostConfig": {"Binds": LIST, "ContainerIDFile": STRING, "LogConfig": MAP, "NetworkMode": STRING, "PortBindings": MAP, "RestartPolicy": MAP,
                   "AutoRemove": FLAG, "VolumeDriver": STRING, "VolumesFrom": LIST, "ConsoleSize": LIST, "CapAdd": LIST, "CapDrop": LIST,
                   "CgroupnsMode": STRING, "Dns": LIST, "DnsOptions": LIST, "DnsSearch": LIST, "ExtraHosts": LIST, "GroupAdd": LIST, "IpcMode": STRING,
                   "Cgroup": STRING, "Links": LIST, "OomScoreAdj": NUMBER, "PidMode": STRING, "Privileged": FLAG, "PublishAllPorts": FLAG,
                   "ReadonlyRootfs": FLAG, "SecurityOpt": LIST, "UTSMode": STRING, "UsernsMode": STRING, "ShmSize": NUMBER, "Runtime": STRING,
                   "Isolation": STRING, "CpuShares": NUMBER, "Memory": NUMBER, "NanoCpus": NUMBER, "CgroupParent": STRING, "BlkioWeight": NUMBER,
                   "BlkioWeightDevice": LIST, "BlkioDeviceReadBps": LIST, "BlkioDeviceWriteBps": LIST, "BlkioDeviceReadIOps": LIST,
                   "BlkioDeviceWriteIOps": LIST, "CpuPeriod": NUMBER, "CpuQuota": NUMBER, "CpuRealtimePeriod": NUMBER, "CpuRealtimeRuntime": NUMBER,
                   "CpusetCpus": STRING, "CpusetMems": STRING, "Devices": LIST, "DeviceCgroupRules": LIST, "DeviceRequests": LIST,
                   "MemoryReservation": NUMBER, "MemorySwap": NUMBER, "MemorySwappiness": NUMBER, "OomKillDisable": FLAG, "PidsLimit": NUMBER,
                   "Ulimits": LIST, "CpuCount": NUMBER, "CpuPercent": NUMBER, "IOMaximumIOps": NUMBER, "IOMaximumBandwidth": NUMBER, "MaskedPaths": LIST,
                   "ReadonlyPaths": LIST},
    "HostConfig.LogConfig": {"Type": STRING, "Config": MAP},
    "HostConfig.RestartPolicy": {"Name": STRING, "MaximumRetryCount": NUMBER},
    "GraphDriver": {"Data": MAP, "Name": STRING},
    "GraphDriver.Data": {"LowerDir": STRING, "MergedDir": STRING, "UpperDir": STRING, "WorkDir": STRING},
    "Config": {"Hostname": STRING, "Domainname": STRING, "User": STRING, "AttachStdin": FLAG, "AttachStdout": FLAG, "AttachStderr": FLAG, "Tty": FLAG,
               "OpenStdin": FLAG, "StdinOnce": FLAG, "Env": LIST, "Cmd": LIST, "Image": STRING, "Volumes": MAP, "WorkingDir": STRING, "Entrypoint": LIST,
               "OnBuild": LIST, "Labels": MAP},
    "NetworkSettings": {"Bridge": STRING, "SandboxID": STRING, "SandboxKey": STRING, "Ports": MAP, "HairpinMode": FLAG, "LinkLocalIPv6Address": STRING,
                        "LinkLocalIPv6PrefixLen": NUMBER, "SecondaryIPAddresses": LIST, "SecondaryIPv6Addresses": LIST, "EndpointID": STRING,
                        "Gateway": STRING, "GlobalIPv6Address": STRING, "GlobalIPv6PrefixLen": NUMBER, "IPAddress": STRING, "IPPrefixLen": NUMBER,
                        "IPv6Gateway": STRING, "MacAddress": STRING, "Networks": MAP},
    "NetworkSettings.Networks.none": {"IPAMConfig": MAP, "Links": LIST, "Aliases": LIST, "NetworkID": STRING, "EndpointID": STRING, "Gateway": STRING,
                                      "IPAddress": STRING, "IPPrefixLen": NUMBER, "IPv6Gateway": STRING, "GlobalIPv6Address": STRING,
                                      "GlobalIPv6PrefixLen": NUMBER, "MacAddress": STRING, "DriverOpts": MAP},
}  # fmt: skip
TYPES = {STRING: str, NUMBER: int, FLAG: bool, LIST: list, MAP: dict}
NULLABLE = {LIST, MAP, "MemorySwappiness", "OomKillDisable", "PidsLimit"}


def test_the_shape_is_dockers(berth, place):
    rich = ["--memory", "64m", "--cap-add", "NET_ADMIN", "--label", "x=y", "--ulimit", "nofile=100:200", "--tmpfs", "/t", "--sysctl", "net.ipv4.ip_forward=0"]
    create(berth, "plain")
    berth.up("--name", "rich", "-v", f"{place}:/mnt", *(rich if berth.who.is_root else rich[2:]))
    for name in ("plain", "rich"):
        document = berth.inspect(name)
        for path, keys in SHAPE.items():
            value = document
            for part in path.split(".") if path else []:
                value = value[part]
            for key, kind in keys.items():
                assert key in value, f"{name}: no {path}.{key}"
                if value[key] is None:
                    assert kind in NULLABLE or key in NULLABLE, f"{name}: {path}.{key} is null"
                else:
                    assert isinstance(value[key], TYPES[kind]), f"{name}: {path}.{key} is {value[key]!r}"
                    assert kind != NUMBER or not isinstance(value[key], bool)
    mount = berth.inspect("rich", "Mounts")[0]
    assert {key: type(value) for key, value in mount.items()} == {"Type": str, "Source": str, "Destination": str, "Mode": str, "RW": bool, "Propagation": str}
    limits = berth.inspect("rich", "HostConfig")
    assert limits["CapAdd"] in (["NET_ADMIN"], ["CAP_NET_ADMIN"]) and limits["Binds"] == [f"{place}:/mnt"] and limits["Tmpfs"] == {"/t": ""}
    assert limits["Ulimits"] == [{"Name": "nofile", "Hard": 200, "Soft": 100}]
    time = r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,9})?Z"
    assert re.fullmatch(time, berth.inspect("rich", "Created")) and re.fullmatch(time, berth.inspect("rich", "State.StartedAt"))


# version, info, system check


def test_version(berth):
    assert re.fullmatch(r"berth version \d+\.\d+\.\d+", berth.ok("--version").text)
    assert berth.ok("-v").text == berth.ok("--version").text
    version = berth.ok("version", "--format", "{{.Client.Version}}").text
    assert version in berth.ok("--version").text and version in berth.ok("version").out
    assert berth.ok("version", "-f", "{{.Server.Version}}").text == version
    assert set(json.loads(berth.ok("version", "--format", "json").out)) >= {"Client", "Server"}
    berth.call("version", "-f", "{{.Nosuch}}").fails(1, "Nosuch")


def test_info(berth):
    berth.up()
    create(berth, "idle")
    document = json.loads(berth.ok("system", "info", "--format", "json").out)
    assert (document["Containers"], document["ContainersRunning"], document["ContainersStopped"]) == (2, 1, 1)
    assert document["DockerRootDir"] == str(berth.root)
    assert berth.ok("info", "-f", "{{.Driver}} {{.CgroupVersion}}").text.split()[0] == "overlay2"
    assert "Containers: 2" in berth.ok("info").out
    assert berth.ok("info", "-f", "{{.ServerVersion}}").text in berth.ok("--version").text


def test_system_check(berth):
    berth.up()
    result = berth.ok("system", "check")
    assert all(line.startswith(("ok ", "warn", "     type:")) for line in result.lines), result.out
    rows = json.loads(berth.ok("system", "check", "--format", "json").out)
    assert {"Name", "OK", "Text", "Fix"} == set(rows[0])


def test_text_of_containers_does_not_steer_the_terminal(berth):
    """S79"""
    berth.up("--name", "evil", "--label", "x=\x1b[31mred", command=("sh", "-c", "sleep 1000; true", "\x1b]0;title\x07"))
    for words in (["ps", "--no-trunc"], ["ps", "--format", "{{.Labels}} {{.Command}}"], ["top", "evil"]):
        assert "\x1b" not in berth.ok(*words).out


def test_images_module_is_used():
    assert images.MANIFEST
