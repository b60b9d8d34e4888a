import OCI
import Testing

@testable import Cgroups

/// Runs a device program as the kernel would: enough of eBPF for what the assembler emits.
struct Interpreter {
    let program: DeviceProgram

    /// - Returns: the program's verdict, or nil when it does something no verifier would accept.
    func run(type: UInt32, major: UInt32, minor: UInt32) -> UInt64? {
        let context: [Int16: UInt32] = [0: type, 4: major, 8: minor]
        var registers = [UInt64?](repeating: nil, count: 11)
        registers[1] = 0xc0ffee  // the context's address
        var counter = 0
        for _ in 0..<10000 {
            guard program.instructions.indices.contains(counter) else { return nil }
            let i = program.instructions[counter]
            let d = Int(i.destination)
            let source = registers[Int(i.source)]
            counter += 1
            switch i.code {
            case 0x61:
                guard source == 0xc0ffee, let value = context[i.offset] else { return nil }
                registers[d] = UInt64(value)
            case 0xbc:
                guard let source else { return nil }
                registers[d] = UInt64(UInt32(truncatingIfNeeded: source))
            case 0xb7: registers[d] = UInt64(bitPattern: Int64(Int32(bitPattern: i.immediate)))
            case 0x54:
                guard let old = registers[d] else { return nil }
                registers[d] = UInt64(UInt32(truncatingIfNeeded: old) & i.immediate)
            case 0x74:
                guard let old = registers[d] else { return nil }
                registers[d] = UInt64(UInt32(truncatingIfNeeded: old) >> i.immediate)
            case 0x16, 0x56:
                guard let value = registers[d] else { return nil }
                let equal = UInt32(truncatingIfNeeded: value) == i.immediate
                if equal == (i.code == 0x16) { counter += Int(i.offset) }
            case 0x5e:
                guard let value = registers[d], let source else { return nil }
                if UInt32(truncatingIfNeeded: value) != UInt32(truncatingIfNeeded: source) { counter += Int(i.offset) }
            case 0x95: return registers[0]
            default: return nil
            }
        }
        return nil
    }

    func allows(_ kind: DeviceRules.Kind, _ major: UInt32, _ minor: UInt32, _ access: DeviceRules.Access) -> Bool? {
        run(type: access.rawValue << 16 | kind.rawValue, major: major, minor: minor).map { $0 == 1 }
    }
}

@Suite struct DeviceTests {
    private func rule(
        _ allow: Bool, _ type: String, _ major: Int64? = nil, _ minor: Int64? = nil, _ access: String = "rwm"
    ) -> LinuxDeviceCgroup {
        LinuxDeviceCgroup(allow: allow, type: type, major: major, minor: minor, access: access)
    }

    private func machine(_ rules: [LinuxDeviceCgroup]) throws -> Interpreter {
        Interpreter(program: DeviceProgram(try DeviceRules(rules)))
    }

    @Test func standardRules() throws {
        let machine = try machine([rule(false, "a")] + DeviceRules.standard)
        for (major, minor) in [(1, 3), (1, 5), (1, 7), (1, 8), (1, 9), (5, 0), (5, 1), (5, 2), (136, 0), (136, 99)] {
            #expect(machine.allows(.character, UInt32(major), UInt32(minor), [.read, .write]) == true)
        }
        #expect(machine.allows(.block, 8, 0, .mknod) == true)
        #expect(machine.allows(.block, 8, 0, .read) == false)
        #expect(machine.allows(.block, 8, 0, [.read, .mknod]) == false)
        #expect(machine.allows(.character, 1, 1, .read) == false)  // mem
        #expect(machine.allows(.character, 10, 200, [.read, .write]) == false)  // tun
        #expect(machine.allows(.block, 1, 3, .read) == false)
    }

    @Test func everythingAllowed() throws {
        let rules = try DeviceRules([rule(true, "a")] + DeviceRules.standard)
        #expect(rules.allowsEverything)
        #expect(Interpreter(program: DeviceProgram(rules)).allows(.block, 8, 0, .all) == true)
    }

    @Test func nothingAllowed() throws {
        let machine = try machine([])
        #expect(machine.allows(.character, 1, 3, .read) == false)
    }

    /// Opening read-write asks for both: a ban on writing must hold there too.
    @Test func bansCoverEveryAccessThatIncludesThem() throws {
        let machine = try machine([rule(true, "a"), rule(false, "b", 8, nil, "w")])
        #expect(machine.allows(.block, 8, 5, .write) == false)
        #expect(machine.allows(.block, 8, 5, [.read, .write]) == false)
        #expect(machine.allows(.block, 8, 5, .read) == true)
        #expect(machine.allows(.block, 9, 5, [.read, .write]) == true)
        #expect(machine.allows(.character, 8, 5, .write) == true)
    }

    @Test func accessOfOneDeviceIsMergedAndTakenAway() throws {
        let rules = try DeviceRules([
            rule(true, "c", 10, 1, "r"), rule(true, "c", 10, 1, "w"), rule(true, "c", 10, 2, "rw"),
            rule(false, "c", 10, 2, "w"), rule(true, "c", 10, 3, "r"), rule(false, "c", 10, 3, "r"),
        ])
        #expect(rules.exceptions.map(\.line) == ["c 10:1 rw", "c 10:2 r"])
        let machine = Interpreter(program: DeviceProgram(rules))
        #expect(machine.allows(.character, 10, 1, [.read, .write]) == true)
        #expect(machine.allows(.character, 10, 2, [.read, .write]) == false)
    }

