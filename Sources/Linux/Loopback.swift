import CLinux
import Glibc

/// Raises `lo`, which exists in a new network namespace but is down. The C function is `ioctl(2)` with SIOCSIFFLAGS.
public func raiseLoopback() throws(SystemError) {
    let socket = OwnedFD(owning: try check(cl_socket(AF_INET, 2 /* SOCK_DGRAM */, 0), "make socket"))
    var request = [UInt8](repeating: 0, count: 40)  // struct ifreq: name[16], flags
    request[0] = UInt8(ascii: "l")
    request[1] = UInt8(ascii: "o")
    request[16] = 0x41  // IFF_UP | IFF_RUNNING
    let result = request.withUnsafeMutableBytes { cl_ioctl(socket.raw, 0x8914, Int(bitPattern: $0.baseAddress)) }
    try check(result, "raise loopback interface")
}
