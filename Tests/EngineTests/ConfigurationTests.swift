import Testing

@testable import Engine

struct ConfigurationTests {
    private func read(_ text: String) throws(EngineError) -> Configuration {
        var configuration = Configuration()
        try configuration.read(text, from: "f.conf")
        return configuration
    }

    @Test(
        arguments: [
            ("", nil), ("# x\n\n[store]\n", nil), ("[store]\nmax_size = \"20GB\"", 20 << 30), ("[store]\nmax_size=1_000 # x", 1000),
            ("[ store ] # x\r\n\tmax_size = \"1.5m\"\r\n", 1_572_864), ("[store]\nmax_size = 1\nmax_size = 2", 2),
        ] as [(String, Int64?)]) func whatIsRight(_ text: String, _ size: Int64?) throws
    {
        #expect(try read(text).maximumStoreSize == size)
    }

    @Test(arguments: [
        ("max_size = 1", "f.conf:1: unknown setting \"max_size\" outside of a section"),
        ("[store]\n\nmaxsize = 1", "f.conf:3: unknown setting \"maxsize\" in [store]; known: layer_format, max_size"),
        ("[store]\nlayer_format = \"tar\"", "f.conf:2: layer_format: unknown format \"tar\"; known: directory, erofs, auto"),
        ("[net]", "f.conf:1: unknown section [net]; known: [build], [debug], [devices], [network], [store]"),
        ("[store", "f.conf:1: a section is [name]"),
        ("[store] x", "f.conf:1: a section is [name]"), ("[store]\nmax_size", "f.conf:2: expected name = value"),
        ("[store]\nmax_size = \"1\" 2", "f.conf:2: the value of max_size is neither a number, true, false nor a text in double quotes"),
        ("[store]\nmax_size = -1", "f.conf:2: the value of max_size is neither a number, true, false nor a text in double quotes"),
        (
            "[network]\ndefault = \"a b\"",
            "f.conf:2: default: \"a b\" is no network's name; write bridge, none, host or the name of a network"
        ),
        ("[store]\nmax_size = \"\"", "f.conf:2: max_size: invalid size: ''; write it as \"20GB\""),
    ]) func whatIsWrong(_ text: String, _ sentence: String) {
        do throws(EngineError) {
            _ = try read(text)
            Issue.record("\(text) is not refused")
        } catch { #expect(error.description == sentence) }
    }

    @Test(arguments: [
        ("a/b", "a/*", true), ("a/b/c", "a/*", false), ("abc", "a[a-c]c", true), ("adc", "a[^a-c]c", true), ("abc", "a[!a-c]c", false),
        ("a]c", "a[]]c", true), ("abc", "a[b", false), ("a*c", "a\\*c", true), ("abc", "a\\*c", false), ("a/c", "a[/]c", false),
        ("", "*", true), ("abc", "*?c", true), ("a-c", "a[a-]c", true),
    ]) func patternsOfNames(_ text: String, _ pattern: String, _ isMatch: Bool) {
        #expect(Glob.matches(text, pattern) == isMatch)
    }
}
