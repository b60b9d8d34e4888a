import Linux
import OCI
import Testing

@testable import RegistryServer

struct RouteTests {
    private let digest = "sha256:" + String(repeating: "0", count: 64)

    private func route(_ path: String) -> Route? {
        do throws(APIFailure) { return try Route.parse(path) } catch { return nil }
    }

    @Test func pathsAreEndpoints() throws {
        let parsed = try #require(Digest(digest))
        #expect(route("/v2/") == .ping)
        #expect(route("/v2") == .ping)
        #expect(route("/v2/_catalog") == .catalog)
        #expect(route("/v2/a/b/tags/list") == .tags("a/b"))
        #expect(route("/v2/a/manifests/latest") == .manifest("a", .tag("latest")))
        #expect(route("/v2/a/manifests/\(digest)") == .manifest("a", .digest(parsed)))
        #expect(route("/v2/a/blobs/\(digest)") == .blob("a", parsed))
        #expect(route("/v2/a/blobs/uploads/") == .uploads("a"))
        #expect(route("/v2/a/blobs/uploads") == .uploads("a"))
        #expect(route("/v2/a/blobs/uploads/x") == .upload("a", id: "x"))
        #expect(route("/v2/a/referrers/\(digest)") == .referrers("a", parsed))
    }

    @Test func onlyTheEndDecides() {
        #expect(route("/v2/manifests/blobs/tags/list") == .tags("manifests/blobs"))
        #expect(route("/v2/a/blobs/uploads/manifests/x") == .manifest("a/blobs/uploads", .tag("x")))
        #expect(route("/v2/tags/list/tags/list") == .tags("tags/list"))
    }

    @Test(arguments: [
        "", "/", "v2", "/v1/", "/v2/x", "/v2/tags/list", "/v2//tags/list", "/v2/A/tags/list", "/v2/a/../b/tags/list",
        "/v2/a/tags/other", "/v2/a/manifests/", "/v2/a/manifests/-x", "/v2/a/blobs/sha256:x", "/v2/uploads/x", "/v2/blobs/uploads/",
        "/v2/a/b/c", "/v3/a/tags/list", "/v2/a\u{0}/tags/list",
    ]) func othersAreNone(_ path: String) {
        #expect(route(path) == nil)
    }
}

struct RepositoryNameTests {
    @Test(arguments: ["a", "0", "a/b", "a.b", "a_b", "a__b", "a-b", "a-----b", "a/b/c/d"]) func valid(_ name: String) {
        #expect(Reference.isRepositoryPath(name))
    }

    @Test(arguments: ["", "/", "a/", "/a", "a//b", "A", "a..b", "a___b", "a._b", "-a", "a-", ".", "..", "a b", "ä", "a\u{301}"])
    func invalid(_ name: String) { #expect(!Reference.isRepositoryPath(name)) }

    @Test func length() {
        #expect(Reference.isRepositoryPath(String(repeating: "a", count: 255)))
        #expect(!Reference.isRepositoryPath(String(repeating: "a", count: 256)))
    }
}

struct RequestTargetTests {
    @Test func pathAndParameters() throws {
        let target = try #require(RequestTarget("/v2/a%2Fb/?n=1&last=%61+b&x&tag=1&tag=2"))
        #expect(target.path == "/v2/a/b/")
        #expect(target.first("n") == "1")
        #expect(target.first("last") == "a+b")
        #expect(target.first("x") == "")
        #expect(target.first("y") == nil)
        #expect(target.all("tag") == ["1", "2"])
    }

    @Test func absoluteForm() {
        #expect(RequestTarget("http://host:1/v2/")?.path == "/v2/")
        #expect(RequestTarget("https://host")?.path == "/")
    }

    @Test(arguments: ["", "*", "v2", "/%", "/%1", "/%zz", "/%ff", "/?a=%", "/#x", "/?" + String(repeating: "a&", count: 200)])
    func unreadable(_ text: String) { #expect(RequestTarget(text) == nil) }

    @Test func encoding() {
        #expect(RequestTarget.encoded("a/b+c") == "a%2Fb%2Bc")
        #expect(RequestTarget("/?x=" + RequestTarget.encoded("ä/\"&="))?.first("x") == "ä/\"&=")
    }
}

struct ByteRangeTests {
    @Test(
        arguments: [
            (nil, .everything), ("bytes=0-0", .part(0..<1)), ("bytes=5-", .part(5..<10)), ("bytes=-3", .part(7..<10)),
            ("bytes=-30", .part(0..<10)), ("bytes=3-100", .part(3..<10)), ("bytes=10-", .unsatisfiable), ("bytes=-0", .unsatisfiable),
            ("bytes=5-4", .unsatisfiable), ("bytes=0-1,3-4", .everything), ("x=0-1", .everything), ("bytes=", .everything),
            ("bytes=99999999999999999999-", .everything), ("bytes=0-9223372036854775807", .part(0..<10)),
        ] as [(String?, ByteRange.Selection)]) func selects(_ header: String?, _ expected: ByteRange.Selection)
    {
        #expect(ByteRange.select(header, size: 10) == expected)
    }

    @Test func nothingOfNothing() {
        #expect(ByteRange.select("bytes=0-", size: 0) == .unsatisfiable)
        #expect(ByteRange.select("bytes=-1", size: 0) == .unsatisfiable)
    }

