import OCI
import Testing

@Suite struct DigestTests {
    static let hex256 = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
    static let hex512 = String(repeating: "0a", count: 64)

    @Test func readsAndWrites() throws {
        let digest = try Digest.parse("sha256:" + DigestTests.hex256)
        #expect(digest.algorithm == .sha256)
        #expect(digest.hex == DigestTests.hex256)
        #expect(digest.description == "sha256:" + DigestTests.hex256)
        #expect(digest.short == "e3b0c44298fc")
        #expect(digest.layoutPath == "blobs/sha256/" + DigestTests.hex256)
        #expect(digest.bytes.count == 32)
        #expect(digest.bytes.prefix(3) == [0xE3, 0xB0, 0xC4])
        #expect(Digest(bytes: digest.bytes) == digest)
        let long = try Digest.parse("sha512:" + DigestTests.hex512)
        #expect(long.algorithm == .sha512)
        #expect(Digest(algorithm: .sha512, bytes: [UInt8](repeating: 10, count: 64)) == long)
    }

    @Test func aHashHasTheLengthOfItsAlgorithm() {
        #expect(Digest(bytes: []) == nil)
        #expect(Digest(bytes: [UInt8](repeating: 0, count: 31)) == nil)
        #expect(Digest(bytes: [UInt8](repeating: 0, count: 64)) == nil)
        #expect(Digest(algorithm: .sha512, bytes: [UInt8](repeating: 0, count: 32)) == nil)
    }

    @Test(
        arguments: [
            "", ":", "sha256", "sha256:", hex256, ":" + hex256, "sha256:" + hex256.dropLast(), "sha256:" + hex256 + "0",
            "sha256:" + hex256.uppercased(), "SHA256:" + hex256, "sha256:" + hex256.dropLast() + "g", "sha384:" + hex256,
            "md5:d41d8cd98f00b204e9800998ecf8427e", "sha512:" + hex256, " sha256:" + hex256, "sha256:" + hex256.dropLast() + " ",
            "sha256:" + hex256.dropLast() + "\n", "sha256:../../../../etc/passwd", "sha256:" + hex256.dropLast(3) + "/..",
            "sha256:" + hex256.dropLast(2) + "é", "sha256:" + hex256.dropLast() + "\0", "sha256+b64:" + hex256,
        ] as [String])
    func refuses(_ text: String) {
        #expect(throws: OCIError.self) { try Digest.parse(text) }
    }

    @Test func anErrorDoesNotRepeatControlCharacters() {
        do {
            _ = try Digest.parse("\u{1B}[2J\n" + String(repeating: "x", count: 10_000))
            Issue.record("accepted")
        } catch {
            #expect(error.code == .invalidDigest)
            #expect(!error.description.contains("\u{1B}") && !error.description.contains("\n"))
            #expect(error.description.utf8.count < 300)
        }
    }

    @Test func base64() {
        for (bytes, text) in [([], ""), ([0x66], "Zg=="), ([0x66, 0x6F], "Zm8="), ([0x66, 0x6F, 0x6F], "Zm9v"), ([0xFB, 0xFF], "+/8=")]
            as [([UInt8], String)]
        {
            #expect(Base64.encode(bytes) == text)
            #expect(Base64.decode(text) == bytes)
        }
        for text in ["Z", "Zg", "Zg=", "Zg===", "Zh==", "Zm9=", "====", "Z===", "Zg==Zg==", "Z g=", "Zm9v\n", "Zm-_", "é==="] {
            #expect(Base64.decode(text) == nil, "\(text)")
        }
    }
}
