import Glibc
import Linux
import Networks
import Testing

@Test func errorsNameOperationObjectAndCause() {
    #expect(NetworkError(.inUse, "publish port", "80/tcp", cause: "taken").description == "publish port \"80/tcp\": taken")
    #expect(NetworkError(.system, "open socket", cause: "no").description == "open socket: no")
}

@Test func aKernelWithoutBridgesIsToldWithWhatToType() {
    let error = NetworkError(SystemError(Errno(rawValue: EOPNOTSUPP), "make bridge", "br-1"))
    #expect(error.code == .unsupported)
    #expect(error.description.hasPrefix("make bridge \"br-1\": operation not supported: the kernel lacks it"))
    #expect(error.description.contains("modprobe") && error.description.hasSuffix("(or use --network host or none)"))
    #expect(NetworkError(SystemError(.notPermitted, "make bridge", "br-1")).code == .system)
}