    @Test func aLaterWildcardStartsOver() throws {
        let rules = try DeviceRules([rule(true, "c", 1, 3), rule(false, "a"), rule(true, "b", 7)])
        #expect(rules.exceptions.map(\.line) == ["b 7:* rwm"])
    }

    @Test func narrowRulesOfTypeAllStayNarrow() throws {
        let rules = try DeviceRules([rule(true, "a", 10, nil, "r")])
        #expect(!rules.allowsByDefault)
        #expect(rules.exceptions.map(\.line) == ["b 10:* r", "c 10:* r"])
    }

    @Test func negativeNumbersAreWildcardsAndLargeOnesWork() throws {
        let rules = try DeviceRules([rule(true, "c", -1, -1, "m"), rule(true, "b", 4_294_967_295, 4_294_967_295, "r")])
        #expect(rules.exceptions.map(\.line) == ["b 4294967295:4294967295 r", "c *:* m"])
        #expect(Interpreter(program: DeviceProgram(rules)).allows(.block, .max, .max, .read) == true)
        #expect(Interpreter(program: DeviceProgram(rules)).allows(.block, .max, 1, .read) == false)
    }

    @Test func refusals() {
        for bad in [
            rule(true, "u"), rule(true, "c", 1, 3, ""), rule(true, "c", 1, 3, "x"), rule(true, "cc"),
            rule(true, "c", 1 << 32, 0), rule(true, "c", .max, .max),
        ] {
            #expect(failure { _ = try DeviceRules([bad]) }?.code == .invalid)
        }
        let hole = failure { _ = try DeviceRules([rule(true, "c", 10), rule(false, "c", 10, 229, "r")]) }
        #expect(hole?.code == .invalid)
        #expect(hole?.cause.contains("c 10:* rwm") == true)
    }

    /// The kernel's encoding of known instructions, checked against `llvm-objdump` output.
    @Test func encoding() throws {
        let words = DeviceProgram(try DeviceRules([rule(true, "c", 1, 3)])).words
        #expect(words.first == 0x0000_0000_0000_1261)  // r2 = *(u32 *)(r1 + 0)
        #expect(words[4] == 0x0000_0000_0004_1461)  // r4 = *(u32 *)(r1 + 4)
        #expect(words[6] == 0x0000_0002_0004_0256)  // if w2 != 2 goto +4
        #expect(words[7] == 0x0000_0001_0003_0456)  // if w4 != 1 goto +3
        #expect(words[8] == 0x0000_0003_0002_0556)  // if w5 != 3 goto +2
        #expect(words[9] == 0x0000_0001_0000_00b7)  // r0 = 1
        #expect(words[10] == 0x95)
        #expect(words.count == 13)
    }

    /// Random rule lists: the program agrees with a direct reading of the canonical rules.
    @Test func programAndRulesAgree() throws {
        var state: UInt64 = 42
        func next(_ bound: UInt64) -> UInt64 {
            state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
            return (state >> 33) % bound
        }
        for _ in 0..<200 {
            var rules = DeviceRules()
            var list = [rule(next(2) == 0, "a")]
            for _ in 0..<next(8) {
                let access = ["r", "w", "m", "rw", "rwm"][Int(next(5))]
                let numbers = (0..<2).map { _ -> Int64? in next(3) == 0 ? nil : Int64(next(3)) }
                list.append(rule(next(2) == 0, next(2) == 0 ? "b" : "c", numbers[0], numbers[1], access))
            }
            while true {
                if let made = try? DeviceRules(list) { rules = made; break }
                list.removeLast()
            }
            let machine = Interpreter(program: DeviceProgram(rules))
            for kind in [DeviceRules.Kind.block, .character] {
                for bits in UInt32(1)..<8 {
                    for major in UInt32(0)..<4 {
                        for minor in UInt32(0)..<4 {
                            let access = DeviceRules.Access(rawValue: bits)
                            let hit = rules.exceptions.contains {
                                $0.kind == kind && ($0.major ?? major) == major && ($0.minor ?? minor) == minor
                                    && (rules.allowsByDefault
                                        ? !$0.access.isDisjoint(with: access) : $0.access.isSuperset(of: access))
                            }
                            #expect(machine.allows(kind, major, minor, access) == (hit != rules.allowsByDefault))
                        }
                    }
                }
            }
        }
    }

    @Test func legacyListsOfTheKernel() {
        #expect(DeviceRules.parse(legacyList: Array("a *:* rwm\n".utf8)).allowsEverything)
        let rules = DeviceRules.parse(legacyList: Array("c 1:3 rwm\nb *:* m\nrubbish\nc 1 r\nx 1:2 r\n\n".utf8))
        #expect(rules.exceptions.map(\.line) == ["b *:* m", "c 1:3 rwm"])
        // From a policy that allows by default nothing is known, and the kernel's state is set from the ground up.
        #expect(rules.legacyWrites(from: DeviceRules.parse(legacyList: Array("a *:* rwm".utf8))).first?.line == "a")
        #expect(rules.legacyWrites(from: rules) == [])
    }
}
