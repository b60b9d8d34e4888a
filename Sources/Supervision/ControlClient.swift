import Control
import Linux

/// A connection to us.
final class ControlClient {
    let socket: SharedFD
    var token: EventLoop.Token?
    /// Of the latest request: each must be one more.
    var sequence: UInt32 = 0
    /// It has connected streams: the end is told after the last byte.
    var isAttached = false
    /// It is told each change of the container's health.
    var watchesHealth = false
    /// It was told the end of this run already.
    var knowsEnd = false

    /// The container is frozen as long as it is connected.
    var keepsFrozen = false

    init(_ socket: SharedFD) { self.socket = socket }

    /// - Returns: false when the client has gone or takes no messages: it must not hold us up.
    func send(_ event: ControlEvent, sequence: UInt32) -> Bool {
        do throws(SystemError) {
            // MSG_DONTWAIT | MSG_NOSIGNAL
            try socket.fd.send(event.frame(sequence: sequence).encoded, flags: 0x40 | 0x4000)
            return true
        } catch {
            return false
        }
    }
}
