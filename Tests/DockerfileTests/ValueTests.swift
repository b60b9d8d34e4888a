import Testing

@testable import Dockerfile

/// Values of flags and words: modes, owners, ports, sources.
@Suite struct ValueTests {
    @Test(arguments: [
        ("755", 0o644, false, 0o755), ("0", 0o777, false, 0), ("4755", 0, false, 0o4755), ("u+x", 0o644, false, 0o744),
        ("+x", 0o644, false, 0o755),
        ("a-w", 0o666, false, 0o444), ("u=rwX,go=rX", 0o600, false, 0o644), ("u=rwX,go=rX", 0o700, false, 0o755),
        ("u=rwX,go=rX", 0o600, true, 0o755), ("g=u", 0o740, false, 0o770), ("o=", 0o777, false, 0o770), ("u+s,g+s", 0o755, false, 0o6755),
        ("u-s", 0o4755, false, 0o755), ("+t", 0o777, true, 0o1777), ("u+r-w", 0o200, false, 0o400), ("go+w,u=", 0o700, false, 0o022),
        ("u=rx", 0o4755, false, 0o555), ("u=rx", 0o4755, true, 0o4555), ("a=r", 0o1777, false, 0o444), ("g=o+w", 0o604, false, 0o664),
    ])
    func modesAreChanged(text: String, before: Int, isDirectory: Bool, after: Int) throws {
        let change = try #require(FileModeChange(text), "\(text)")
        #expect(change.applied(to: UInt16(before), isDirectory: isDirectory) == UInt16(after), "\(text)")
    }

    @Test(arguments: ["", "8", "10000", "u", "x", "u+q", "u+x,", ",u+x", "+ug", "0x1", "-1", "7 7"])
    func otherModesAreNone(text: String) { #expect(FileModeChange(text) == nil) }

    @Test func ownersAreUserAndGroup() {
        #expect((OwnerText("a").user, OwnerText("a").group) == ("a", nil))
        #expect((OwnerText("a:b").user, OwnerText("a:b").group) == ("a", "b"))
        #expect(OwnerText("1000:").group == "")
        #expect(OwnerText.number("1000") == 1000)
        #expect(OwnerText.number("a") == nil && OwnerText.number("") == nil && OwnerText.number("4294967296") == nil)
    }

    private func ports(_ text: String) -> [String]? {
        let range = SourceText("EXPOSE").range(ofLines: 1...1)
        return (try? ExposedPort.read(Word(text, range)))?.map(\.description)
    }

    @Test(arguments: [
        ("80", ["80/tcp"]), ("80/UDP", ["80/udp"]), ("80-82", ["80/tcp", "81/tcp", "82/tcp"]), ("80-80", ["80/tcp"]), ("0", ["0/tcp"]),
        ("8080:80", ["80/tcp"]), ("127.0.0.1:8080:80/tcp", ["80/tcp"]), ("[::1]:1:2", ["2/tcp"]), ("1-2:3-4", ["3/tcp", "4/tcp"]),
        ("80/", ["80/tcp"]),
    ])
    func portsAreRead(text: String, result: [String]) { #expect(ports(text) == result) }

    @Test(arguments: ["", "/tcp", "a", "-1", "65536", "82-80", "80/icmp", "x:80", "1.2.3:1:80", "1-3:4-5", "80-", "+80"])
    func otherPortsAreNone(text: String) { #expect(ports(text) == nil, "\(text)") }

    // MARK: Sources of ADD

    @Test(arguments: [
        ("https://github.com/a/b.git", "https://github.com/a/b.git", "", ""),
        ("https://github.com/a/b.git#main:docs", "https://github.com/a/b.git", "main", "docs"),
        ("git@github.com:a/b.git#v1", "git@github.com:a/b.git", "v1", ""), ("git://h/r", "git://h/r", "", ""),
        ("ssh://git@h:22/r.git#:d", "ssh://git@h:22/r.git", "", "d"),
        ("https://h/r.git?branch=x&subdir=y", "https://h/r.git", "refs/heads/x", "y"),
        ("https://h/r.git?tag=v1", "https://h/r.git", "refs/tags/v1", ""),
        ("https://h/r.git?ref=abc", "https://h/r.git", "abc", ""),
    ])
    func gitURLsAreRepositories(text: String, remote: String, ref: String, directory: String) throws {
        guard case .git(let git) = try AddSource(text) else {
            Issue.record("\(text) is no repository")
            return
        }
        #expect((git.remote, git.ref, git.directory) == (remote, ref, directory))
    }

    @Test func queriesSayMore() throws {
        let git = try #require(
            try GitReference("https://h/a/r.git?keep-git-dir&submodules=false&commit=abc&mtime=commit&fetch-by-commit=1"))
        #expect(git.keepsGitDirectory == true && git.submodules == false && git.checksum == "abc" && git.fetchesByCommit)
        #expect(git.timePolicy == "commit" && git.shortName == "r")
        #expect(try GitReference("github.com/a/b")?.looksLocal == true)
    }

    @Test(arguments: [
        ("https://h/r.git?ref=a&ref=b", "query \"ref\" has multiple values"), ("https://h/r.git?ref=", "query \"ref\" has no value"),
        ("https://h/r.git?ref=a#b", "ref conflicts: \"b\" vs \"a\""), ("https://h/r.git?tag=a&branch=b", "branch conflicts with tag"),
        ("https://h/r.git?submodules=x", "invalid submodules value: \"x\""),
        ("https://h/r.git?subdir=a#:b", "subdir conflicts: \"b\" vs \"a\""),
        ("https://h/r.git?mtime=x", "invalid mtime value: \"x\" (must be \"checkout\" or \"commit\")"),
        ("https://h/r.git?x=y", "unexpected query \"x\""),
    ])
    func queriesThatMeanNothingAreRefused(text: String, message: String) {
        do throws(ExpansionError) {
            _ = try AddSource(text)
            Issue.record("\(text) is accepted")
        } catch { #expect(error.message == message) }
    }

    @Test func otherSourcesAreFilesAndURLs() throws {
        #expect(try AddSource("https://h/a.tar.gz") == .http("https://h/a.tar.gz"))
        for text in ["a", "./git@x:y", "../b", "a:b", "c:/d", "github.com/a/b", "ftp://x/y.git"] {
            #expect(try AddSource(text) == .local(text), "\(text)")
        }
        for (url, name) in [
            ("https://h/a/b.txt?x=y#z", "b.txt"), ("https://h/a/", "a"), ("https://h", "__unnamed__"), ("https://h/", "__unnamed__"),
            ("https://h/..", "__unnamed__"),
        ] {
            #expect(AddSource.fileName(ofURL: url) == name)
        }
    }
}
