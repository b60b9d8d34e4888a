import Linux

/// Hears when somebody changes the firewall of the namespace in which it was made.
final class RulesetWatch {
    let descriptor: SharedFD

    /// Joins NFNLGRP_NFTABLES. Elements that come and go are not told: every container's start and end would wake all others' supervisors.
    /// A flush of the ruleset or of a table begins with its rules or chains.
    init() throws(SystemError) {
        let socket = try NetlinkSocket(.netfilter)
        // A half word is loaded in network order; the type lies there in the machine's: message in the low byte, subsystem in the high one.
        let types: [UInt32] = [12 /* NFT_MSG_NEWSETELEM */, 14 /* NFT_MSG_DELSETELEM */, 15 /* NFT_MSG_NEWGEN */]
        let little = UInt16(1).littleEndian == 1
        var program = [bpfInstruction(0x28 /* BPF_LD | BPF_H | BPF_ABS */, 4)]
        for (number, type) in types.enumerated() {
            let word = little ? type << 8 | 10 : 10 << 8 | type
            program.append(bpfInstruction(0x15 /* BPF_JMP | BPF_JEQ */, word, ifTrue: UInt8(types.count - number)))
        }
        program.append(bpfInstruction(0x06 /* BPF_RET */, 0xffff))
        program.append(bpfInstruction(0x06, 0))
        try socket.attachFilter(program)
        try socket.join(group: 7 /* NFNLGRP_NFTABLES */)
        let copy = try socket.fd.duplicate()
        try copy.fd.setNonBlocking(true)
        descriptor = SharedFD(copy)
    }

    /// Reads everything there is; what was lost for want of room (ENOBUFS) counts as read.
    func drain() {
        for _ in 0..<10_000 {
            do throws(SystemError) {
                _ = try descriptor.fd.receive(limit: 64 << 10)
            } catch {
                if error.errno == .again { return }
            }
        }
    }
}
