import JSON
import Linux
import OCI
import Testing

@testable import Registry

struct WebAddressTests {
    @Test(arguments: [
        ("HTTPS://Example.COM:8443/v2/a?x=%2F#part", "https://example.com:8443/v2/a?x=%2F"),
        ("http://host", "http://host/"), ("http://host:80/", "http://host/"), ("https://host:443", "https://host/"),
        ("http://[::1]:5000/x", "http://[::1]:5000/x"), ("http://h?q", "http://h/?q"), ("http://h/a b\u{e4}\"", "http://h/a%20b%C3%A4%22"),
    ])
    func reads(text: String, normal: String) {
        #expect(WebAddress(text)?.text == normal)
    }

    @Test(arguments: [
        "", "host/x", "ftp://host/", "http:/host", "http://", "http://user@host/", "http://user:pw@host/", "http://host:0/",
        "http://host:65536/", "http://host:+80/", "http://[::1", "http://[x]/", "http://h\u{0}/", "http://h/\r\nX: y", "http://h ost/",
        "http://h/\u{7f}", "http://" + String(repeating: "a", count: 254) + "/",
    ])
    func refuses(text: String) {
        #expect(WebAddress(text) == nil)
    }

    @Test(arguments: [
        ("/x?y#z", "http://h:1/x?y"), ("x", "http://h:1/v2/a/x"), ("../x", "http://h:1/v2/x"), ("./", "http://h:1/v2/a/"),
        ("../../../../x", "http://h:1/x"), ("?q", "http://h:1/v2/a/b?q"), ("//other/x", "http://other/x"),
        ("https://other:5/x", "https://other:5/x"), ("a:b/c", nil), ("\u{1}", nil),
    ])
    func resolves(location: String, wanted: String?) throws {
        let base = try #require(WebAddress("http://h:1/v2/a/b?old"))
        #expect(base.resolving(location)?.text == wanted)
    }

    @Test func knowsWhatIsClose() throws {
        for host in ["localhost", "127.0.0.1", "127.9.9.9", "[::1]"] {
            #expect(try #require(WebAddress("http://\(host)/")).isLoopback)
        }
        for host in ["128.0.0.1", "localhost.example", "127.0.0.1.example", "[::2]"] {
            #expect(try !#require(WebAddress("http://\(host)/")).isLoopback)
        }
        #expect(try #require(WebAddress("http://169.254.169.254/")).isLinkLocal)
        #expect(try #require(WebAddress("http://[::ffff:169.254.169.254]/")).isLinkLocal)
        #expect(try #require(WebAddress("http://[fe80::1]/")).isLinkLocal)
        #expect(try !#require(WebAddress("http://169.253.1.1/")).isLinkLocal)
    }

    @Test func escapesQueries() {
        #expect(WebAddress.queryEscaped("a b&c=d/é~") == "a%20b%26c%3Dd%2F%C3%A9~")
        #expect(WebAddress("http://h/x?a")?.adding(query: "b=1").text == "http://h/x?a&b=1")
    }
}

struct ChallengeTests {
    @Test func readsSeveral() {
        let found = Challenge.parse([
            "Negotiate abc==, Basic realm=\"a, \\\"b\\\"\", charset=UTF-8",
            "Bearer realm=https://x/token,service=\"s\" , scope=\"a:b:c d:e:f\"",
        ])
        #expect(found.map(\.scheme) == ["negotiate", "basic", "bearer"])
        #expect(found[1].parameters == ["realm": "a, \"b\"", "charset": "UTF-8"])
        #expect(found[2].parameters["realm"] == "https://x/token")
        #expect(Scope.parse(found[2].parameters["scope"] ?? "").map(\.text) == ["a:b:c", "d:e:f"])
    }

    @Test func firstOfAParameterCounts() {
        #expect(Challenge.parse(["Bearer realm=\"a\",realm=\"b\""])[0].parameters == ["realm": "a"])
    }

