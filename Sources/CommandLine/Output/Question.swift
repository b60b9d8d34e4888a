import Linux

/// Asks before something is removed.
enum Question {
    /// Prints the text with `[y/N]` and waits for a line of standard input.
    ///
    /// - Returns: whether it is `y`. No line at all is a no.
    static func isAgreed(_ text: String, _ session: Session) -> Bool {
        session.printRaw(text + " [y/N] ")
        session.flush()
        var answer: [UInt8] = []
        while answer.count < 256, let byte = readByte(), byte != UInt8(ascii: "\n") { answer.append(byte) }
        let letters = answer.filter { $0 != UInt8(ascii: " ") && $0 != UInt8(ascii: "\t") && $0 != UInt8(ascii: "\r") }
        return letters == [UInt8(ascii: "y")] || letters == [UInt8(ascii: "Y")]
    }

    /// One at a time: what stands behind the line is somebody else's.
    private static func readByte() -> UInt8? {
        var byte: UInt8 = 0
        let count = withUnsafeMutableBytes(of: &byte) { try? FD.standardInput.read(into: $0) }
        return count == 1 ? byte : nil
    }
}
