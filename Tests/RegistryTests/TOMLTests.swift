import OCI
import Testing

@testable import Registry

struct TOMLTests {
    private func parse(_ text: String) throws -> [String: TOMLValue] { try TOMLParser.parse(Array(text.utf8)) }

    @Test func readsADocument() throws {
        let document = try parse(
            """
            # comment
            a = 1 # more
            b.c = "x\\ty\\u00e9"  # dotted
            "quoted key" = 'lit\\eral'
            list = [ 1, [true, false], # inside
              "z", ]
            inline = { x = 1, y.z = "w" }
            date = 2020-01-01T00:00:00Z
            float = -1.5e3
            hex = 0xff
            big = 1_000
            text = \"\"\"
            one \\
               two
            three\"\"\"
            raw = '''
            a\\b'''

            [table.sub]
            k = true
            [table]
            k = false
            [[array]]
            n = 1
            [[array.inner]]
            m = 2
            [[array]]
            n = 3
            """)
        #expect(document["a"] == .integer(1))
        #expect(document["b"] == .table(["c": .string("x\ty\u{e9}")]))
        #expect(document["quoted key"] == .string("lit\\eral"))
        #expect(document["list"] == .array([.integer(1), .array([.bool(true), .bool(false)]), .string("z")]))
        #expect(document["inline"] == .table(["x": .integer(1), "y": .table(["z": .string("w")])]))
        #expect(document["date"] == .other("2020-01-01T00:00:00Z") && document["float"] == .other("-1.5e3"))
        #expect(document["hex"] == .integer(255) && document["big"] == .integer(1000))
        #expect(document["text"] == .string("one two\nthree") && document["raw"] == .string("a\\b"))
        #expect(document["table"] == .table(["k": .bool(false), "sub": .table(["k": .bool(true)])]))
        let inner = TOMLValue.array([.table(["m": .integer(2)])])
        #expect(document["array"] == .array([.table(["n": .integer(1), "inner": inner]), .table(["n": .integer(3)])]))
        #expect(try parse("").isEmpty && parse("\u{FEFF}a=1\r\n")["a"] == .integer(1))
    }

    @Test(arguments: [
        "a", "a =", "= 1", "a = x", "a = 1 b = 2", "a = 1\na = 2", "a.b = 1\na = 2", "a = 1\na.b = 2", "[a]\n[a]", "[a]\nb=1\n[a.b]",
        "[[a]]\n[a]",
        "[a]\n[[a]]", "a = []\n[[a]]", "a = {b=1}\n[a]", "a = {b=1}\na.c=2", "a = {b=1, b=2}", "[a", "[a]]", "[[a]", "[]", "a = \"x",
        "a = 'x",
        "a = \"\"\"x", "a = \"x\ny\"", "a = \"\\q\"", "a = \"\\ud800\"", "a = \"\\U00110000\"", "a = \"\u{1}\"", "a = [1", "a = [1 2]",
        "a = {x=1",
        "a = 1__0", "a = tru", "a = yes", "[a.b]\n[a]\nb.c=1", "a.b.c=1\n[a.b]", "\u{0}",
    ])
    func refuses(text: String) {
        #expect(throws: TOMLError.self) { try TOMLParser.parse(Array(text.utf8)) }
    }

    @Test func bombsEnd() {
        for text in [
            String(repeating: "[", count: 100_000), "a=" + String(repeating: "[", count: 100_000),
            "a=" + String(repeating: "{a=", count: 50_000),
        ] {
            #expect(throws: TOMLError.self) { try TOMLParser.parse(Array(text.utf8)) }
        }
        #expect(throws: TOMLError.self) { try TOMLParser.parse([UInt8](repeating: 0x20, count: TOMLParser.longest + 1)) }
        #expect(throws: TOMLError.self) { try TOMLParser.parse([0x61, 0x3D, 0x22, 0xFF, 0x22]) }
    }

    @Test func errorsNameTheLine() {
        do throws(TOMLError) {
            _ = try TOMLParser.parse(Array("a = 1\n\n# x\nb = [\n1,\n]\nc = ?".utf8))
            Issue.record("no error")
        } catch {
            #expect(error.line == 7)
        }
    }

    @Test func everyPrefixIsSafe() {
        let text = Array("[[a.b]]\nc = [\"x\\u00e9\", {d = 1.5, e = '''y''' }]\nf = \"\"\"z\\\n \"\"\"\n".utf8)
        for count in 0..<text.count { _ = try? TOMLParser.parse(Array(text[..<count])) }
    }
}

struct RegistriesFileTests {
    private func file(_ text: String) throws -> RegistriesFile {
        var file = RegistriesFile()
        try file.add(Array(text.utf8), file: "test.conf")
        return file
    }

