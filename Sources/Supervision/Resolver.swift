import CLinux
import Control
import Glibc
import Linux
import Networks

/// The container's name server at 127.0.0.11: answers from the networks' names, asks upstreams for the rest.
///
/// A part of the supervisor's loop: one thread, nothing ever waits. What a container can make it keep is bounded: questions in
/// flight, sockets, connections, bytes for each. A flood is answered in small portions between which the log is served.
/// Nothing but two sockets exists before the first question. docs/names.md has the order of answers and all limits.
package final class Resolver {
    enum Limit {
        /// Questions that wait for upstreams.
        static let inFlight = 1024
        static let upstreams = 8
        /// UDP sockets to one upstream; more questions than that share them.
        static let socketsPerUpstream = 32
        /// Sockets of another namespace that are made at once.
        static let spareSockets = 8
        static let upstreamStreams = 16
        static let connections = 64
        /// Questions of one connection that wait.
        static let inFlightPerConnection = 16
        /// Datagrams between two looks at everything else.
        static let datagramsAtOnce = 32
        /// Nanoseconds for each upstream.
        static let timeout: Int64 = 2_000_000_000
        /// Nanoseconds for which an upstream that did not answer is asked last.
        static let rest: Int64 = 30_000_000_000
        /// Nanoseconds after which a connection without questions is closed.
        static let idle: Int64 = 10_000_000_000
    }

    package static let address: [UInt8] = [127, 0, 0, 11]
    package static let port: UInt16 = 53
    /// What is bound instead of 53: numbers that IANA has given to nobody, below those that programs choose by chance.
    private static let hiddenPorts: [UInt16] = [4, 6, 8, 10, 12]

    /// Called for every question: the supervisor is not idle. Its owner calls ``releaseMemory()`` when it is again.
    package var onActivity: () -> Void = {}

    /// Makes sockets of the host's network namespace where this process is in another: kind, IPv6, at most how many.
    package var makeHostSockets: ((SocketKind, Bool, Int) throws(SystemError) -> [SharedFD])?

    let loop: EventLoop
    var plan: ResolverPlan
    var namespace: SharedFD?
    private var datagrams: SharedFD?
    private var datagramToken: EventLoop.Token?
    private var listener: SharedFD?
    private var listenerToken: EventLoop.Token?
    private var timer: SharedFD?
    private var timerToken: EventLoop.Token?
    /// Monotonic time at which the timer fires; `Int64.max`: not set.
    private var timerAt = Int64.max
    /// Whatever is being read: one message at a time. Empty until the first.
    var buffer: [UInt8] = []
    /// Questions that are read together. Nil until the first.
    private var batch: DatagramBatch?
    /// Whether answers are put with the others of the batch.
    private var isAnsweringBatch = false
    /// Counts what is looked up together: nothing is known longer than for the questions that had come before.
    private var round: UInt64 = 0
    /// What the plan says, read at the first question.
    private var names: ResolverNames?
    var upstreams: [ResolverUpstream] = []
    var questions: [ResolverQuestion] = []
    var streams: [ResolverStream] = []
    var connections: [ResolverConnection] = []
    /// Sockets of another namespace that wait for a question.
    var spareSockets: [(isIPv6: Bool, socket: SharedFD)] = []

    package init(_ plan: ResolverPlan, loop: EventLoop) {
        self.plan = plan
        self.loop = loop
    }

    /// Whether it answers.
    package var isOpen: Bool { datagrams != nil }

    /// Binds in the container's network namespace; before the container's first process starts.
    ///
    /// - Parameter namespace: `/proc/PID/ns/net`. Kept: upstreams may have to be asked from there.
    package func open(namespace: SharedFD) throws(SystemError) {
        close()
        let sockets = try NamespaceSockets.make(in: namespace.fd) { () throws(SystemError) in try Resolver.bind() }
        guard sockets.count == 2 else { throw SystemError(.io, "make sockets of resolver") }
        do throws(SystemError) {
            datagramToken = try loop.add(sockets[0].fd, .readable) { [unowned self] _ in readDatagrams() }
            datagrams = sockets[0]
            listenerToken = try loop.add(sockets[1].fd, .readable) { [unowned self] _ in acceptConnections() }
            listener = sockets[1]
        } catch {
            close()
            throw error
        }
        self.namespace = namespace
    }

    /// Stops answering; whoever still waits gets nothing.
    package func close() {
        if let datagramToken { loop.remove(datagramToken) }
        if let listenerToken { loop.remove(listenerToken) }
        datagramToken = nil
        listenerToken = nil
        datagrams = nil
        listener = nil
        namespace = nil
        for connection in connections { connection.end(loop) }
        connections = []
        for stream in streams { stream.end(loop) }
        streams = []
        for question in questions { question.socket = nil }
        questions = []
        dropUpstreams()
        releaseMemory()
    }

    /// Takes over other upstreams, networks and fixed names. Questions that wait for upstreams which are not the same fail.
    package func update(_ plan: ResolverPlan) {
        if plan == self.plan { return }
        if plan.upstreams != self.plan.upstreams || plan.asksFromContainer != self.plan.asksFromContainer {
            for stream in streams { drop(stream) }
            for question in questions { answer(question, question.query.answer(.serverFailure)) }
            dropUpstreams()
        }
        self.plan = plan
        names = nil
    }

    /// Gives back what is only needed while questions come.
    package func releaseMemory() {
        names?.forget()
        guard questions.isEmpty, connections.isEmpty, streams.isEmpty else { return }
        names = nil
        buffer = []
        batch = nil
        questions = []
        connections = []
        streams = []
        spareSockets = []
        if let timerToken { loop.remove(timerToken) }
        timerToken = nil
        timer = nil
        timerAt = Int64.max
    }

    /// Runs in the container's namespace.
    private static func bind() throws(SystemError) -> [SharedFD] {
        for number in hiddenPorts + [0] {
            do throws(SystemError) {
                let sockets = try bind(number)
                let bound = number == 0 ? try sockets[0].fd.localEndpoint().port : number
                do throws(SystemError) {
                    try PortTranslation.install(address: address, from: port, to: bound)
                } catch {
                    // No nftables here. Port 53 itself then: only a name server of the container's own is in its way.
                    return try bind(port)
                }
                return sockets
            } catch {
                guard error.errno == .addressInUse else { throw error }
            }
        }
        return try bind(port)
    }

    private static func bind(_ port: UInt16) throws(SystemError) -> [SharedFD] {
        guard let ours = IPAddress(bytes: address) else { throw SystemError(.invalid, "bind") }
        let datagrams = SharedFD(try makeInternetSocket(.datagram, isIPv6: false))
        let listener = SharedFD(try makeInternetSocket(.stream, isIPv6: false))
        for socket in [datagrams, listener] {
            // IP_FREEBIND: loopback may not be up yet. SO_REUSEADDR: connections of a run before are no obstacle, and a UDP server
            // that sets it too may bind all addresses beside us.
            try socket.fd.setOption(0 /* IPPROTO_IP */, 15, 1)
            try socket.fd.setOption(1 /* SOL_SOCKET */, 2 /* SO_REUSEADDR */, 1)
        }
        try datagrams.fd.bind(to: InternetEndpoint(ours, port: port))
        let bound = try datagrams.fd.localEndpoint().port
        try listener.fd.bind(to: InternetEndpoint(ours, port: bound))
        try listener.fd.listen(backlog: 64)
        return [datagrams, listener]
    }

    // MARK: Questions

    private func readDatagrams() {
        onActivity()
        let batch = batch ?? DatagramBatch()
        self.batch = batch
        // Level-triggered: what is left is reported again, after everything else has had its turn.
        for _ in 0..<(Limit.datagramsAtOnce / DatagramBatch.capacity) {
            guard let datagrams, batch.receive(from: datagrams.fd) > 0 else { return }
            isAnsweringBatch = true
            answer(batch)
            isAnsweringBatch = false
            batch.send(on: datagrams.fd)
            if batch.count < DatagramBatch.capacity { return }
        }
    }

    /// Answers what has been received.
    private func answer(_ batch: DatagramBatch) {
        round &+= 1
        // Questions of which a copy, but for the id, has the same answer.
        var answered: [(question: Int, answer: Int)] = []
        for number in 0..<batch.count {
            // Longer than anything that is a question; and nobody but this namespace's processes can reach loopback.
            guard let message = batch.message(number) else { continue }
            if let same = answered.last(where: { batch.isSame(number, as: $0.question, from: 2) }) {
                batch.repeatAnswer(same.answer, to: number, replacing: 2)
                continue
            }
            switch DNSQuery.read(batch.input, in: message) {
            case .nothing: break
            case .answered(let answer): _ = batch.answer(answer, to: number)
            case .query(let query):
                let client = batch.sender(number)
                guard let answer = known.answer(query, limit: query.datagramLimit, round: round) else {
                    forward(query, .datagram(client))
                    continue
                }
                // Several addresses: each client's answer begins with another.
                if DNSReply.hasOneAnswerAtMost(answer), answered.count < 4 { answered.append((number, batch.answers)) }
                _ = batch.answer(answer, to: number)
            }
        }
    }

    /// What is known by itself.
    private var known: ResolverNames {
        if let names { return names }
        let made = ResolverNames(plan)
        names = made
        return made
    }

    func prepareBuffer() {
        if buffer.isEmpty { buffer = [UInt8](repeating: 0, count: 4096) }
    }

    /// A question that came over a connection.
    private func handle(_ query: DNSQuery, _ connection: ResolverConnection) {
        if let answer = known.answer(query, limit: DNSMessage.largest, round: round) {
            respond(answer, to: .connection(connection))
        } else {
            forward(query, .connection(connection))
        }
    }

    func respond(_ bytes: [UInt8], to client: ResolverClient) {
        switch client {
        // A client that does not take it asks again.
        case .datagram(let endpoint):
            if isAnsweringBatch, batch?.answer(bytes, to: endpoint) == true { return }
            _ = datagrams?.fd.sendNow(bytes, to: endpoint)
        case .connection(let connection):
            connection.send(bytes, loop)
            if connection.isOver { drop(connection) }
        }
    }

    // MARK: Connections

    private func acceptConnections() {
        onActivity()
        for _ in 0..<Limit.datagramsAtOnce {
            guard let listener else { return }
            if connections.count >= Limit.connections, !dropIdleConnection() {
                // All have questions that wait; those that come wait in the kernel's queue, which is bounded too.
                if let listenerToken { loop.change(listenerToken, []) }
                return
            }
            let accepted = cl_accept4(listener.raw, 0o4000 /* SOCK_NONBLOCK */)
            if accepted == -EAGAIN { return }
            if accepted < 0 {
                // Out of descriptors, most likely: nothing is gained by looking again at once.
                if let listenerToken { loop.change(listenerToken, []) }
                setTimer(within: 1_000_000_000)
                return
            }
            let connection = ResolverConnection(SharedFD(owning: accepted), now: monotonicNanoseconds())
            do throws(SystemError) {
                connection.token = try loop.add(connection.socket.fd, .readable) { [unowned self, unowned connection] events in
                    advance(connection, events)
                }
            } catch { return }
            connections.append(connection)
            setTimer(within: Limit.idle)
        }
    }

    private func advance(_ connection: ResolverConnection, _ events: EventLoop.Events) {
        onActivity()
        prepareBuffer()
        // Both ways are closed: nobody is there to answer.
        if events.contains(.hangUp) || events.contains(.error) { connection.isOver = true }
        if events.contains(.writable) { connection.flush(loop) }
        if events.contains(.readable) { connection.read(&buffer) }
        takeQuestions(connection)
    }

    /// Handles what a connection has sent, as far as its answers are taken.
    func takeQuestions(_ connection: ResolverConnection) {
        round &+= 1
        while !connection.isOver, let message = connection.nextMessage() {
            switch DNSQuery.read(message) {
            // A stream that is out of step cannot be brought back into it.
            case .nothing: connection.isOver = true
            case .answered(let answer):
                connection.inFlight += 1
                connection.send(answer, loop)
            case .query(let query):
                connection.inFlight += 1
                handle(query, connection)
            }
        }
        if connection.isOver { drop(connection) } else { connection.watch(loop) }
    }

    func drop(_ connection: ResolverConnection) {
        guard let place = connections.firstIndex(where: { $0 === connection }) else { return }
        connection.end(loop)
        connections.remove(at: place)
        if let listenerToken { loop.change(listenerToken, .readable) }
    }

    /// Makes room by closing the connection that has had nothing to do for longest.
    private func dropIdleConnection() -> Bool {
        let idle = connections.filter { $0.inFlight == 0 && !$0.hasOutput }
        guard let oldest = idle.min(by: { $0.lastActive < $1.lastActive }) else { return false }
        drop(oldest)
        return true
    }

    // MARK: Time

    /// Sees to it that ``expire()`` runs not later than so many nanoseconds from now.
    func setTimer(within nanoseconds: Int64) {
        let at = monotonicNanoseconds() &+ nanoseconds
        if at >= timerAt { return }
        if timer == nil {
            let made = cl_timerfd_create()
            if made < 0 { return }
            let timer = SharedFD(owning: made)
            timerToken = try? loop.add(timer.fd, .readable) { [unowned self] _ in expire() }
            self.timer = timer
        }
        guard let timer else { return }
        timerAt = at
        // Not for each of a thousand questions by itself: in steps of a twentieth of a second.
        _ = cl_timerfd_set(timer.raw, max(nanoseconds, 0) &+ 50_000_000)
    }

    private func expire() {
        if let timer { _ = cl_timerfd_set(timer.raw, 0) }
        timerAt = Int64.max
        let now = monotonicNanoseconds()
        expireQuestions(now)
        for connection in connections where connection.inFlight == 0 && now &- connection.lastActive >= Limit.idle { drop(connection) }
        // Of those that wait for answers too: their questions end before.
        for connection in connections where now &- connection.lastActive >= 4 * Limit.idle { drop(connection) }
        if let listenerToken, connections.count < Limit.connections { loop.change(listenerToken, .readable) }
        var next = questions.map(\.deadline).min() ?? Int64.max
        for connection in connections { next = min(next, connection.lastActive &+ Limit.idle) }
        if next != Int64.max { setTimer(within: max(next &- now, 1_000_000)) }
    }
}
