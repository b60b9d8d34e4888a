import Glibc

/// Writes whole texts to the standard streams.
enum Console {
    enum Stream: Int32 {
        case output = 1
        case errors = 2
    }

    /// Gives up silently when the reader is gone: there is nobody left to tell.
    static func write(_ text: String, to stream: Stream) { _ = write(text, descriptor: stream.rawValue) }

    /// Makes a file, or replaces the content of one.
    /// - Returns: false where that failed; `errno` says why.
    static func write(_ text: String, toFile path: String) -> Bool {
        let file = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0o644)
        if file < 0 { return false }
        let isWritten = write(text, descriptor: file)
        return close(file) == 0 && isWritten
    }

    private static func write(_ text: String, descriptor: Int32) -> Bool {
        var text = text
        return text.withUTF8 { bytes in
            var sent = 0
            while sent < bytes.count {
                // SAFETY: the buffer outlives the call and the count stays inside it.
                let count = Glibc.write(descriptor, bytes.baseAddress?.advanced(by: sent), bytes.count - sent)
                if count > 0 {
                    sent += count
                } else if count < 0 && errno == EINTR {
                    continue
                } else {
                    return false
                }
            }
            return true
        }
    }
}