    @Test(arguments: [
        "", ",,,", "=", "Bearer realm", "Bearer realm=", "Bearer realm=\"open", "Bearer realm=\"x\\", "Basic", "\"", "Bearer ==,=,=",
        "\u{0}",
        String(repeating: "a,", count: 10000), String(repeating: "=\"", count: 10000),
    ])
    func survives(text: String) {
        for challenge in Challenge.parse([text]) { #expect(!challenge.scheme.isEmpty) }
    }

    @Test func joinsScopes() {
        let joined = Scope.union([.repository("a", ["pull"])], Scope.parse("repository:a:pull,push repository:b:c:pull registry:catalog:*"))
        #expect(joined.map(\.text) == ["repository:a:pull,push", "repository:b:c:pull", "registry:catalog:*"])
    }
}

struct HeaderTests {
    @Test func retryAfter() {
        let now: Int64 = 784_111_777 * 1_000_000_000
        #expect(RetryAfter.seconds("120", now: now) == 120)
        #expect(RetryAfter.seconds(" 0 ", now: now) == 0)
        #expect(RetryAfter.seconds(String(repeating: "9", count: 400), now: now) == 1e12)
        #expect(RetryAfter.seconds("Sun, 06 Nov 1994 08:50:37 GMT", now: now) == 60)
        #expect(RetryAfter.seconds("Sun, 06 Nov 1993 08:50:37 GMT", now: now) == 0)
        for text in ["", "-1", "1.5", "soon", "Sun, 99 Nov 1994 08:50:37 GMT", "Sun, 06 Foo 1994 08:50:37 GMT", "a b c d e GMT", "1e9"] {
            #expect(RetryAfter.seconds(text, now: now) == nil, "\(text)")
        }
    }

    @Test func links() {
        #expect(LinkHeader.next(["</v2/a?n=1&last=b>; rel=\"next\""]) == "/v2/a?n=1&last=b")
        #expect(LinkHeader.next(["<x>; rel=prev, <y>; a=b; REL=\"last Next\""]) == "y")
        #expect(LinkHeader.next(["<x>; rel=prev", "<y>;rel=next"]) == "y")
        for text in ["", "<x", "<x>", "x; rel=next", "<x>; rel=", "<x>; rel=\"nextto\"", ">< ; rel=next"] {
            #expect(LinkHeader.next([text]) == nil, "\(text)")
        }
    }

