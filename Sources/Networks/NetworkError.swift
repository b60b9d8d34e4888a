import Glibc
import Linux

/// Why something about a network failed.
public struct NetworkError: Error, Sendable, CustomStringConvertible {
    public enum Code: Sendable, Hashable {
        case invalid
        /// A device, address or port that somebody else has.
        case inUse
        case notFound
        /// The kernel or the host lacks something.
        case unsupported
        case system
    }

    public var code: Code
    public var operation: String
    public var object: String
    public var cause: String

    public init(_ code: Code, _ operation: String, _ object: String = "", cause: String) {
        self.code = code
        self.operation = operation
        self.object = object
        self.cause = cause
    }

    public init(_ error: SystemError) {
        // What netlink and sockets say of a driver, an expression or a family that the kernel does not have.
        guard [EOPNOTSUPP, EPROTONOSUPPORT, EAFNOSUPPORT].contains(error.errno.rawValue) else {
            self.init(.system, error.operation, error.object ?? "", cause: error.cause)
            return
        }
        self.init(
            .unsupported, error.operation, error.object ?? "",
            cause: error.cause + ": the kernel lacks it, or its module is not loaded; "
                + "type: sudo modprobe -a bridge veth nf_tables nft_nat nft_masq nft_fib_inet (or use --network host or none)")
    }

    public var description: String {
        object.isEmpty ? "\(operation): \(cause)" : "\(operation) \"\(object)\": \(cause)"
    }
}
