"""The rows about images: load, pull, push, rmi, images. Part of `Bench` in run.py."""

import contextlib
import os
import shutil

import engines
import harness
import images
import registry
from harness import NotMeasured, Sample, interleaved, output, say

NAMES = ("berth", "podman", "docker")


class ImageRows:
    # What the rows share.

    def start_registry(self):
        if not self.server:
            self.server = registry.Registry(self.outside)
            self.proxy = registry.CountingProxy(self.server.port)
        return self.server

    def shape(self, key):
        """An image of the issue's table: (title, its name in the registry)."""
        scale = self.scale
        files = 60_000 // scale
        title, layers = {
            "big": (f"one layer of {500 // scale} MB", [(8, (500 << 20) // scale, 1)]),
            "layers": (f"20 layers, {1000 // scale} MB in all", [(40, (50 << 20) // scale, n) for n in range(2, 22)]),
            "files": (f"one layer of {files:,} small files", [(files, files * 4096, 99)]),
            "push": (f"20 layers, {100 // scale} MB in all", [(10, (5 << 20) // scale, n) for n in range(100, 120)]),
        }[key]
        return title, self.start_registry().image(key, layers)

    def formats(self):
        """Berth by its layer formats, as far as this berth has a choice: {label: Engine or NotMeasured}."""
        found = {}
        for kind in (engines.BerthErofs, engines.BerthDirectory):
            label = f"berth ({kind.label})"
            try:
                if kind.name not in self.engines:
                    self.engines[kind.name] = engine = kind(self.base)
                    engine.import_image(self.tar)
                found[label] = self.engines[kind.name]
            except NotMeasured as why:
                self.engines.pop(kind.name).leave()
                # Without a choice, directories are the only format there is.
                only = "unknown setting" in str(why)
                found[label] = why if not only else self.engines["berth"] if kind is engines.BerthDirectory else NotMeasured(
                    "this berth has no setting layer_format")
        return found

    @contextlib.contextmanager
    def main_engines_only(self):
        """The formats' engines are for the rows that ask for them."""
        more = {name: self.engines.pop(name) for name in list(self.engines) if name not in NAMES}
        try:
            yield
        finally:
            self.engines.update(more)

    def add_all(self, table, found, at_least, labels=NAMES):
        """A line for each, measured or not."""
        for who in labels:
            table.add(who, found.get(who) or self.missing.get(who) or NotMeasured("it did not start"), at_least=at_least.get(who))

    def peaks_of(self, found):
        """{who: MiB}: of the command, or of dockerd, which does the work for docker."""
        peaks = {}
        for who, sample in found.items():
            if isinstance(sample, Sample) and who == "docker":
                peaks["docker (dockerd)"] = harness.peak_kib(self.engines["docker"].server.pid) / 1024
            else:
                peaks[who] = sample.peak_kib / 1024 if isinstance(sample, Sample) else sample
        return peaks

    def reset_peaks(self):
        if "docker" in self.engines:
            harness.reset_peak(self.engines["docker"].server.pid)

    def few(self):
        """Rounds of what takes seconds, and as long again to be undone."""
        return 2 if self.quick else 4

    def pull_of(self, engine, name):
        return engine.call("pull", *(["--tls-verify=false"] if engine.name == "podman" else []), name)

    # The rows.

    def load(self):
        tables = []
        for zipped in (False, True):
            kind = "gzip" if zipped else "plain"
            archive = images.large_archive(self.outside / f"large-{kind}.tar", 20_000 // self.scale, (200 << 20) // self.scale, zipped)
            size = f"{20_000 // self.scale:,} files, {200 // self.scale} MB"
            table = self.table(f"load-{kind}", f"`load` of {size}, one {kind} layer", "ms, median (min–max)",
                               "At least twice as fast, in less than 64 MB of memory")
            peaks = self.table(f"load-{kind}-memory", f"peak memory of that `load` ({kind})", "MiB", "Less than 64 MB")

            def forget(who):
                output(self.engines[who].call("rmi", "-f", "localhost/berth-bench-large:latest"), check=False)
                os.sync()

            with self.main_engines_only():
                self.reset_peaks()
                commands = self.each(lambda engine: engine.call("load", "-i", str(archive)))
                found = interleaved(commands, self.few(), warm=0, before=forget, memory=self.report())
                self.add_all(table, found, {"podman": 2, "docker": 2})
                for who, peak in self.peaks_of(found).items():
                    peaks.add(who, peak)
                for who in self.engines:
                    forget(who)
            archive.unlink()
            tables += [table, peaks]
        return tables

    def report(self):
        if not os.access(harness.PEAK, os.X_OK):
            raise NotMeasured("time is not installed")
        return self.outside / "peak"

    def pull(self):
        """Each shape from a docker-registry of this run: with nothing there, and again."""
        warm = self.table(
            "pull-warm", "`pull` of what is there already", "ms, median (min–max), and what the registry was asked in one pull",
            "An up-to-date tag costs one HEAD")
        tables = []
        with self.main_engines_only():
            for key in ("big", "layers", "files"):
                tables += self.pull_shape(key, warm if key == "layers" else None)
        return [*tables, warm]

    def pull_shape(self, key, warm):
        title, name = self.shape(key)
        table = self.table(
            f"pull-{key}", f"`pull`, {title}", "ms, median (min–max)",
            "At least twice as fast as the fastest of the others that store; copies to a directory of blobs unpack nothing")
        peaks = self.table(f"pull-{key}-memory", f"peak memory of that `pull`, {title}", "MiB", "Less than 100 MB")
        commands = {who: self.pull_of(engine, name) for who, engine in self.engines.items()}
        copies, stored = self.base / "copies", self.base / "skopeo"
        copies.mkdir(exist_ok=True)
        places = {"skopeo copy to oci:": f"oci:{copies}/skopeo:1",
                  "skopeo copy to containers-storage:": f"containers-storage:[overlay@{stored}/root+{self.base}/skopeo/run]{name}"}  # fmt: skip
        for who, place in places.items():
            try:
                commands[who] = [engines.find("skopeo"), "copy", "--src-tls-verify=false", f"docker://{name}", place]
            except NotMeasured as why:
                self.missing[who] = why
        if "berth" in self.engines:
            commands["berth image copy to oci:"] = self.engines["berth"].call(
                "image", "copy", "--src-tls-verify=false", f"docker://{name}", f"oci:{copies}/berth:1")

        def forget(who):
            if who in self.engines:
                output(self.engines[who].call("rmi", "-f", name), check=False)
            elif "storage" in who:
                harness.unmount_below(stored)
                shutil.rmtree(stored, ignore_errors=True)
            else:
                shutil.rmtree(copies / who.partition(" ")[0], ignore_errors=True)
            os.sync()

        self.reset_peaks()
        say(f"  {title}")
        found = interleaved(commands, self.few(), warm=0, before=forget, memory=self.report())
        labels = (*NAMES, *(who for who in commands if who not in self.engines))
        self.add_all(table, found, {"podman": 2, "docker": 2, "skopeo copy to containers-storage:": 2}, labels)
        for who, peak in self.peaks_of(found).items():
            peaks.add(who, peak)
        if warm:
            self.pull_again(warm, {who: commands[who] for who in labels if who in commands}, found)
        for who in commands:
            forget(who)
        return [table, peaks]

    def pull_again(self, table, commands, cold):
        asked = {}
        ready = {who: command for who, command in commands.items() if isinstance(cold[who], Sample)}
        found = interleaved(ready, self.rounds(20), before=lambda who: asked.update({who: self.server.mark()}),
                            after=lambda who: asked.update({who: self.server.requests(asked[who])}))
        for who in commands:
            sample = found.get(who, cold[who])
            text = None
            if isinstance(sample, Sample):
                text = f"{sample}; " + (", ".join(f"{count} × {what}" for what, count in sorted(asked[who].items())) or "nothing")
            table.add(who, sample, text)

    def push(self):
        """What is sent when the registry has all layers: under another tag, and for another repository there."""
        title, name = self.shape("push")
        tables = []
        for kind, target in (("tag", "push:again"), ("repository", "other/push:1")):
            table = self.table(
                f"push-{kind}", f"`push` of unchanged layers to another {kind} ({title})", "KB sent in all, requests included, and the time",
                "No bytes of layers")
            local, here = name.replace(self.server.host, self.proxy.host), f"{self.proxy.host}/{target}"
            with self.main_engines_only():
                for who in NAMES:
                    table.add(who, *self.push_one(who, local, here))
            tables.append(table)
        return tables

    def push_one(self, who, name, target):
        """(KB, text): the first push to the target by this engine; what it sends later is no more."""
        engine = self.engines.get(who)
        if not engine:
            return self.missing.get(who), None
        insecure = ["--tls-verify=false"] if who == "podman" else []
        # Each engine has a target of its own: for the second there would be nothing left to do.
        target = target.replace("push", f"push-{who}") if "other/" in target else f"{target}-{who}"
        try:
            output(engine.call("pull", *insecure, name))
            output(engine.call("tag", name, target))
            sent, mark = self.proxy.sent, self.server.mark()
            took, code = harness.once(engine.call("push", *insecure, target))
            if code:
                output(engine.call("push", *insecure, target))
                return NotMeasured(f"exits with {code} once"), None
            sent, asked = self.proxy.sent - sent, self.server.requests(mark)
        except NotMeasured as why:
            return why, None
        finally:
            output(engine.call("rmi", "-f", target, name), check=False)
        uploads = asked["PATCH uploads"] + asked["PUT uploads"]
        return sent / 1000, f"{sent / 1000:.1f} KB, {uploads} uploads, {took:.0f} ms"

    def rmi(self):
        """The removal of an image of many files, by layer format."""
        title, name = self.shape("files")
        table = self.table(
            "rmi", f"`rmi` of an image with {title}", "ms, median (min–max)", "The second layer format at least 5 times as fast as directories")
        formats = self.formats()
        who = {label: engine for label, engine in formats.items() if not isinstance(engine, NotMeasured)}
        who |= {peer: self.engines[peer] for peer in ("podman", "docker") if peer in self.engines}

        def bring(label):
            output(self.pull_of(who[label], name))
            os.sync()

        found = interleaved({label: engine.call("rmi", name) for label, engine in who.items()}, self.few(), warm=0, before=bring)
        for label, engine in formats.items():
            table.add(label, engine if isinstance(engine, NotMeasured) else found[label], at_least=5 if "director" in label else None)
        self.add_all(table, found, {}, ("podman", "docker"))
        pulls = self.table("pull-formats", f"`pull` by layer format, {title}", "ms, median (min–max)", "The default is the faster one")

        def forget(label):
            output(who[label].call("rmi", "-f", name), check=False)
            os.sync()

        ours = {label: self.pull_of(engine, name) for label, engine in who.items() if label.startswith("berth")}
        found = interleaved(ours, self.few(), warm=0, before=forget)
        for label, engine in formats.items():
            pulls.add(label, engine if isinstance(engine, NotMeasured) else found[label])
        for label in who:
            forget(label)
        return [table, pulls]

    def images(self):
        """The list of many images. The last row: nobody removes them."""
        count = 1000 // self.scale
        table = self.table("images", f"`images` with {count:,} images", "ms, median (min–max)", "Berth under 50 ms")
        archive = images.many_images(self.outside / "many.tar", count)
        ready, found = {}, {}
        with self.main_engines_only():
            for who, engine in self.engines.items():
                try:
                    took, code = harness.once(engine.call("load", "-i", str(archive)), deadline=120)
                    if code is None:
                        raise NotMeasured(f"`load` of them did not end within {took / 1000:.0f} s")
                    listed = output(engine.call("images", "-q")).split()
                    if len(set(listed)) < count:
                        raise NotMeasured(f"`load` exits with {code}, and {len(set(listed))} images are there")
                    ready[who] = engine.call("images")
                except NotMeasured as why:
                    found[who] = why
            found.update(interleaved(ready, self.rounds(20)))
            self.add_all(table, found, {})
        archive.unlink()
        return [table]