    @Test(arguments: [("0-0", 0...0), ("5-9", 5...9), ("bytes 5-9/10", 5...9), ("bytes=5-9", 5...9), ("0-9/*", 0...9)])
    func uploads(_ header: String, _ expected: ClosedRange<Int64>) { #expect(ByteRange.uploaded(header) == expected) }

    @Test(arguments: ["", "-", "1-", "-1", "9-5", "a-b", "1-2-3", "0-9223372036854775807", "0-99999999999999999999", " 1-2"])
    func brokenUploads(_ header: String) { #expect(ByteRange.uploaded(header) == nil) }
}

struct OptionTests {
    private func listen(_ text: String) -> (String, Int)? {
        var options = RegistryServerOptions(data: "/x")
        do throws(RegistryServerError) { try options.listen(on: text) } catch { return nil }
        return (options.host, options.port)
    }

    @Test(arguments: [
        ("127.0.0.1:1", "127.0.0.1", 1), (":80", "0.0.0.0", 80), ("[::1]:0", "::1", 0), ("[::1]", "::1", 5000), ("host", "host", 5000),
    ]) func addresses(_ text: String, _ host: String, _ port: Int) throws {
        let found = try #require(listen(text))
        #expect(found == (host, port))
    }

    @Test(arguments: ["::1:5000", "[::1", "a:b", "a:99999", "a:-1", "a:", "[]:1", "a:1x"]) func others(_ text: String) {
        #expect(listen(text) == nil)
    }
}

struct ManifestContentTests {
    private let blob = "{\"mediaType\":\"a/b\",\"digest\":\"sha256:" + String(repeating: "0", count: 64) + "\",\"size\":5}"

    private func parse(_ text: String, _ type: String) -> ManifestContent? {
        do throws(APIFailure) { return try ManifestContent.parse(Array(text.utf8), contentType: type) } catch { return nil }
    }

    @Test func anImage() throws {
        let content = try #require(
            parse(
                "{\"schemaVersion\":2,\"config\":\(blob),\"layers\":[\(blob)],\"subject\":\(blob),\"annotations\":{\"b\":\"1\",\"a\":\"2\"}}",
                MediaType.ociManifest.rawValue + "; charset=utf-8"))
        #expect(content.mediaType == MediaType.ociManifest.rawValue)
        #expect(content.artifactType == "a/b")
        #expect(content.needs.map(\.size) == [5, 5])
        #expect(content.subject != nil)
        #expect(content.annotations == Array("{\"a\":\"2\",\"b\":\"1\"}".utf8))
    }

    @Test func theTypeMayStandInTheDocument() {
        let text = "{\"schemaVersion\":2,\"mediaType\":\"\(MediaType.ociIndex.rawValue)\",\"manifests\":[\(blob)]}"
        #expect(parse(text, "")?.mediaType == MediaType.ociIndex.rawValue)
        #expect(parse(text, "")?.needs.first?.mayBeManifest == true)
        #expect(parse("{}", "") == nil)
    }

    @Test(arguments: ["{\"schemaVersion\":1}", "[]", "1", "", "{", "{\"layers\":[{}]}"]) func refused(_ text: String) {
        #expect(parse(text, "application/x") == nil)
    }

    @Test func unknownMembersOfUnknownTypes() {
        let content = parse("{\"layers\":\"many\",\"config\":7,\"subject\":null,\"annotations\":[]}", "application/x")
        #expect(content?.needs.isEmpty == true)
        #expect(content?.subject == nil)
    }
}

struct AuthenticatorTests {
    private let hash = "$2y$05$CCCCCCCCCCCCCCCCCCCCC.E5YPO9kmyuRGyh0XouQYb4YMJKvyOeW"

    @Test func credentials() {
        #expect(Authenticator.credentials("Basic YTpiOmM=") == .init(user: "a", password: "b:c"))
        #expect(Authenticator.credentials("basic YTo=") == .init(user: "a", password: ""))
        for header in ["", "Basic", "Basic !", "Bearer YTpi", "Basic YQ==", "Basic YToA", "Basic YTr/"] {
            #expect(Authenticator.credentials(header) == nil, "\(header)")
        }
    }

    @Test func lines() throws {
        let good = try Authenticator.parse("# users\n\nalice:\(hash)\r\nbob:\(hash)", "f").get()
        #expect(good == ["alice": hash, "bob": hash])
        for text in ["alice", ":" + hash, "a:{SHA}x", "a:" + hash.dropLast(), "a:$2y$31$" + hash.dropFirst(7)] {
            if case .success = Authenticator.parse(text, "f") { Issue.record("accepted: \(text)") }
        }
    }

    /// The vector of crypt_blowfish: "U*U" with this salt.
    @Test func verifies() throws {
        let path = "/tmp/berth-htpasswd-\(hexadecimal(randomBytes(8)))"
        try FD.cwd.writeFile(path, Array("u:\(hash)\n".utf8))
        defer { try? FD.cwd.removeFile(path) }
        let authenticator = try Authenticator(path: path) { _ in }
        #expect(!authenticator.verify(.init(user: "u", password: "U*V")))
        #expect(!authenticator.verify(.init(user: "v", password: "U*U")))
        let header = "Basic " + Base64.encode(Array("u:U*U".utf8))
        guard case .unknown(let credentials) = authenticator.check(header) else {
            Issue.record("known before it was verified")
            return
        }
        #expect(authenticator.verify(credentials))
        guard case .accepted(user: "u") = authenticator.check(header) else {
            Issue.record("not remembered")
            return
        }
    }
}

struct RequestLogTests {
    @Test func aLine() {
        let entry = RequestLog.Entry(
            peer: "127.0.0.1:5", user: "", method: "GET", path: "/v2/ \n\u{1B}[0m", status: 200, received: 1, sent: 2,
            milliseconds: 3, agent: "a \"b\"")
        #expect(
            RequestLog.line(entry, 1_700_000_000_123_456_789)
                == "2023-11-14T22:13:20.123Z 127.0.0.1:5 - GET /v2/???[0m 200 1 2 3ms \"a ?b?\"\n")
    }
}
