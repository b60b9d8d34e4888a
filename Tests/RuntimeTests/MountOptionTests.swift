import Linux
import Testing

@testable import Runtime

struct MountOptionTests {
    @Test(arguments: [
        ("ro", MountAttributes.readOnly), ("nosuid", .noSetuid), ("nodev", .noDevices), ("noexec", .noExecute),
        ("noatime", .noAccessTime), ("strictatime", .strictAccessTime), ("nodiratime", .noDirectoryAccessTime),
        ("nosymfollow", .noSymbolicLinks),
    ])
    func attributesAreSetAndTheirRecursiveForms(name: String, attribute: MountAttributes) {
        #expect(MountOptions([name]).set == attribute)
        #expect(MountOptions([name]).recursiveSet.isEmpty)
        #expect(MountOptions(["r" + name]).recursiveSet == attribute)
        #expect(MountOptions(["r" + name]).set.isEmpty)
    }

    @Test(arguments: [
        ("rw", MountAttributes.readOnly), ("suid", .noSetuid), ("dev", .noDevices), ("exec", .noExecute),
        ("diratime", .noDirectoryAccessTime), ("symfollow", .noSymbolicLinks),
    ])
    func attributesAreCleared(name: String, attribute: MountAttributes) {
        #expect(MountOptions([name]).clear == attribute)
        #expect(MountOptions([name]).set.isEmpty)
        #expect(MountOptions(["r" + name]).recursiveClear == attribute)
    }

    @Test func theLastOptionWins() {
        let readOnly = MountOptions(["rw", "ro"])
        #expect(readOnly.set == .readOnly && readOnly.clear.isEmpty)
        let writable = MountOptions(["ro", "nosuid", "rw"])
        #expect(writable.set == .noSetuid && writable.clear == .readOnly)
        let recursive = MountOptions(["rro", "rrw"])
        #expect(recursive.recursiveSet.isEmpty && recursive.recursiveClear == .readOnly)
        let mixed = MountOptions(["ro", "rrw"])
        #expect(mixed.set == .readOnly && mixed.recursiveClear == .readOnly, "plain and recursive are apart")
    }

    /// mount_setattr(2): the access-time bits are a field, not flags. It is cleared before one value is set.
    @Test func accessTimesReplaceEachOther() {
        for name in ["noatime", "strictatime"] {
            let options = MountOptions(["noatime", "strictatime", name])
            #expect(options.clear.contains(.accessTimeMask), "\(name)")
            #expect(options.set == (name == "noatime" ? .noAccessTime : .strictAccessTime))
        }
        #expect(MountOptions(["noatime", "relatime"]).set.isEmpty)
    }

    @Test func bindsAndMappings() {
        #expect(MountOptions(["bind"]).bind && !MountOptions(["bind"]).recursiveBind)
        #expect(MountOptions(["rbind"]).bind && MountOptions(["rbind"]).recursiveBind)
        #expect(MountOptions(["idmap"]).idmap && !MountOptions(["idmap"]).recursiveIdmap)
        #expect(MountOptions(["ridmap"]).idmap && MountOptions(["ridmap"]).recursiveIdmap)
        #expect(MountOptions(["tmpcopyup"]).copyUp)
        #expect(MountOptions(["sync", "lazytime"]).superblockFlags == ["sync", "lazytime"])
    }

    @Test(arguments: [
        ("private", Propagation.private, false), ("rprivate", .private, true), ("shared", .shared, false),
        ("rshared", .shared, true), ("slave", .slave, false), ("rslave", .slave, true), ("unbindable", .unbindable, false),
        ("runbindable", .unbindable, true),
    ])
    func propagationKeepsItsOrder(name: String, kind: Propagation, recursive: Bool) {
        let options = MountOptions(["rbind", name, "rslave"])
        #expect(options.propagation.count == 2)
        #expect(options.propagation.first?.kind == kind)
        #expect(options.propagation.first?.recursive == recursive)
        #expect(options.propagation.last?.kind == .slave)
    }

    /// The file system decides about what the VFS does not know; nothing is dropped.
    @Test(arguments: ["mode=755", "size=64m", "rsize=1", "r", "RO", "ro ", "rosuid", "x:y,z", "é", "=", "roo"])
    func theRestIsTheFileSystems(option: String) {
        let options = MountOptions([option])
        #expect(options.data == [option])
        #expect(options.set.isEmpty && options.clear.isEmpty && options.recursiveSet.isEmpty && options.propagation.isEmpty)
    }

    @Test(arguments: ["", "defaults", "async", "silent", "loud", "iversion", "acl", "norelatime"])
    func whatHasNoEffectIsTaken(option: String) {
        let options = MountOptions([option])
        #expect(options.data.isEmpty && options.set.isEmpty && options.superblockFlags.isEmpty)
    }

    @Test func everyNameThatIsAnnouncedIsUnderstood() {
        for name in MountOptionNames.all { #expect(MountOptions([name]).data.isEmpty, "\(name)") }
        #expect(MountOptionNames.all == MountOptionNames.all.sorted())
        #expect(Set(MountOptionNames.all).count == MountOptionNames.all.count)
    }
}
