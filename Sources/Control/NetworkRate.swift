import JSON

/// How fast a container may receive and send, by each of its network devices.
public struct NetworkRate: Sendable, Hashable {
    /// Bits per second into the container; 0: no limit.
    public var incoming: UInt64
    /// Bits per second out of the container; 0: no limit.
    public var outgoing: UInt64

    public init(incoming: UInt64 = 0, outgoing: UInt64 = 0) {
        self.incoming = incoming
        self.outgoing = outgoing
    }

    public var isEmpty: Bool { incoming == 0 && outgoing == 0 }

    public func write(to writer: inout JSONWriter) {
        writer.object { w in
            w.fieldIfNotZero("in", incoming)
            w.fieldIfNotZero("out", outgoing)
        }
    }

    public init(json parser: inout JSONParser) throws(JSONError) {
        self.init()
        var object = try parser.beginObject()
        while let key = try parser.nextKey(&object) {
            switch key {
            case "in": incoming = try parser.int()
            case "out": outgoing = try parser.int()
            default: try parser.skip()
            }
        }
    }
}
