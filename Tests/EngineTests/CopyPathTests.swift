import Linux
import Testing

@testable import Engine

/// The path rules of `cp`: Docker's client, `cli/command/container/cp.go` and `archive/copy.go`.
struct CopyPathTests {
    @Test(arguments: [
        ("web:/etc", "web", "/etc"), ("web:etc", "web", "etc"), ("web:", "web", ""), (":/etc", "", "/etc"), ("a:b:c", "a", "b:c"),
    ])
    func containersAreTold(word: String, container: String, path: String) {
        let (name, rest) = CopyPath.split(word)
        #expect(name == container)
        #expect(rest == path)
    }

    @Test(arguments: ["/a:b", "./a:b", "../a:b", ".:a", "plain", "-", "", "dir/file"])
    func localPathsAreTold(word: String) {
        let (name, rest) = CopyPath.split(word)
        #expect(name == nil)
        #expect(rest == word)
    }

    @Test(arguments: [
        ("/a/./b/../c", "/a/c"), ("/..", "/"), ("a//b/", "a/b"), ("", "."), ("../x", "../x"), ("a/../..", ".."), ("/", "/"), (".", "."),
    ])
    func pathsAreCleanedAsGoDoes(path: String, clean: String) { #expect(CopyPath.clean(path) == clean) }

    @Test(arguments: [
        ("/a/b", "b"), ("/a/b/", "b"), ("/", "/"), ("", "."), ("/a/.", "."), ("a", "a"), ("/..", ".."),
    ])
    func basesAreGos(path: String, base: String) { #expect(CopyPath.base(path) == base) }

    @Test(arguments: [
        ("x", "/w/x"), ("x/", "/w/x/"), ("x/.", "/w/x/."), (".", "/w/."), ("./", "/w/./"), ("..", "/"), ("/a/../b/", "/b/"), ("/", "/"),
        ("/.", "/."), ("../..", "/"), ("x/./", "/w/x/./"),
    ])
    func theEndOfAPathIsKept(path: String, absolute: String) { #expect(CopyPath.absolute(path, in: "/w") == absolute) }

    @Test(arguments: [
        ("/a/b", "/a", "b"), ("/a/b/", "/a", "b"), ("/a/b/.", "/a/b", "."), ("/", "/", "/"), ("/a", "/", "a"),
    ])
    func entriesAreSplit(path: String, directory: String, name: String) {
        let split = CopyPath.splitEntry(path)
        #expect(split.directory == directory)
        #expect(split.name == name)
    }
}
