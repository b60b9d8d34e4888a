"""The rows about files of containers: cp, commit. Part of `Bench` in run.py."""

import os
import shutil

from engines import IMAGE
from harness import NotMeasured, interleaved, output

NAMES = ("berth", "podman", "docker")


class FileRows:
    def cp(self):
        """Both ways, with a container that runs: one large file, and a directory of small ones."""
        tables = []
        size, files = (1 << 30) // self.scale, 20_000 // self.scale
        source = self.base / "cp"
        (source / "many").mkdir(parents=True)
        block = os.urandom(1 << 20)
        with open(source / "large", "wb") as file:
            for _ in range(max(1, size >> 20)):
                file.write(block)
        for number in range(files):
            directory = source / "many" / str(number // 200)
            directory.mkdir(exist_ok=True)
            (directory / str(number)).write_bytes(block[:2048])
        for what, title in (("large", f"a file of {size >> 20} MiB"), ("many", f"{files:,} files of 2 KiB")):
            for way, verb in (("in", "into"), ("out", "out of")):
                table = self.table(
                    f"cp-{what}-{way}", f"`cp` of {title} {verb} a container that runs", "ms, median (min–max)",
                    "Faster than podman and docker; none of them syncs")
                found = self.with_containers(lambda commands, what=what, way=way: self.copies(commands, source, what, way))
                self.add_all(table, found, {"podman": 1, "docker": 1})
                tables.append(table)
        shutil.rmtree(source)
        return tables

    def copies(self, ready, source, what, way):
        """`cp` of each engine that has its container; what is there from the round before is removed outside the time."""
        out = self.base / "cp-out"
        if way == "out":
            for engine in ready.values():
                output(engine.call("cp", f"{source}/{what}", "bench-files:/copy"))
            commands = {name: engine.call("cp", "bench-files:/copy", str(out)) for name, engine in ready.items()}
        else:
            commands = {name: engine.call("cp", f"{source}/{what}", "bench-files:/copy") for name, engine in ready.items()}

        def before(name):
            if way == "in":
                output(ready[name].call("exec", "bench-files", "rm", "-rf", "/copy"))
            elif out.is_dir():
                shutil.rmtree(out)
            else:
                out.unlink(missing_ok=True)
            os.sync()

        return interleaved(commands, self.few(), warm=1, before=before)

    def commit(self):
        """A container's 2,000 new files and one of 100 MB; the image is removed before each round."""
        size = 100 // self.scale or 1
        table = self.table(
            "commit", f"`commit` of a container with 2,000 new files and one of {size} MB", "ms, median (min–max)",
            "Faster than podman and docker, with the image synced to disk, which theirs are not")
        script = (
            f"mkdir /new; i=0; while [ $i -lt {2000 // self.scale} ]; do echo $i >/new/$i; i=$((i+1)); done; "
            f"dd if=/dev/urandom of=/large bs=1M count={size} 2>/dev/null")

        def measure(ready):
            for engine in ready.values():
                output(engine.call("exec", "bench-files", "sh", "-c", script))
            commands = {name: engine.call("commit", "bench-files", "localhost/berth-bench-commit:latest") for name, engine in ready.items()}

            def before(name):
                output(ready[name].call("rmi", "-f", "localhost/berth-bench-commit:latest"), check=False)
                os.sync()

            found = interleaved(commands, self.few(), warm=1, before=before)
            for name in ready:
                before(name)
            return found

        self.add_all(table, self.with_containers(measure), {"podman": 1, "docker": 1})
        return [table]

    def with_containers(self, measure):
        """Measures with a container `bench-files` of each engine that can start one."""
        ready, found = {}, {}
        with self.main_engines_only():
            for name, engine in self.engines.items():
                try:
                    output(engine.run("-d", "--name", "bench-files", IMAGE, "sleep", "3600"))
                    ready[name] = engine
                except NotMeasured as why:
                    found[name] = why
            try:
                found.update(measure(ready))
            finally:
                self.remove_all()
        return found
