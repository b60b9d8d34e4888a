import Glibc

/// Writes whole texts to the standard streams.
enum Console {
    enum Stream: Int32 {
        case output = 1
        case errors = 2
    }

    /// Gives up silently when the reader is gone: there is nobody left to tell.
    static func write(_ text: String, to stream: Stream) {
        var text = text
        text.withUTF8 { bytes in
            var sent = 0
            while sent < bytes.count {
                // SAFETY: the buffer outlives the call and the count stays inside it.
                let count = Glibc.write(stream.rawValue, bytes.baseAddress?.advanced(by: sent), bytes.count - sent)
                if count > 0 {
                    sent += count
                } else if count < 0 && errno == EINTR {
                    continue
                } else {
                    return
                }
            }
        }
    }
}
