import CLinux
import Glibc
import Linux
import Networks

/// Questions that others answer.
extension Resolver {
    /// Asks the upstreams one after the other, in the plan's order; those that did not answer lately last.
    func forward(_ query: DNSQuery, _ client: ResolverClient) {
        if upstreams.isEmpty {
            upstreams = plan.upstreams.compactMap { InternetEndpoint($0, defaultPort: Resolver.port) }
                // Not ourselves.
                .filter { $0.isIPv6 || $0.address.bytes != Resolver.address }
                .prefix(Limit.upstreams).map { ResolverUpstream(endpoint: $0) }
        }
        guard !upstreams.isEmpty, questions.count < Limit.inFlight else {
            respond(query.answer(.serverFailure), to: client)
            return
        }
        let now = monotonicNanoseconds()
        let awake = upstreams.indices.filter { upstreams[$0].restsUntil <= now }
        let resting = upstreams.indices.filter { upstreams[$0].restsUntil > now }
        let question = ResolverQuestion(query, client, rest: (awake + resting).reversed())
        question.place = questions.count
        questions.append(question)
        askNext(question)
    }

    /// Asks the next upstream; after the last the question has failed.
    func askNext(_ question: ResolverQuestion) {
        leave(question)
        while let upstream = question.rest.popLast() {
            question.upstream = upstream
            if ask(question) { return }
        }
        answer(question, question.failure ?? question.query.answer(.serverFailure))
    }

    private func ask(_ question: ResolverQuestion) -> Bool {
        guard question.upstream < upstreams.count, let socket = socket(for: question.upstream) else { return false }
        var id: UInt16
        repeat { id = Resolver.randomID() } while socket.questions[id] != nil
        question.id = id
        question.socket = socket
        socket.questions[id] = question
        let sent = socket.socket.fd.sendNow(question.query.encoded(id: id))
        if sent < 0 {
            leave(question)
            return false
        }
        question.deadline = monotonicNanoseconds() &+ Limit.timeout
        setTimer(within: Limit.timeout)
        return true
    }

    /// From the kernel's generator: what cannot be guessed cannot be answered by others.
    private static func randomID() -> UInt16 {
        var id: UInt16 = 0
        while withUnsafeMutableBytes(of: &id, { cl_getrandom($0.baseAddress, 2, 0) }) != 2 {}
        return id
    }

    /// Takes the answer's place: the question is over.
    func answer(_ question: ResolverQuestion, _ bytes: [UInt8]) {
        leave(question)
        guard question.place < questions.count, questions[question.place] === question else { return }
        let last = questions.removeLast()
        if last !== question {
            last.place = question.place
            questions[question.place] = last
        }
        respond(bytes, to: question.client)
        // It may have waited for this one with its next.
        if case .connection(let connection) = question.client { takeQuestions(connection) }
    }

    /// Gives up the question's socket, and the socket when it has no other.
    private func leave(_ question: ResolverQuestion) {
        guard let socket = question.socket else { return }
        question.socket = nil
        socket.questions[question.id] = nil
        if socket.questions.isEmpty { drop(socket) }
    }

    // MARK: Sockets

    private func socket(for upstream: Int) -> ResolverSocket? {
        let open = upstreams[upstream].sockets
        if open.count >= Limit.socketsPerUpstream { return open.min { $0.questions.count < $1.questions.count } }
        let endpoint = upstreams[upstream].endpoint
        guard let made = makeSocket(isIPv6: endpoint.isIPv6) else {
            // Out of descriptors: those that there are will do.
            return open.min { $0.questions.count < $1.questions.count }
        }
        let socket = ResolverSocket(made, upstream: upstream)
        do throws(SystemError) {
            try made.fd.connect(to: endpoint)
            socket.token = try loop.add(made.fd, .readable) { [unowned self, unowned socket] _ in readReplies(socket) }
        } catch { return nil }
        upstreams[upstream].sockets.append(socket)
        return socket
    }

