import Testing

@testable import Dockerfile

@Suite struct MountTests {
    private func mount(_ text: String, _ before: String = "") throws -> RunMount {
        try #require(try Reading.evaluated("FROM a\n\(before)\nRUN --mount=\(text) true").command.mounts.only)
    }

    @Test func bindIsTheDefaultAndReadOnly() throws {
        let mount = try mount("target=/x,source=y,from=stage")
        #expect(mount.kind == .bind && mount.isReadOnly)
        #expect((mount.target, mount.source, mount.from) == ("/x", "y", "stage"))
        #expect(try self.mount("dst=/x,rw").isReadOnly == false)
        #expect(try self.mount("destination=/x,readwrite=false").isReadOnly)
        #expect(try self.mount("type=bind,target=/x,ro=0").isReadOnly == false)
    }

    @Test func cachesAreWritableAndShared() throws {
        let mount = try mount("type=cache,target=/root/.cache,sharing=locked,mode=0700,uid=1,gid=2,id=c,from=b,source=/s")
        #expect(mount.kind == .cache && !mount.isReadOnly)
        #expect(mount.sharing == .locked)
        #expect(mount.mode == 0o700 && mount.uid == 1 && mount.gid == 2)
        #expect(mount.cacheID == "c")
        #expect(try self.mount("type=cache,target=/a/../b/").cacheID == "/b")
        #expect(try self.mount("type=cache,target=/a,readonly").isReadOnly)
    }

    @Test func tmpfsHasASize() throws {
        let mount = try mount("type=tmpfs,target=/t,size=64m")
        #expect(mount.kind == .tmpfs && mount.size == 64 << 20 && !mount.isReadOnly)
    }

    @Test func secretsAreFilesOrVariables() throws {
        let file = try mount("type=secret,id=aws,required,mode=0444")
        #expect(file.secretID == "aws" && file.secretTarget == "/run/secrets/aws" && file.isRequired)
        #expect(try mount("type=secret,id=a,target=/x/y").secretTarget == "/x/y")
        #expect(try mount("type=secret,target=/x/y").secretID == "y")
        #expect(try mount("type=secret,source=dir/z").secretTarget == "/run/secrets/z")
        let variable = try mount("type=secret,id=aws,env=AWS_KEY")
        #expect(variable.variable == "AWS_KEY" && variable.secretTarget == nil)
        #expect(try mount("type=secret,id=a,env=B,target=/c").secretTarget == "/c")
    }

    @Test func modesHaveDefaults() throws {
        #expect(try mount("type=secret,id=a").effectiveMode == 0o400)
        #expect(try mount("type=ssh").effectiveMode == 0o600)
        #expect(try mount("type=cache,target=/a").effectiveMode == 0o755)
        #expect(try mount("type=cache,target=/a,mode=0700").effectiveMode == 0o700)
        #expect(try mount("target=/a").effectiveMode == nil)
    }

    @Test func agentsHaveADefaultName() throws {
        #expect(try mount("type=ssh").sshID == "default")
        #expect(try mount("type=ssh,id=x,required=true,target=/s").sshID == "x")
    }

    @Test func valuesMayHaveVariablesAndQuotes() throws {
        // Quotes are the instruction's; those that are to reach the comma separated values are escaped.
        let mount = try mount("type=$t,\\\"target=/a,$d\\\"", "ENV t=cache d=b")
        #expect(mount.kind == .cache && mount.target == "/a,b")
        #expect(try self.mount("type=tmpfs,target=${d:-/e}").target == "/e")
    }

    @Test(arguments: [
        ("type=bnid,target=/x", "unsupported mount type \"bnid\" (did you mean bind?)"),
        ("type=volume", "unsupported mount type \"volume\""),
        ("target=/x,foo=1", "unexpected key 'foo' in 'foo=1' (did you mean from?)"),
        ("trget=/x", "unexpected key 'trget' in 'trget=/x' (did you mean target?)"),
        ("target=/x,foo", "invalid field 'foo' must be a key=value pair"),
        ("target=/x,required", "unexpected key 'required' for mount type 'bind'"),
        ("type=cache,required=true,target=/x", "unexpected key 'required' for mount type 'cache'"),
        ("target=/x,size=1", "unexpected key 'size' for mount type 'bind'"), ("type=tmpfs,target=/x,size=y", "invalid value for size: y"),
        ("target=/x,ro=maybe", "invalid value for ro: maybe"),
        ("type=cache,target=/x,sharing=share", "unsupported sharing value \"share\" (did you mean shared?)"),
        ("type=cache,target=/x,mode=9", "invalid value 9 for mode"), ("type=cache,target=/x,uid=-1", "invalid value -1 for uid"),
        ("type=cache,target=/x,gid=a", "invalid value a for gid"), ("target=/x,mode=1", "mode not allowed for \"bind\" type mounts"),
        ("type=tmpfs,target=/x,uid=1", "uid not allowed for \"tmpfs\" type mounts"),
        ("type=secret", "invalid secret mount. one of source, target required"),
        ("type=secret,id=a,from=b", "secret mount should not have a from"),
        ("type=secret,id=a,source=b", "both source and id can't be set"),
        ("type=secret,id=a,sharing=shared", "secret mount should not define sharing"), ("type=ssh,source=a", "ssh does not support source"),
        ("target=/x,sharing=shared", "invalid cache sharing set for bind mount"),
    ])
    func mountsAreRefusedWithDockersWords(text: String, message: String) throws {
        #expect(try Reading.evaluationRefusal("FROM a\nRUN --mount=\(text) true") == message)
    }

    @Test func brokenCommaSeparationIsRefused() {
        #expect(
            Reading.refusal("FROM a\nRUN --mount=a=\\\"b c")
                == "dockerfile parse error on line 2: failed to parse csv mounts: \"a=\\\"b\"")
        #expect(Reading.refusal("FROM a\nRUN --mount= c") == "dockerfile parse error on line 2: failed to parse csv mounts: \"\"")
    }
}
