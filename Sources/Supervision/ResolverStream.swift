import CLinux
import Glibc
import Linux
import Networks

/// One question that is asked over TCP, because the answer was too long for a datagram and the client takes long ones.
final class ResolverStream {
    let socket: SharedFD
    let question: ResolverQuestion
    var token: EventLoop.Token?
    private var exchange: DNSStream

    init(_ socket: SharedFD, _ question: ResolverQuestion) {
        self.socket = socket
        self.question = question
        exchange = DNSStream(question.query.encoded(id: question.id))
    }

    /// Does what can be done now.
    func advance(_ loop: EventLoop, _ buffer: inout [UInt8]) -> DNSStream.Step {
        let wasSending = exchange.isSending
        let step = exchange.advance(socket.fd, &buffer)
        if wasSending, !exchange.isSending, case .waiting = step, let token { loop.change(token, .readable) }
        return step
    }

    func end(_ loop: EventLoop) {
        if let token { loop.remove(token) }
        token = nil
    }
}

extension Resolver {
    /// Asks the upstream that was asked last once more, over TCP.
    func askByStream(_ question: ResolverQuestion) {
        guard streams.count < Limit.upstreamStreams, question.upstream < upstreams.count,
            let stream = try? openStream(question, upstreams[question.upstream].endpoint)
        else {
            askNext(question)
            return
        }
        streams.append(stream)
        question.deadline = monotonicNanoseconds() &+ Limit.timeout
        setTimer(within: Limit.timeout)
    }

    private func openStream(_ question: ResolverQuestion, _ endpoint: InternetEndpoint) throws(SystemError) -> ResolverStream {
        guard let made = try makeSockets(.stream, isIPv6: endpoint.isIPv6, count: 1).first else { throw SystemError(.io, "make socket") }
        do throws(SystemError) { try made.fd.connect(to: endpoint) } catch {
            guard error.errno == .inProgress else { throw error }
        }
        let stream = ResolverStream(made, question)
        stream.token = try loop.add(made.fd, .writable) { [unowned self, unowned stream] _ in advance(stream) }
        return stream
    }

    private func advance(_ stream: ResolverStream) {
        onActivity()
        prepareBuffer()
        let question = stream.question
        switch stream.advance(loop, &buffer) {
        case .waiting: break
        case .failed:
            drop(stream)
            askNext(question)
        case .answered(let message):
            drop(stream)
            guard let reply = DNSReply.read(message), reply.id == question.id, reply.isAbout(question.query) else {
                askNext(question)
                return
            }
            answer(question, reply: message, count: message.count)
        }
    }

    func drop(_ stream: ResolverStream) {
        stream.end(loop)
        streams.removeAll { $0 === stream }
    }
}
