import Glibc
import Linux
import Networks

/// A question that waits for an upstream.
final class ResolverQuestion {
    let query: DNSQuery
    let client: ResolverClient
    /// Upstreams to ask yet, the next one last.
    var rest: [Int]
    /// Who is being asked.
    var upstream = 0
    /// By which it is told apart from others on its socket.
    var id: UInt16 = 0
    var socket: ResolverSocket?
    /// Monotonic time at which the next upstream is asked.
    var deadline: Int64 = 0
    /// Where it stands among all that wait.
    var place = 0
    /// An upstream's own failure: told when no other knows better.
    var failure: [UInt8]?

    init(_ query: DNSQuery, _ client: ResolverClient, rest: [Int]) {
        self.query = query
        self.client = client
        self.rest = rest
    }
}

/// Who is asked what the networks do not know.
struct ResolverUpstream {
    let endpoint: InternetEndpoint
    /// Monotonic time until which it is asked last: it did not answer.
    var restsUntil: Int64 = 0
    var sockets: [ResolverSocket] = []
}

/// A UDP socket that is connected to one upstream: what others send is not received. Its port is the kernel's choice, a new one
/// for each question while there are few.
final class ResolverSocket {
    let socket: SharedFD
    let upstream: Int
    var token: EventLoop.Token?
    var questions: [UInt16: ResolverQuestion] = [:]

    init(_ socket: SharedFD, upstream: Int) {
        self.socket = socket
        self.upstream = upstream
    }
}
