import Glibc
import Linux
import Testing

/// The bodies of `Fuzz/` over the checked-in seeds and over mutations of them. The generator is seeded with a constant, so a
/// failure repeats. How to search for longer: docs/security.md.
@Suite(.serialized) struct FuzzTests {
    /// Mutations of each target; those that touch files or inflate are dearer than the rest.
    static func rounds(_ target: FuzzTarget) -> Int {
        switch target {
        case .archive, .manifest: 300
        case .tar, .compressed: 600
        default: 3000
        }
    }

    @Test(arguments: FuzzTarget.allCases) func seedsAndTheirMutations(_ target: FuzzTarget) throws {
        let seeds = try Seeds.read(target)
        #expect(!seeds.isEmpty, "no seeds for \(target)")
        let place = try FuzzPlace()
        defer { place.remove() }
        for (name, bytes) in seeds { expectHolds(target, bytes, place, "seed \(name)") }
        var random = Mutator(state: 1)
        for round in 0..<Self.rounds(target) {
            let (name, bytes) = seeds[round % seeds.count]
            let other = seeds[random.next(seeds.count)].bytes
            expectHolds(target, random.mutated(bytes, other), place, "seed \(name), round \(round)")
        }
    }

    private func expectHolds(_ target: FuzzTarget, _ bytes: [UInt8], _ place: FuzzPlace, _ what: String) {
        do throws(FuzzFailure) {
            try target.run(bytes, in: place)
        } catch { Issue.record("\(target), \(what): \(error)") }
    }
}

enum Seeds {
    /// The files below `Seeds/TARGET`, in the order of their names.
    static func read(_ target: FuzzTarget) throws -> [(name: String, bytes: [UInt8])] {
        let here = #filePath
        let path = here[..<(here.lastIndex(of: "/") ?? here.startIndex)] + "/Seeds/" + target.rawValue
        let directory = try FD.cwd.open(String(path), [.directory])
        return try directoryEntries(directory.fd).map(\.name).sorted().map { name in
            (name, try directory.fd.readFile(name, limit: 1 << 20))
        }
    }
}

/// Small changes of bytes: those that parsers of text and of headers stumble over.
struct Mutator {
    var state: UInt64

    private static let pieces: [[UInt8]] =
        [
            "null", "{}", "[]", "-1", "1e400", "18446744073709551616", "9223372036854775807", "\"\"", "\\", "\"", "{", "}", "[", "]", ",",
            ":", "=", "\\ud800", "\0", "true", "/", "..", "../", "@sha256:", "é", "\u{FEFF}", "\r\n", "{{", "}}", "|", "(", "'''", "\"\"\"",
            "77777777777", "00000000000", " ", "#",
        ].map { Array($0.utf8) } + [[0xFF], [0xC0, 0x80], [0x80, 0, 0, 0], [0xFF, 0xFF, 0xFF, 0xFF], [0x1F, 0x8B]]

    mutating func next(_ bound: Int) -> Int {
        state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
        return Int(state >> 33) % bound
    }

    mutating func mutated(_ bytes: [UInt8], _ other: [UInt8]) -> [UInt8] {
        var bytes = bytes
        for _ in 0...next(4) {
            guard !bytes.isEmpty else { return Mutator.pieces[next(Mutator.pieces.count)] }
            let place = next(bytes.count)
            switch next(7) {
            case 0: bytes[place] = UInt8(next(256))
            case 1: bytes[place] ^= 1 << UInt8(next(8))
            case 2: bytes.removeSubrange(place..<min(place + 1 + next(32), bytes.count))
            case 3: bytes.insert(contentsOf: Mutator.pieces[next(Mutator.pieces.count)], at: place)
            case 4:
                let piece = Mutator.pieces[next(Mutator.pieces.count)]
                bytes.replaceSubrange(place..<min(place + piece.count, bytes.count), with: piece)
            case 5: bytes.insert(contentsOf: bytes[place..<min(place + 1 + next(64), bytes.count)], at: next(bytes.count))
            default:
                guard !other.isEmpty else { continue }
                let from = next(other.count)
                bytes.replaceSubrange(place..., with: other[from...])
            }
        }
        return bytes
    }
}