    private func makeSocket(isIPv6: Bool) -> SharedFD? {
        if let spare = spareSockets.firstIndex(where: { $0.isIPv6 == isIPv6 }) { return spareSockets.remove(at: spare).socket }
        guard let made = try? makeSockets(.datagram, isIPv6: isIPv6, count: Limit.spareSockets) else { return nil }
        spareSockets += made.dropFirst().map { (isIPv6, $0) }
        return made.first
    }

    /// Of the namespace from which upstreams are asked. Several at once where another process has to make them: not one round for
    /// each question. Their ports are the kernel's choice when they are connected.
    func makeSockets(_ kind: SocketKind, isIPv6: Bool, count: Int) throws(SystemError) -> [SharedFD] {
        if plan.asksFromContainer, let namespace {
            return try NamespaceSockets.make(in: namespace.fd) { () throws(SystemError) in
                var sockets: [SharedFD] = []
                for _ in 0..<count { sockets.append(SharedFD(try makeInternetSocket(kind, isIPv6: isIPv6))) }
                return sockets
            }
        }
        if !plan.asksFromContainer, let makeHostSockets, let made = try? makeHostSockets(kind, isIPv6, count), !made.isEmpty { return made }
        return [SharedFD(try makeInternetSocket(kind, isIPv6: isIPv6))]
    }

    private func drop(_ socket: ResolverSocket) {
        if let token = socket.token { loop.remove(token) }
        socket.token = nil
        guard socket.upstream < upstreams.count else { return }
        upstreams[socket.upstream].sockets.removeAll { $0 === socket }
    }

    func dropUpstreams() {
        for upstream in upstreams {
            for socket in upstream.sockets {
                if let token = socket.token { loop.remove(token) }
                socket.token = nil
                socket.questions = [:]
            }
        }
        upstreams = []
        spareSockets = []
    }

    // MARK: Replies

    private func readReplies(_ socket: ResolverSocket) {
        onActivity()
        prepareBuffer()
        // Held: an answer may end it.
        let kept = socket.socket
        for _ in 0..<Limit.datagramsAtOnce where socket.token != nil {
            let (count, _) = kept.fd.receive(into: &buffer)
            if count == -Int(EAGAIN) { return }
            if count < 0 {
                // The upstream's host says that nobody is there.
                rest(socket.upstream)
                for question in Array(socket.questions.values) { askNext(question) }
                return
            }
            take(count, on: socket)
        }
    }

    private func take(_ count: Int, on socket: ResolverSocket) {
        // Longer than we had said that we take: the same as one that says that it is cut off.
        let isWhole = count <= buffer.count
        guard let reply = isWhole ? DNSReply.read(buffer, count: count) : DNSReply.begin(buffer),
            let question = socket.questions[reply.id], reply.isAbout(question.query)
        else { return }
        upstreams[socket.upstream].restsUntil = 0
        if reply.code == .serverFailure || reply.code == .refused {
            question.failure = question.query.answer(reply.code)
            askNext(question)
        } else if !isWhole || reply.isTruncated, !question.client.isDatagram {
            leave(question)
            askByStream(question)
        } else {
            answer(question, reply: buffer, count: isWhole ? count : .max)
        }
    }

    /// Hands an upstream's answer on as it came, but for the id.
    func answer(_ question: ResolverQuestion, reply: [UInt8], count: Int) {
        guard count <= question.client.limit(question.query) else { return answer(question, question.query.truncatedAnswer) }
        var bytes = Array(reply[..<count])
        bytes[0] = UInt8(question.query.id >> 8)
        bytes[1] = UInt8(question.query.id & 0xff)
        answer(question, bytes)
    }

    func rest(_ upstream: Int) {
        if upstream < upstreams.count { upstreams[upstream].restsUntil = monotonicNanoseconds() &+ Limit.rest }
    }

    // MARK: Time

    func expireQuestions(_ now: Int64) {
        for question in questions where question.deadline <= now {
            rest(question.upstream)
            if let stream = streams.first(where: { $0.question === question }) { drop(stream) }
            askNext(question)
        }
    }
}
