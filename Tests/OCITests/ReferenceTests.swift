import OCI
import Testing

@Suite struct ReferenceTests {
    static let digest = "sha256:" + String(repeating: "f", count: 64)

    /// Text as typed; its full and its familiar form.
    @Test(arguments: [
        ("alpine", "docker.io/library/alpine", "alpine"),
        ("alpine:3.20", "docker.io/library/alpine:3.20", "alpine:3.20"),
        ("library/alpine", "docker.io/library/alpine", "alpine"),
        ("docker.io/alpine", "docker.io/library/alpine", "alpine"),
        ("docker.io/library/alpine", "docker.io/library/alpine", "alpine"),
        ("index.docker.io/alpine", "docker.io/library/alpine", "alpine"),
        ("index.docker.io/a/b:c", "docker.io/a/b:c", "a/b:c"),
        ("foo/bar", "docker.io/foo/bar", "foo/bar"),
        ("library/foo/bar", "docker.io/library/foo/bar", "library/foo/bar"),
        ("localhost/x", "localhost/x", "localhost/x"),
        ("localhost", "docker.io/library/localhost", "localhost"),
        ("localhost:5000", "docker.io/library/localhost:5000", "localhost:5000"),
        ("localhost:5000/x", "localhost:5000/x", "localhost:5000/x"),
        ("localhost:5000/x:5001", "localhost:5000/x:5001", "localhost:5000/x:5001"),
        ("quay.io/a/b/c:v1", "quay.io/a/b/c:v1", "quay.io/a/b/c:v1"),
        ("192.168.1.1", "docker.io/library/192.168.1.1", "192.168.1.1"),
        ("192.168.1.1:8/d", "192.168.1.1:8/d", "192.168.1.1:8/d"),
        ("[::1]:5000/x:t", "[::1]:5000/x:t", "[::1]:5000/x:t"),
        ("[2001:db8::1]/x", "[2001:db8::1]/x", "[2001:db8::1]/x"),
        ("Foo/bar", "Foo/bar", "Foo/bar"),
        ("LOCALDOMAIN/x", "LOCALDOMAIN/x", "LOCALDOMAIN/x"),
        ("xn--n3h.com/myimage:xn--n3h.com", "xn--n3h.com/myimage:xn--n3h.com", "xn--n3h.com/myimage:xn--n3h.com"),
        ("a__b/c---d.e_f", "docker.io/a__b/c---d.e_f", "a__b/c---d.e_f"),
        ("foo_bar.com:8080", "docker.io/library/foo_bar.com:8080", "foo_bar.com:8080"),
        ("x:_A.b-C", "docker.io/library/x:_A.b-C", "x:_A.b-C"),
        ("docker.io/localhost/x", "docker.io/localhost/x", "docker.io/localhost/x"),
        ("docker.io/a.b/x", "docker.io/a.b/x", "docker.io/a.b/x"),
        (
            "docker.io/" + String(repeating: "a", count: 64), "docker.io/library/" + String(repeating: "a", count: 64),
            String(repeating: "a", count: 64)
        ),
    ])
    func reads(_ input: String, _ full: String, _ familiar: String) throws {
        let reference = try Reference.parse(input)
        #expect(reference.description == full)
        #expect(reference.familiar == familiar)
        // The full form always names the same image; so does the familiar one, but for 64 digits, which are an id.
        #expect(try Reference.parse(full) == reference)
        if familiar.utf8.count != 64 { #expect(try Reference.parse(familiar) == reference) }
    }

    @Test func theDigestDecides() throws {
        let reference = try Reference.parse("alpine:3.20@" + ReferenceTests.digest)
        #expect(reference.tag == "3.20")
        #expect(reference.digest?.description == ReferenceTests.digest)
        #expect(reference.target == ReferenceTests.digest)
        #expect(reference.description == "docker.io/library/alpine:3.20@" + ReferenceTests.digest)
        let only = try Reference.parse("localhost:5000/x@" + ReferenceTests.digest)
        #expect(only.tag == nil && only.effectiveTag == nil && only.domain == "localhost:5000")
        #expect(only.withDefaultTag == only)
        #expect(try Reference.parse("x@sha512:" + String(repeating: "0", count: 128)).digest?.algorithm == .sha512)
    }

    @Test func theDefaultTagIsLatest() throws {
        let reference = try Reference.parse("alpine")
        #expect(reference.tag == nil)
        #expect(reference.target == "latest")
        #expect(reference.withDefaultTag.description == "docker.io/library/alpine:latest")
        #expect(reference.withDefaultTag.familiar == "alpine:latest")
        #expect(reference.registryHost == "registry-1.docker.io")
        #expect(try Reference.parse("quay.io/x").registryHost == "quay.io")
        #expect(try reference.with(tag: "a").description == "docker.io/library/alpine:a")
        #expect(throws: OCIError.self) { try reference.with(tag: "a/b") }
        #expect(try reference.with(tag: "a").with(digest: #require(Digest(ReferenceTests.digest))).tag == nil)
    }

    @Test(
        arguments: [
            "", " ", ":", "@", "/", ":tag", "@" + digest, "a/", "/a", "a//b", "a/../b", "a/./b", "..", ".", "../a", "a/..", "-a", "a-",
            "_a", "a_", "a.", ".a", "a..b", "a_.b", "a-.b", "a___b", "a._b", "A", "docker/Docker", "a/B", "docker.io/a/B", "alpine ",
            " alpine",
            "alpine\n", "alpine\0", "al pine", "alpine:", "alpine:-a", "alpine:.a", "alpine:a b", "alpine:a/b:", "alpine:a@", "alpine:é",
            "alpine@sha256:abc",
            "alpine@" + digest.uppercased(), "alpine@" + digest + "0", "alpine@" + digest + "@" + digest, "alpine@" + digest + ":tag",
            "alpine@md5:" + String(repeating: "0", count: 32), "https://github.com/docker/docker", "http://x/y", "docker://alpine",
            "ａlpine", "аlpine", "alpine\u{200B}", "é/x", "alpine\u{301}", "host:99999/x", "host:65536/x", "host:0/x", "host:/x",
            "host:+1/x", "host:1a/x", "host: 1/x",
            "host:000080/x", "-docker.io/x", "docker-.io/x", "a..b/x", ".a.b/x", "a.b./x", "a_b.c/x", "[::1]", "[::1]:5000",
            "[fe80::1%eth0]:5000/x", "[::1/x",
            "[]/x", "[:]/x", "[::1]5000/x", "[::1]:/x", "[2001:db8:3:4::192.0.2.33]:5000/x", "fc00::1:5000/x", "%2e%2e/x", "a%2fb", "a\\b",
            "a/b?c=d",
            "a/b#c", "user@host/x", "user:pass@host.com/x", "~/x", "$HOME/x", "alpine;id", "aa/asdf$$^/aa",
            "validname@invaliddigest:" + String(repeating: "f", count: 64),
            String(repeating: "a", count: 64), "1a3f5e7d9c1b3a5f7e9d1c3b5a7f9e1d3c5b7a9f1e3d5d7c9b1a3f5e7d9c1b3a",
            String(repeating: "b", count: 256), "docker.io/" + String(repeating: "a", count: 248),
            "x:" + String(repeating: "t", count: 129),
            "a.com/" + String(repeating: "a", count: 256), String(repeating: "a.", count: 200) + "com/x",
            String(repeating: "a/", count: 100_000) + "a",
            String(repeating: "z", count: 300),
        ] as [String])
    func refuses(_ text: String) {
        do {
            let reference = try Reference.parse(text)
            Issue.record("accepted as \(reference)")
        } catch {
            #expect(error.code == .invalidReference)
            #expect(error.description.utf8.count < 300)
            #expect(error.description.utf8.allSatisfy { $0 >= 0x20 && $0 < 0x7F })
        }
    }

    @Test func lengthsUpToTheLimitAreRead() throws {
        #expect(try Reference.parse("a.com/" + String(repeating: "a", count: 255)).path.utf8.count == 255)
        #expect(try Reference.parse("x:" + String(repeating: "t", count: 128)).tag?.utf8.count == 128)
        #expect(try Reference.parse("host:65535/x").domain == "host:65535")
    }

    /// Whatever is accepted has a path that is safe below a directory and names itself.
    @Test func whatIsAcceptedIsSafe() {
        let pieces = [
            "a", "A", ".", "..", "/", ":", "@", "-", "_", "1", "[", "]", "localhost", "5000", ReferenceTests.digest, "é", "\0", " ", "%",
        ]
        var state: UInt64 = 7
        var accepted = 0
        for _ in 0..<20_000 {
            var text = ""
            for _ in 0..<5 {
                state = state &* 6364136223846793005 &+ 1442695040888963407
                text += pieces[Int(state >> 33) % pieces.count]
            }
            guard let reference = try? Reference.parse(text) else { continue }
            accepted += 1
            for component in reference.path.split(separator: "/", omittingEmptySubsequences: false) {
                #expect(component.first != "." && !component.isEmpty && component != "..")
            }
            #expect((try? Reference.parse(reference.description)) == reference)
            #expect((try? Reference.parse(reference.familiar)) == reference, "\(text)")
        }
        #expect(accepted > 100)
    }
}
