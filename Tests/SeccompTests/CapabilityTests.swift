import OCI
import Testing

@Suite struct CapabilityTests {
    @Test func namesAndNumbers() {
        #expect(Capability(name: "CAP_CHOWN") == .chown)
        #expect(Capability(name: "net_admin") == .netAdmin)
        #expect(Capability(name: "Cap_Checkpoint_Restore") == .checkpointRestore)
        #expect(Capability.netAdmin.rawValue == 12)
        #expect(Capability.checkpointRestore.rawValue == 40)
        #expect(Capability.names.count == 41)
        #expect(Capability.sysTtyConfig.description == "CAP_SYS_TTY_CONFIG")
        for bit in UInt8(0)...40 {
            let name = Capability(rawValue: bit)?.description ?? ""
            #expect(Capability(name: name)?.rawValue == bit)
        }
        for name in ["", "CAP_", "ALL", "CAP_FOO", "CHOWN ", "CAP_CAP_CHOWN"] { #expect(Capability(name: name) == nil) }
        #expect(Capability(rawValue: 64) == nil)
        #expect(Capability(rawValue: 63)?.description == "CAP_63")
    }

    @Test func sets() throws {
        #expect(CapabilitySet.all.mask == 0x1FF_FFFF_FFFF)
        #expect(CapabilitySet.default.mask == 0x8004_05FB)
        #expect(CapabilitySet.docker.mask == 0xA804_25FB)
        #expect(CapabilitySet.criDefault.names.count == 9)
        #expect(CapabilitySet.docker.names.count == 14)
        #expect(CapabilitySet([.chown, .kill]).names == ["CAP_CHOWN", "CAP_KILL"])
        #expect(CapabilitySet(mask: .max).names.count == 64)
        #expect(try CapabilitySet(names: ["all"]) == .all)
        do throws(OCIError) {
            _ = try CapabilitySet(names: ["CHOWN", "FOO"])
            Issue.record("FOO was taken for a capability")
        } catch {
            #expect(error.code == .unknownCapability)
            #expect(error.description == "parse capability \"FOO\": unknown capability")
        }
    }

    @Test func addAndDrop() throws {
        let base = CapabilitySet.default
        #expect(try base.changed(adding: [], dropping: []) == base)
        #expect(try base.changed(adding: ["NET_ADMIN"], dropping: ["ALL"]) == [.netAdmin])
        let almostAll = CapabilitySet.all.subtracting([.sysAdmin])
        #expect(try base.changed(adding: ["ALL"], dropping: ["SYS_ADMIN"]) == almostAll)
        #expect(try base.changed(adding: [], dropping: ["cap_chown", "KILL"]) == base.subtracting([.chown, .kill]))
        #expect(try base.changed(adding: ["CHOWN"], dropping: ["CHOWN"]).contains(.chown))
        #expect(throws: OCIError.self) { try base.changed(adding: ["ALL", "X"], dropping: []) }
        #expect(throws: OCIError.self) { try base.changed(adding: [], dropping: ["ALL", "X"]) }
    }
}
