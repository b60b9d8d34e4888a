import Control
import Linux

/// Questions to a person at the terminal.
enum PasswordPrompt {
    /// Asks for one line.
    ///
    /// The terminal is in raw mode meanwhile, so that Ctrl-C comes as a byte and never leaves it without echo.
    /// - Throws: status 130 for Ctrl-C.
    static func line(_ question: String, echoes: Bool) throws(CommandError) -> String {
        guard let terminal = RawTerminal(.standardInput) else { throw CommandError("standard input is no terminal") }
        return try line(question, echoes, in: terminal)
    }

    /// - Parameter terminal: raw until the end of this call, at least.
    private static func line(
        _ question: String, _ echoes: Bool, in terminal: borrowing RawTerminal
    ) throws(CommandError) -> String {
        say(question)
        var line: [UInt8] = []
        while let byte = try next() {
            switch byte {
            case 0x0A, 0x0D:
                say("\r\n")
                return String(decoding: line, as: UTF8.self)
            case 0x03:
                say("\r\n")
                throw CommandError("interrupted", status: 130)
            case 0x04 where line.isEmpty:
                say("\r\n")
                return ""
            case 0x08, 0x7F:
                // One character, however many bytes it has.
                while let last = line.popLast(), last & 0xC0 == 0x80 {}
                if echoes { say("\r\u{1B}[K" + question + String(decoding: line, as: UTF8.self)) }
            case 0x15:
                line = []
                if echoes { say("\r\u{1B}[K" + question) }
            case 0..<0x20: break
            default:
                if line.count < 4096 { line.append(byte) }
                if echoes { try? FD.standardError.writeAll([byte]) }
            }
        }
        return String(decoding: line, as: UTF8.self)
    }

    private static func say(_ text: String) { try? FD.standardError.writeAll(text) }

    /// Nil at the end of input.
    private static func next() throws(CommandError) -> UInt8? {
        var byte: UInt8 = 0
        do throws(SystemError) {
            let count = try withUnsafeMutableBytes(of: &byte) { (bytes) throws(SystemError) in
                try FD.standardInput.read(into: bytes)
            }
            return count == 0 ? nil : byte
        } catch {
            throw CommandError("read from the terminal: \(error.errno)")
        }
    }
}
