import CLinux
import Glibc
import Linux

extension DeviceProgram {
    // include/uapi/linux/bpf.h
    private static let commandLoad: Int32 = 5
    private static let commandAttach: Int32 = 8
    private static let commandDetach: Int32 = 9
    private static let commandDescriptor: Int32 = 13
    private static let commandQuery: Int32 = 16
    private static let typeCgroupDevice: UInt64 = 15
    private static let attachCgroupDevice: UInt64 = 6
    private static let allowMultiple: UInt64 = 2
    private static let replace: UInt64 = 4

    /// Loads the program and attaches it to a cgroup v2 directory, in place of the one that is there.
    ///
    /// With BPF_F_ALLOW_MULTI all programs from the root down must agree, so a container cannot widen what its parents
    /// allow. The swap is atomic (BPF_F_REPLACE, Linux 5.6): no device is refused or granted in between.
    /// - Parameter isNew: a fresh cgroup has no program, and is not asked.
    func attach(to directory: FD, isNew: Bool) throws(CgroupError) {
        let program = try load()
        let old = isNew ? [] : Self.attached(to: directory)
        let oldest = old.first.flatMap(Self.open)
        let target = UInt64(UInt32(bitPattern: directory.rawValue))
        var flags = Self.allowMultiple
        var words: [UInt64] = [target | Self.high(program.raw), 0, 0]
        if let oldest {
            flags |= Self.replace
            words[2] = UInt64(UInt32(bitPattern: oldest.raw))
        }
        words[1] = Self.attachCgroupDevice | flags << 32
        var result = Self.call(Self.commandAttach, &words)
        if result < 0, oldest != nil {
            // Not replaceable (attached with other flags): add ours, then take the old one away. Both apply in between,
            // so the policy is never wider than asked.
            words[1] = Self.attachCgroupDevice | Self.allowMultiple << 32
            words[2] = 0
            result = Self.call(Self.commandAttach, &words)
            if result == 0, let oldest { Self.detach(oldest.fd, from: directory) }
        }
        if result < 0 { throw CgroupError(Errno(rawValue: -result), "attach device program to", "cgroup") }
        // More than one of ours can only be left over from an interrupted update.
        for id in old.dropFirst() { if let extra = Self.open(id) { Self.detach(extra.fd, from: directory) } }
    }

    /// Takes every device program off a cgroup: for a policy that allows everything.
    static func detachAll(from directory: FD) {
        for id in attached(to: directory) { if let program = open(id) { detach(program.fd, from: directory) } }
    }

    private func load() throws(CgroupError) -> OwnedFD {
        let code = words
        let license = Array("Apache\0".utf8)
        let name = Array("berth_devices".utf8)
        func pack(_ bytes: ArraySlice<UInt8>) -> UInt64 { bytes.reversed().reduce(0) { $0 << 8 | UInt64($1) } }
        // SAFETY: the kernel reads both arrays during the call only, which is inside the closures.
        let result = code.withUnsafeBytes { code in
            license.withUnsafeBytes { license in
                var words: [UInt64] = [
                    Self.typeCgroupDevice | UInt64(self.instructions.count) << 32,
                    UInt64(UInt(bitPattern: code.baseAddress)), UInt64(UInt(bitPattern: license.baseAddress)),
                    0, 0, 0, pack(name[..<8]), pack(name[8...]), Self.attachCgroupDevice << 32,
                ]
                let first = Self.call(Self.commandLoad, &words)
                // Before 5.11 programs count against RLIMIT_MEMLOCK, which is 64 KiB or 8 MiB by default.
                return first == -EPERM ? Self.withoutLockLimit { Self.call(Self.commandLoad, &words) } : first
            }
        }
        if result < 0 { throw CgroupError(Errno(rawValue: -result), "load device program for", "cgroup") }
        return OwnedFD(owning: result)
    }

    private static func withoutLockLimit(_ body: () -> Int32) -> Int32 {
        let resource: Int32 = 8  // RLIMIT_MEMLOCK
        var old: [UInt64] = [0, 0]
        let none: [UInt64] = [.max, .max]
        if cl_prlimit(0, resource, none, &old) < 0 { return -EPERM }
        defer { _ = cl_prlimit(0, resource, old, nil) }
        return body()
    }

    /// Identifiers of the programs attached to this very cgroup (not those of its parents).
    private static func attached(to directory: FD) -> [UInt32] {
        var identifiers = [UInt32](repeating: 0, count: 64)
        // SAFETY: the kernel writes at most 64 identifiers into the array, during the call only.
        let count = identifiers.withUnsafeMutableBytes { buffer -> Int in
            var words: [UInt64] = [
                UInt64(UInt32(bitPattern: directory.rawValue)) | attachCgroupDevice << 32, 0,
                UInt64(UInt(bitPattern: buffer.baseAddress)), 64,
            ]
            return call(commandQuery, &words) < 0 ? 0 : Int(UInt32(truncatingIfNeeded: words[3]))
        }
        return Array(identifiers.prefix(min(count, 64)))
    }

    private static func open(_ identifier: UInt32) -> SharedFD? {
        var words: [UInt64] = [UInt64(identifier), 0]
        let result = call(commandDescriptor, &words)
        return result < 0 ? nil : SharedFD(owning: result)
    }

    private static func detach(_ program: FD, from directory: FD) {
        var words: [UInt64] = [
            UInt64(UInt32(bitPattern: directory.rawValue)) | high(program.rawValue), attachCgroupDevice, 0,
        ]
        _ = call(commandDetach, &words)
    }

    private static func high(_ descriptor: Int32) -> UInt64 { UInt64(UInt32(bitPattern: descriptor)) << 32 }

    /// bpf(2) with an attribute made of 64-bit words; the kernel may write results into it.
    private static func call(_ command: Int32, _ words: inout [UInt64]) -> Int32 {
        cl_bpf(command, &words, UInt32(words.count * 8))
    }
}
