import NIOCore
import Synchronization

/// The connections that are open.
final class ClientConnections: Sendable {
    private let limit: Int
    private let channels = Mutex<[ObjectIdentifier: any Channel]>([:])

    init(limit: Int) { self.limit = limit }

    /// Takes a connection in; false when there are too many.
    func add(_ channel: any Channel) -> Bool {
        let isRoom = channels.withLock { channels in
            guard channels.count < limit else { return false }
            channels[ObjectIdentifier(channel)] = channel
            return true
        }
        guard isRoom else { return false }
        channel.closeFuture.whenComplete { _ in
            self.channels.withLock { _ = $0.removeValue(forKey: ObjectIdentifier(channel)) }
        }
        return true
    }

    var isEmpty: Bool { channels.withLock { $0.isEmpty } }

    /// Asks each to end after the request that it is in.
    func drain() {
        for channel in channels.withLock({ Array($0.values) }) {
            channel.pipeline.fireUserInboundEventTriggered(ChannelShouldQuiesceEvent())
        }
    }
}

/// Counts from 1.
final class RepeatCount: Sendable {
    private let count = Mutex<Int64>(0)

    func next() -> Int64 {
        count.withLock { count in
            count += 1
            return count
        }
    }
}
