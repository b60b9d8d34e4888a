import CLinux

extension FD {
    /// Lets only packets through that a classic BPF program takes. The C function is `setsockopt(2)` with SO_ATTACH_FILTER.
    /// - Parameter program: instructions, each as a word: code, jump true, jump false, constant, as `struct sock_filter` lies in memory.
    public func attachFilter(_ program: [UInt64]) throws(SystemError) {
        let result = program.withUnsafeBufferPointer { cl_attach_filter(rawValue, $0.baseAddress, UInt16(truncatingIfNeeded: $0.count)) }
        try check(result, "attach socket filter")
    }
}

/// One instruction of classic BPF for ``FD/attachFilter(_:)``.
public func bpfInstruction(_ code: UInt16, _ constant: UInt32, ifTrue: UInt8 = 0, ifFalse: UInt8 = 0) -> UInt64 {
    var word: UInt64 = 0
    withUnsafeMutableBytes(of: &word) { bytes in
        bytes.storeBytes(of: code, as: UInt16.self)
        bytes[2] = ifTrue
        bytes[3] = ifFalse
        bytes.storeBytes(of: constant, toByteOffset: 4, as: UInt32.self)
    }
    return word
}