    @Test func contentRanges() {
        #expect(ContentRange("bytes 5-9/10")?.fits(5, 10) == true)
        #expect(ContentRange("Bytes 5-9/*")?.fits(5, 10) == true)
        for text in ["bytes 5-8/10", "bytes 4-9/10", "bytes 5-9/11"] { #expect(ContentRange(text)?.fits(5, 10) == false, "\(text)") }
        for text in [
            nil, "", "bytes", "bytes 5-4/10", "bytes -5-9/10", "bytes 5-/10", "bytes 5-9", "lines 5-9/10", "bytes 5-9/x",
            "bytes 99999999999999999999-9/1",
        ] {
            #expect(ContentRange(text) == nil)
        }
    }

    @Test func uploadRanges() {
        #expect(BlobUpload.received("0-99") == 100)
        #expect(BlobUpload.received("bytes=0-99") == 100)
        #expect(BlobUpload.received("0-0") == 0)
        #expect(BlobUpload.received("0-0", orOne: true) == 1)
        for text in [nil, "", "5-9", "0-", "0", "-", "0-x", "0-9223372036854775807", "0--5"] { #expect(BlobUpload.received(text) == nil) }
    }

    @Test func delaysGrowAndEnd() {
        var limits = RegistryOptions.Limits()
        limits.firstDelay = 1
        limits.longestDelay = 4
        limits.delayBudget = 1000
        var delays = RetryDelays(limits, attempts: 5)
        let error = RegistryError.transient(.network, "x")
        let found = (0..<6).map { _ in delays.next(after: error) }
        for (delay, most) in zip(found, [1.0, 2, 4, 4]) { #expect(delay.map { $0 >= most / 2 && $0 <= most } == true) }
        #expect(found[4] == nil && found[5] == nil)
        var refused = error
        refused.isRefused = true
        delays = RetryDelays(limits, attempts: 5)
        #expect(delays.next(after: refused) != nil && delays.next(after: refused) == nil)
        var late = error
        late.retryAfter = 1e12
        delays = RetryDelays(limits, attempts: 5)
        #expect(delays.next(after: late) == 4)
        limits.delayBudget = 3
        delays = RetryDelays(limits, attempts: 5)
        #expect(delays.next(after: late) == nil)
    }

    @Test func errorBodiesAreMadeHarmless() {
        #expect(ErrorText.message(Array(#"{"errors":[{"code":"DENIED","message":"no\u001b[31m"}]}"#.utf8), isText: true) == "no\\x1b[31m")
        #expect(ErrorText.message(Array("{\"detail\":1}".utf8), isText: true) == "")
        #expect(ErrorText.message(Array("<html>".utf8), isText: true) == "")
        #expect(ErrorText.message(Array("plain\ntext\u{202e}".utf8), isText: true) == "plain text?")
        #expect(ErrorText.message([UInt8](repeating: 0xFF, count: 5000), isText: true).utf8.count < 1000)
    }
}

struct ProxyTests {
    private func proxy(_ environment: [String: String], _ address: String) throws -> ProxySettings.Proxy? {
        try ProxySettings(environment).proxy(for: try #require(WebAddress(address)))
    }

    @Test func byScheme() throws {
        let environment = ["HTTP_PROXY": "one:1", "https_proxy": "http://u:p%40@two"]
        #expect(try proxy(environment, "http://h/") == .init(host: "one", port: 1))
        #expect(try proxy(environment, "https://h/") == .init(host: "two", port: 80, credentials: "dTpwQA=="))
        #expect(try proxy(["HTTPS_PROXY": "socks5://s"], "https://h/") == .init(host: "s", port: 1080, isSOCKS: true))
        #expect(try proxy([:], "http://h/") == nil)
        #expect(try proxy(["HTTP_PROXY": "a", "http_proxy": "b"], "http://h/")?.host == "a")
    }

    @Test(arguments: [
        ("*", "http://any/", true), ("example.com", "http://example.com/", true), ("example.com", "http://a.example.com/", true),
        ("example.com", "http://anexample.com/", false), (".example.com", "http://example.com/", false),
        (".example.com", "http://a.example.com/", true), ("*.example.com", "http://a.example.com/", true),
        (" b , example.com:81", "http://example.com:81/", true), ("example.com:81", "http://example.com/", false),
        ("10.0.0.0/8", "http://10.9.9.9/", true), ("10.0.0.0/8", "http://11.0.0.1/", false), ("10.0.0.0/33", "http://10.0.0.1/", false),
        ("10.0.0.1", "http://10.0.0.1:5/", true), ("10.0.0.1:5", "http://10.0.0.1:6/", false), ("fd00::/8", "http://[fd12::1]/", true),
        ("", "http://x/", false), (",,/,:", "http://x/", false), ("x", "http://localhost/", true), ("x", "http://127.0.0.1/", true),
    ])
    func exceptions(list: String, address: String, isDirect: Bool) throws {
        #expect(try (proxy(["HTTP_PROXY": "p:1", "NO_PROXY": list], address) == nil) == isDirect)
    }

    @Test(arguments: ["https://p:1", "ftp://p", "http://", "http://u:p@", "http://h:0", "http://h:x", "a b"])
    func refuses(text: String) {
        #expect(throws: RegistryError.self) { try ProxySettings(["HTTPS_PROXY": text]) }
    }
}
