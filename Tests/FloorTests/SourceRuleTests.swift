import Glibc
import Linux
import Testing

/// Rules about the text of the sources that no compiler flag enforces.
struct SourceRuleTests {
    /// Longer than the limit, with the reason.
    private let longFiles: [String: String] = [:]
    private let lineLimit = 500

    /// Foundation costs milliseconds at every start (docs/decisions/static-linking.md).
    @Test func nothingImportsFoundation() throws {
        for file in try SourceTree.swiftFiles() {
            for name in imports(file.code) {
                #expect(!name.hasPrefix("Foundation") && name != "Dispatch", "\(file.path) imports \(name)")
            }
        }
    }

    /// Needs a build; `make test` has made one.
    @Test(arguments: ["debug", "release"], ["berth", "berth-runtime"])
    func programsDoNotLinkFoundation(configuration: String, program: String) throws {
        let path = "\(SourceTree.root)/.build/\(configuration)/\(program)"
        guard FD.cwd.exists(path), let nm = findProgram("nm") else { return }
        let pipe = try makePipe()
        let child = try spawn(SpawnRequest(nm, [nm, path], descriptors: [(pipe.first.fd, 0), (pipe.second.fd, 1), (FD(2), 2)]))
        let ends = pipe.take()
        close(OwnedFD(owning: ends.second))
        let output = OwnedFD(owning: ends.first)
        let symbols = String(decoding: try output.fd.readAll(limit: 256 << 20), as: UTF8.self)
        _ = try child.wait()
        // `$s10Foundation…` and `$s20FoundationEssentials…` are Swift's mangled names, `_CF…` those of CoreFoundation. The
        // packages of `berth` bring FoundationEssentials and Dispatch; with ICU it would be three times as large.
        #expect(symbols.utf8.count > 1000, "nm shows nothing: is \(path) stripped?")
        let marks =
            program == "berth"
            ? [" _CFRuntime", "FoundationInternationalization"]
            : ["$s10Foundation", "$s20FoundationEssentials", " _CFRuntime", " dispatch_async", "$s11AsyncHTTPClient", "$s7NIOCore"]
        for mark in marks {
            #expect(!contains(symbols, mark), "\(path) contains \(mark)")
        }
    }

    /// Nothing that came from outside may trap.
    @Test func nothingTrapsOnPurpose() throws {
        let words = ["try!", "as!", "fatalError(", "preconditionFailure(", "unsafelyUnwrapped"]
        for file in try SourceTree.swiftFiles() {
            for (number, line) in file.code.enumerated() {
                for word in words where contains(line, word) {
                    Issue.record("\(file.path):\(number + 1) has \(word)")
                }
            }
        }
    }

    /// `open(…).fd.readAll()` closes the descriptor before it is read: the temporary owner ends with its last use. The
    /// number may then be another file's.
    @Test func descriptorsAreHeldWhileTheyAreUsed() throws {
        for file in try SourceTree.swiftFiles() {
            for (number, call) in temporaries(file.code) {
                Issue.record("\(file.path):\(number + 1) uses the descriptor of a temporary owner: \(call)")
            }
        }
    }

    @Test func theSearchForTemporariesFindsThem() {
        #expect(temporaries(["let x = try a.open(b(c), [.readOnly]).fd.readAll()"]).count == 1)
        #expect(temporaries(["try open(", "  inRoot: p, .path", ").fd.status()"]).count == 1)
        #expect(temporaries(["try list(SharedFD(try open(p, .path)).fd)"]).count == 1, "the last use of the owner is `.fd`")
        #expect(temporaries(["try f.duplicate().fd.read()", "try f.reopen(.readOnly).fd.sync()"]).count == 2)
        #expect(temporaries(["let f = try open(p, .path)", "f.fd.status()", "SharedFD(try open(p, .path))"]).isEmpty)
        #expect(temporaries(["reopened(x).fd.y"]).isEmpty)
    }

    @Test func filesStayShort() throws {
        for file in try SourceTree.swiftFiles() where longFiles[file.path] == nil {
            #expect(file.lines.count <= lineLimit + 1, "\(file.path) has \(file.lines.count) lines")
        }
    }

    /// Calls that make an owner, directly followed by `.fd.` or `.raw` after their closing parenthesis.
    private func temporaries(_ code: [String]) -> [(line: Int, call: String)] {
        var found: [(line: Int, call: String)] = []
        let openings = ["open(", "openProtected(", "duplicate(", "reopen(", "cloneMount(", "SharedFD(", "OwnedFD("]
        for number in code.indices {
            for opening in openings where contains(code[number], opening) {
                var rest = code[number][...]
                while let range = rest.firstRange(of: opening) {
                    let boundary = range.lowerBound == rest.startIndex || !isWord(rest[rest.index(before: range.lowerBound)])
                    rest = rest[range.upperBound...]
                    guard boundary else { continue }
                    let text = rest + code[(number + 1)...].prefix(8).joined(separator: " ")
                    guard let tail = afterCall(text) else { continue }
                    if tail.hasPrefix(".fd.") || tail.hasPrefix(".fd)") || tail.hasPrefix(".fd,") || tail.hasPrefix(".raw") {
                        found.append((number, trimmed(code[number])))
                    }
                }
            }
        }
        return found
    }

    private func isWord(_ c: Character) -> Bool { c.isLetter || c.isNumber || c == "_" }

    /// What follows the parenthesis that closes the call whose arguments `text` starts with.
    private func afterCall(_ text: Substring) -> Substring? {
        var depth = 1
        for index in text.indices {
            if text[index] == "(" { depth += 1 }
            if text[index] == ")" { depth -= 1 }
            if depth == 0 { return text[text.index(after: index)...].drop { $0 == " " } }
        }
        return nil
    }
}