    private func names(_ file: RegistriesFile, _ reference: String) throws -> [String] {
        try file.sources(for: Reference.parse(reference)).map(\.name)
    }

    @Test func prefixes() throws {
        #expect(RegistriesFile.matchLength("a.example/x", prefix: "a.example") == 9)
        #expect(RegistriesFile.matchLength("a.example:5000/x", prefix: "a.example") == 9)
        #expect(RegistriesFile.matchLength("a.example/x:tag", prefix: "a.example/x") == 11)
        #expect(RegistriesFile.matchLength("a.example2/x", prefix: "a.example") == nil)
        #expect(RegistriesFile.matchLength("b.a.example:5/x", prefix: "*.a.example") == 13)
        #expect(RegistriesFile.matchLength("a.example/x", prefix: "*.a.example") == nil)
        #expect(RegistriesFile.matchLength("x.example/b.a.example", prefix: "*.a.example") == nil)
    }

    @Test func rewriting() throws {
        let found = try file(
            """
            [[registry]]
            prefix = "docker.io/library"
            location = "mirror.example:5000/hub"
            [[registry]]
            location = "quay.example"
            [[registry.mirror]]
            location = "one.example/sub/"
            [[registry.mirror]]
            location = "two.example"
            """)
        #expect(try names(found, "alpine") == ["mirror.example:5000/hub/alpine"])
        #expect(try names(found, "user/img") == ["docker.io/user/img"])
        #expect(try names(found, "quay.example/a/b:1") == ["one.example/sub/a/b", "two.example/a/b", "quay.example/a/b"])
    }

    @Test func wholeRepository() throws {
        let found = try file("[[registry]]\nprefix = \"a.example/x\"\nlocation = \"b.example/y/z\"\n")
        #expect(try names(found, "a.example/x:1") == ["b.example/y/z"])
        #expect(try names(found, "a.example/x/w") == ["b.example/y/z/w"])
        #expect(try names(found, "a.example/xx") == ["a.example/xx"])
    }

    @Test func versionOne() throws {
        let found = try file(
            "[registries.search]\nregistries = ['a.example']\n[registries.insecure]\nregistries = ['b.example']\n[registries.block]\nregistries = ['c.example']\n"
        )
        #expect(found.searchList == ["a.example"])
        #expect(try found.sources(for: Reference.parse("b.example/x")).first?.isInsecure == true)
        #expect(throws: RegistryError.self) { try found.sources(for: Reference.parse("c.example/x")) }
    }

    @Test func nonsenseLocation() throws {
        let found = try file("[[registry]]\nprefix = \"a.example\"\nlocation = \"b.example/UPPER\"\n")
        #expect(throws: RegistryError.self) { try found.sources(for: Reference.parse("a.example/x")) }
    }
}

struct AuthFileTests {
    private func file(_ text: String) throws -> AuthFile { try AuthFile("test.json", Array(text.utf8)) }

    @Test func keysFromSpecificToGeneral() throws {
        let found = try file(
            #"{"auths":{"r.example/a":{"auth":"YTph"},"r.example":{"auth":"Yjpi"},"https://index.docker.io/v1/":{"auth":"Yzpj"}}}"#)
        #expect(found.credentials(for: "r.example/a/b")?.user == "a")
        #expect(found.credentials(for: "r.example/ab")?.user == "b")
        #expect(found.credentials(for: "docker.io/library/x")?.user == "c")
        #expect(found.credentials(for: "example") == nil)
        #expect(found.credentials(for: "r.example:5000/a") == nil)
    }

    @Test func formsOfEntries() throws {
        let found = try file(
            #"{"auths":{"a":{"username":"u","password":"p"},"b":{"auth":"dTpwOnE=","email":"e"},"c":{},"d":{"identitytoken":"t"},"e":{"auth":"dTpwAAA="}}}"#
        )
        #expect(found.credentials(for: "a") == Credentials(user: "u", password: "p"))
        #expect(found.credentials(for: "b")?.password == "p:q")
        #expect(found.credentials(for: "c") == nil)
        #expect(found.credentials(for: "d")?.identityToken == "t")
        #expect(found.credentials(for: "e")?.password == "p")
    }

    @Test func helpers() throws {
        let found = try file(#"{"credsStore":"all","credHelpers":{"gcr.io":"gcr","https://index.docker.io/v1/":"hub"}}"#)
        #expect(found.helper(for: "gcr.io") == "gcr" && found.helper(for: "docker.io") == "hub" && found.helper(for: "x") == "all")
    }

    @Test func descriptionsHideSecrets() {
        #expect(!"\(Credentials(user: "u", password: "hidden"))".contains("hidden"))
        #expect(!"\(Credentials(user: "", password: "", identityToken: "hidden"))".contains("hidden"))
    }
}
