/// The instructions of a filter under construction.
struct Emitter {
    private(set) var code: [UInt64] = []

    init() { code.reserveCapacity(512) }

    /// Appends an instruction.
    ///
    /// - Throws: `.tooLong` after the 4096th.
    mutating func emit(_ operation: UInt16, _ k: UInt32, jt: UInt8 = 0, jf: UInt8 = 0) throws(SeccompError) {
        guard code.count < BPF.maximumInstructions else { throw Self.tooLong }
        code.append(BPF.instruction(operation, k, jt: jt, jf: jf))
    }

    static var tooLong: SeccompError {
        SeccompError(
            code: .tooLong, object: "",
            cause: "the filter needs more than 4096 instructions, the kernel's limit: give it fewer rules")
    }

    /// Appends a conditional jump over a body of any length: the body is skipped when the comparison is true.
    ///
    /// - Parameter skipsWhen: the body is skipped when the comparison has this result.
    mutating func skip(
        _ operation: UInt16, _ k: UInt32, skipsWhen: Bool, _ body: (inout Emitter) throws(SeccompError) -> Void
    ) throws(SeccompError) {
        let position = code.count
        try emit(operation, k)
        try body(&self)
        let length = code.count - position - 1
        if length <= 255 {
            let distance = UInt8(length)
            code[position] = BPF.retargeted(
                code[position], jt: skipsWhen ? distance : 0, jf: skipsWhen ? 0 : distance)
            return
        }
        // Too far for a conditional jump. Jumps inside the body are relative to it and stay right when it moves.
        guard code.count < BPF.maximumInstructions else { throw Self.tooLong }
        code[position] = BPF.retargeted(code[position], jt: skipsWhen ? 0 : 1, jf: skipsWhen ? 1 : 0)
        code.insert(BPF.instruction(BPF.jump, UInt32(length)), at: position + 1)
    }

    /// One of the two jumps of an instruction, to be set when its target is known: twice the position, and one more
    /// for the jump that is taken when the comparison holds. An `Int`, because its arrays need no metadata of our own.
    typealias Jump = Int

    /// The jump of the last instruction.
    func last(_ taken: Bool) -> Jump { 2 * (code.count - 1) + (taken ? 1 : 0) }

    /// Sets a jump to the instruction that comes next.
    ///
    /// The distance is at most that of one chain, far below 255.
    mutating func land(_ jump: Jump) {
        let position = jump / 2
        let distance = UInt8(clamping: code.count - position - 1)
        let taken = jump % 2 == 1
        code[position] = BPF.retargeted(code[position], jt: taken ? distance : nil, jf: taken ? nil : distance)
    }
}

// MARK: Conditions

extension Emitter {
    /// Where an argument's words lie and how many of them count.
    struct ArgumentLayout {
        var narrow: Bool
        var bigEndian: Bool

        func low(_ index: UInt8) -> UInt32 { BPF.argumentsOffset + 8 * UInt32(index) + (bigEndian ? 4 : 0) }
        func high(_ index: UInt8) -> UInt32 { BPF.argumentsOffset + 8 * UInt32(index) + (bigEndian ? 0 : 4) }
    }

    /// Appends the chains of one system call: each returns its action, none of them falls to the last return.
    mutating func emit(_ chains: [Chain], fallback: UInt32, layout: ArgumentLayout) throws(SeccompError) {
        for chain in chains {
            var conditions: [Condition] = []
            var possible = true
            for condition in chain.conditions {
                switch condition.constant(narrow: layout.narrow) {
                case .always: break
                case .never: possible = false
                case nil: conditions.append(condition)
                }
            }
            if !possible { continue }
            var failures: [Jump] = []
            for condition in conditions { try emit(condition, layout, &failures) }
            try emit(BPF.ret, chain.action)
            // Nothing after a chain that always matches can be reached.
            if conditions.isEmpty { return }
            for failure in failures { land(failure) }
        }
        try emit(BPF.ret, fallback)
    }

    /// Appends one comparison, which goes on to the next instruction when it holds.
    ///
    /// Words are compared from the high one, as numbers are. The jumps taken when it does not hold are added to
    /// `failures`.
    private mutating func emit(
        _ condition: Condition, _ layout: ArgumentLayout, _ failures: inout [Jump]
    ) throws(SeccompError) {
        let low = UInt32(truncatingIfNeeded: condition.value)
        let high = UInt32(truncatingIfNeeded: condition.value >> 32)
        var successes: [Jump] = []

        if condition.op == .maskedEqual {
            let mask = condition.mask
            if !layout.narrow {
                try emitMasked(layout.high(condition.index), UInt32(mask >> 32), high, &failures)
            }
            return try emitMasked(layout.low(condition.index), UInt32(truncatingIfNeeded: mask), low, &failures)
        }
        if !layout.narrow {
            try emit(BPF.loadAbsolute, layout.high(condition.index))
            // Against a high word of 0 one question is enough: no word is below it.
            switch condition.op {
            case .greater, .greaterOrEqual:
                try emit(BPF.jumpIfGreater, high)
                successes.append(last(true))
            case .less where high != 0, .lessOrEqual where high != 0:
                try emit(BPF.jumpIfGreater, high)
                failures.append(last(true))
            default: break
            }
            switch condition.op {
            case .greater where high == 0, .greaterOrEqual where high == 0: break
            case .notEqual:
                try emit(BPF.jumpIfEqual, high)
                successes.append(last(false))
            case .less where high != 0, .lessOrEqual where high != 0:
                try emit(BPF.jumpIfEqual, high)
                successes.append(last(false))
            default:
                try emit(BPF.jumpIfEqual, high)
                failures.append(last(false))
            }
        }
        try emit(BPF.loadAbsolute, layout.low(condition.index))
        switch condition.op {
        case .equal: try emit(BPF.jumpIfEqual, low); failures.append(last(false))
        case .notEqual: try emit(BPF.jumpIfEqual, low); failures.append(last(true))
        case .greater: try emit(BPF.jumpIfGreater, low); failures.append(last(false))
        case .greaterOrEqual: try emit(BPF.jumpIfAtLeast, low); failures.append(last(false))
        case .less: try emit(BPF.jumpIfAtLeast, low); failures.append(last(true))
        default: try emit(BPF.jumpIfGreater, low); failures.append(last(true))
        }
        for success in successes { land(success) }
    }

    /// Appends the comparison of one word under a mask.
    private mutating func emitMasked(
        _ offset: UInt32, _ mask: UInt32, _ value: UInt32, _ failures: inout [Jump]
    ) throws(SeccompError) {
        if mask == 0 { return }
        try emit(BPF.loadAbsolute, offset)
        if value == 0 && mask != .max {
            try emit(BPF.jumpIfAnySet, mask)
            failures.append(last(true))
            return
        }
        if mask != .max { try emit(BPF.and, mask) }
        try emit(BPF.jumpIfEqual, value)
        failures.append(last(false))
    }
}
