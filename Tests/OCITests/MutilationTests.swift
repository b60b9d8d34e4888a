import JSON
import OCI
import Testing

/// Whatever happens to a document, reading it ends in a value or an error. The seed is fixed, so a failure repeats.
@Suite struct MutilationTests {
    struct Random {
        var state: UInt64
        mutating func next(_ bound: Int) -> Int {
            state = state &* 6364136223846793005 &+ 1442695040888963407
            return Int(state >> 33) % bound
        }
    }

    static let pieces = [
        "null", "{}", "[]", "-1", "1e400", "18446744073709551616", "1.5", "\"\"", "\\", "\"", "{", "}", "[", "]", ",", ":", "\\ud800", "\0",
        "99999999999999999999999", "true", "-9223372036854775808",
    ].map { Array($0.utf8) }

    func mutilated(_ bytes: [UInt8], _ random: inout Random) -> [UInt8] {
        var bytes = bytes
        for _ in 0...random.next(3) {
            guard !bytes.isEmpty else { return bytes }
            let place = random.next(bytes.count)
            switch random.next(4) {
            case 0: bytes[place] = UInt8(random.next(256))
            case 1: bytes.removeSubrange(place..<min(place + 1 + random.next(8), bytes.count))
            case 2: bytes.insert(contentsOf: MutilationTests.pieces[random.next(MutilationTests.pieces.count)], at: place)
            default:
                // A number replaced by another is where ranges are tested.
                guard let digit = bytes[place...].firstIndex(where: { $0 >= 0x30 && $0 <= 0x39 }) else { continue }
                bytes.replaceSubrange(digit...digit, with: MutilationTests.pieces[random.next(MutilationTests.pieces.count)])
            }
        }
        return bytes
    }

    @Test func runtimeSpec() {
        var random = Random(state: 1)
        var accepted = 0
        for _ in 0..<1500 {
            let bytes = mutilated(Array(completeSpec.utf8), &random)
            guard let spec = try? Spec.decode(bytes) else { continue }
            accepted += 1
            // What was accepted is written as something that is read as the same.
            #expect((try? Spec.decode(spec.encode())) == spec)
        }
        #expect(accepted > 50)
    }

    @Test func imageSpec() {
        var random = Random(state: 2)
        for _ in 0..<3000 {
            _ = try? ManifestDocument.decode(mutilated(Array(ImageSpecTests.manifest.utf8), &random))
            _ = try? ManifestDocument.decode(mutilated(Array(ImageSpecTests.index.utf8), &random))
            guard let image = try? ImageConfig.decode(mutilated(Array(ImageConfigTests.docker.utf8), &random)) else { continue }
            _ = image.historyLayers
            #expect(image.platform.runnable.count < 64)
        }
    }
}
