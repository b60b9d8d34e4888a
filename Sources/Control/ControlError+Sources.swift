import JSON
import Linux

extension ControlError {
    /// A failed system call as the cause of `operation`.
    public init(_ error: SystemError, _ operation: String, _ object: String = "") {
        self.init(.system, operation, object, cause: error.description)
    }

    /// A refused document.
    public init(_ error: JSONError, _ object: String) {
        self.init(.invalid, "parse", object, cause: error.reason)
    }
}
