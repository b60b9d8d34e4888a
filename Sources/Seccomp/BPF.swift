/// Classic BPF as seccomp accepts it.
///
/// Facts: `linux/filter.h`, `linux/bpf_common.h`, `linux/seccomp.h`.
enum BPF {
    /// `BPF_MAXINSNS`.
    static let maximumInstructions = 4096

    static let loadAbsolute: UInt16 = 0x20
    static let and: UInt16 = 0x54
    static let jump: UInt16 = 0x05
    static let jumpIfEqual: UInt16 = 0x15
    static let jumpIfGreater: UInt16 = 0x25
    static let jumpIfAtLeast: UInt16 = 0x35
    static let jumpIfAnySet: UInt16 = 0x45
    static let ret: UInt16 = 0x06

    /// Offsets in `struct seccomp_data`.
    static let numberOffset: UInt32 = 0
    static let architectureOffset: UInt32 = 4
    static let argumentsOffset: UInt32 = 16

    /// One `struct sock_filter` as it lies in memory: code, jt, jf, k.
    @inline(__always)
    static func instruction(_ code: UInt16, _ k: UInt32, jt: UInt8 = 0, jf: UInt8 = 0) -> UInt64 {
        #if _endian(little)
        UInt64(code) | UInt64(jt) << 16 | UInt64(jf) << 24 | UInt64(k) << 32
        #else
        UInt64(code) << 48 | UInt64(jt) << 40 | UInt64(jf) << 32 | UInt64(k)
        #endif
    }

    /// The same instruction with other jump distances.
    @inline(__always)
    static func retargeted(_ word: UInt64, jt: UInt8?, jf: UInt8?) -> UInt64 {
        #if _endian(little)
        let (trueShift, falseShift): (UInt64, UInt64) = (16, 24)
        #else
        let (trueShift, falseShift): (UInt64, UInt64) = (40, 32)
        #endif
        var word = word
        if let jt { word = word & ~(0xFF << trueShift) | UInt64(jt) << trueShift }
        if let jf { word = word & ~(0xFF << falseShift) | UInt64(jf) << falseShift }
        return word
    }
}

/// What a filter returns (`SECCOMP_RET_*`, `linux/seccomp.h`).
enum SeccompReturn {
    static let killProcess: UInt32 = 0x8000_0000
    static let killThread: UInt32 = 0x0000_0000
    static let trap: UInt32 = 0x0003_0000
    static let errno: UInt32 = 0x0005_0000
    static let notify: UInt32 = 0x7FC0_0000
    static let trace: UInt32 = 0x7FF0_0000
    static let log: UInt32 = 0x7FFC_0000
    static let allow: UInt32 = 0x7FFF_0000

    static let noSuchCall = errno | 38  // ENOSYS
    static let notPermitted: UInt32 = 1  // EPERM
}
