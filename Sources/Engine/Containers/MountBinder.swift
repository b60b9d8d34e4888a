import CLinux
import Control
import Glibc
import Linux
import OCI
import Store

extension Engine {
    /// Finds the sources of a definition's mounts. Missing sources of `-v` are made later, by ``materialize(_:_:)``.
    func bindMounts(_ definition: ContainerDefinition) throws(EngineError) -> [BoundMount] {
        var result: [BoundMount] = []
        for (index, mount) in definition.mounts.enumerated() {
            var bound = BoundMount(mount, source: "")
            switch mount.kind {
            case .tmpfs: break
            case .volume:
                bound.source = roots.volume(mount.source)
                bound.driver = try driver(of: mount)
                try checkDriver(bound, definition)
            case .image: bound.layers = try layers(of: mount, in: definition)
            case .container: if mount.isOverlay { bound.layers = try layers(ofContainer: mount.source) }
            case .bind:
                bound.source = mount.source
                if !mount.createSource { try requireSource(mount) }
                if mount.isIDMapped { try checkIDMap(mount) }
                if mount.label != .none { try checkRelabel(mount) }
            }
            if mount.isOverlay || mount.kind == .image { bound.scratch = try scratch(index, mount, definition) }
            result.append(bound)
        }
        return result
    }

    /// The driver of a volume that is there, or as this mount would make it.
    func driver(of mount: MountDefinition) throws(EngineError) -> LocalDriver? {
        let store = try self.store()
        let record = try stored { () throws(StoreError) in try store.volume(name: mount.source) }
        return LocalDriver(record?.options ?? mount.volumeOptions)
    }

    private func checkDriver(_ bound: BoundMount, _ definition: ContainerDefinition) throws(EngineError) {
        guard let driver = bound.driver else { return }
        func refuse(_ cause: String) -> EngineError {
            EngineError(
                .invalid, sentence: "error while mounting volume '\(bound.source)': failed to mount local volume: \(cause)")
        }
        switch driver.source {
        case .temporary:
            if !bound.mount.subpath.isEmpty { throw refuse("an empty tmpfs has no subpath \(bound.mount.subpath)") }
        case .bind(let path, _):
            if !FD.cwd.exists(path) { throw refuse("mount \(path):\(bound.source): no such file or directory") }
        case .fileSystem(let type, let device):
            if host.isRootless {
                throw refuse("mount \(device):\(bound.source): only root can mount \(type): mount it first and bind it with -v")
            }
            if !definition.runtime.isEmpty { throw .notSupported("volumes of type \(type) with --runtime") }
            if !bound.mount.subpath.isEmpty { throw .notSupported("volume-subpath in a volume of type \(type)") }
        }
        if bound.mount.isOverlay { throw .notSupported("overlay volumes (O) of a volume with options") }
    }

    /// Where the layers of an overlay over the source are: beside the container's own, and gone with it.
    private func scratch(_ index: Int, _ mount: MountDefinition, _ definition: ContainerDefinition) throws(EngineError) -> String {
        let what = mount.kind == .image ? "image mounts" : "overlay volumes (O)"
        if !definition.runtime.isEmpty { throw .notSupported("\(what) with --runtime") }
        // Only a volume's files would have the ids that are seen inside, and not a bind's.
        if definition.userNamespaceSlot != nil, mount.kind != .image, mount.kind != .container {
            throw .notSupported("\(what) with --userns=auto")
        }
        if mount.isOverlay, !mount.subpath.isEmpty { throw .invalid("invalid mode: O goes with no subpath") }
        return roots.container(definition.id) + "/overlays/\(index)"
    }

    private func requireSource(_ mount: MountDefinition) throws(EngineError) {
        guard mount.source.hasPrefix("/") else {
            throw .invalid(
                "invalid mount config for type \"bind\": invalid mount path: '\(mount.source)' mount path must be absolute"
            )
        }
        do throws(SystemError) {
            _ = try FD.cwd.status(of: mount.source, follow: true)
        } catch {
            if error.errno == .noEntry {
                throw .invalid(
                    "invalid mount config for type \"bind\": bind source path does not exist: \(mount.source)")
            }
            throw EngineError("use mount source", mount.source, error)
        }
    }

    private func checkIDMap(_ mount: MountDefinition) throws(EngineError) {
        guard host.isRootless else { return }
        throw .invalid(
            "cannot map the ids of \(mount.source): the kernel lets only root do that; to write to it as another user type: --userns "
                + "keep-id:uid=UID,gid=GID, with that user's ids")
    }

    /// An ordinary user's directory belongs to root inside, and only root on the host could show it as another's.
    private func hintAtOwner(of mount: MountDefinition, _ plan: ContainerPlan) {
        guard host.isRootless, plan.user.uid != 0, !mount.readOnly, !mount.changeOwner, !mount.isOverlay,
            let info = try? FD.cwd.status(of: mount.source, follow: true), info.st_uid == host.uid
        else { return }
        let (uid, gid) = (onHost(plan.user.uid, plan.users), onHost(plan.user.gid, plan.groups))
        let mayWrite = uid == info.st_uid || info.st_mode & 0o002 != 0 || gid == info.st_gid && info.st_mode & 0o020 != 0
        if mayWrite { return }
        warn(
            "WARNING: \(mount.source) is yours, and the container's user \(plan.user.uid) cannot write to it; type: --userns "
                + "keep-id:uid=\(plan.user.uid),gid=\(plan.user.gid)")
    }

    /// Without SELinux there is nothing to relabel; with it, silence would leave the container without access.
    private func checkRelabel(_ mount: MountDefinition) throws(EngineError) {
        if FD.cwd.exists("/sys/fs/selinux/enforce") {
            throw .notSupported("relabeling \(mount.source) (:z, :Z) on a host with SELinux")
        }
    }

    /// Makes what a container's mounts need: missing directories of `-v`, volumes and their first content.
    func prepareMounts(_ definition: ContainerDefinition, _ plan: ContainerPlan, _ store: Store) throws(EngineError) {
        var overlays: [Int] = []
        for (index, mount) in definition.mounts.enumerated() {
            if mount.isOverlay || mount.kind == .image { overlays.append(index) }
            switch mount.kind {
            case .tmpfs, .image, .container: continue
            case .bind:
                if mount.createSource, !FD.cwd.exists(mount.source) {
                    try during("make mount source", mount.source) { () throws(SystemError) in
                        try FD.cwd.makeDirectories(mount.source, mode: 0o755)
                    }
                }
                if mount.changeOwner { try changeOwner(of: mount.source, plan, isMapped: false) }
                hintAtOwner(of: mount, plan)
            case .volume:
                if let driver = try driver(of: mount) {
                    // Filled by the runtime, where it is mounted.
                    if mount.changeOwner, case .bind(let path, _) = driver.source { try changeOwner(of: path, plan, isMapped: false) }
                    continue
                }
                let path = try stored { () throws(StoreError) in try store.volumeDirectory(mount.source) }
                if !mount.isInherited { try fillVolume(mount, path, plan) }
                if mount.changeOwner { try changeOwner(of: path, plan, isMapped: true) }
                if !mount.subpath.isEmpty { try checkSubpath(mount, path) }
            }
        }
        if !overlays.isEmpty { try makeScratch(overlays, definition) }
    }

    /// Empty layers for overlays: what the run before wrote ended with it.
    private func makeScratch(_ overlays: [Int], _ definition: ContainerDefinition) throws(EngineError) {
        let name = "overlays"
        var owner: (user: UInt32, group: UInt32)?
        if definition.userNamespaceSlot != nil {
            let ids = try userNamespace(definition)
            if let user = ids.users.first, let group = ids.groups.first { owner = (user.hostID, group.hostID) }
        }
        try during("make layers of mounts") { () throws(SystemError) in
            let directory = try FD.cwd.open(roots.container(definition.id), [.readOnly, .directory, .noFollow])
            if directory.fd.exists(name) {
                if host.isRootless {
                    // Files of the container's users: only the user namespace may remove those.
                    try directory.fd.rename(name, to: roots.store + "/trash/" + hexadecimal(randomBytes(8)))
                } else {
                    try removeTree(directory.fd, name)
                }
            }
            for index in overlays {
                for part in ["upper", "work", "empty"] {
                    let path = "\(name)/\(index)/\(part)"
                    try directory.fd.makeDirectories(path, mode: 0o755)
                    // The empty one is shown with other ids, as an image's layers are.
                    if let owner, part != "empty" {
                        try check(cl_fchownat(directory.raw, path, owner.user, owner.group, AT_SYMLINK_NOFOLLOW), "change owner", path)
                    }
                }
            }
        }
        if host.isRootless { emptyForeignTrash() }
    }

    /// The path must exist and lead nowhere out of the volume (CVE-2023-3676 class); the runtime resolves it again by
    /// descriptor when it mounts, and that is the one that counts.
    private func checkSubpath(_ mount: MountDefinition, _ path: String) throws(EngineError) {
        try during("use volume-subpath", mount.subpath) { () throws(SystemError) in
            do throws(SystemError) {
                let root = try FD.cwd.open(path, [.path, .directory])
                _ = try root.fd.open(mount.subpath, .path, resolve: [.beneath, .noMagicLinks])
            } catch {
                // A directory of one of the container's users: only who is root over them can look.
                if host.isRootless, error.errno == .accessDenied { return }
                throw error
            }
        }
    }

    /// An empty volume gets what the image has at its place (Docker's copy-up), by way of a sibling directory that is
    /// renamed over it: killed half-way it is still empty. Where the image has nothing there, the container's user can write
    /// to it.
    private func fillVolume(_ mount: MountDefinition, _ path: String, _ plan: ContainerPlan) throws(EngineError) {
        if try VolumeContent.isFilled(path, unreadableIs: host.isRootless ? false : nil) { return }
        let layers = mount.noCopy ? [] : plan.layers
        if layers.isEmpty, plan.user.uid == 0 { return }
        if host.isRootless, plan.hasUserNamespace {
            let user = try helperIDs(plan)
            try runInUserNamespace(["fill-volume", path, mount.target, "\(user.uid)", "\(user.gid)"] + layers)
            return
        }
        try VolumeContent.fill(path, from: layers, at: mount.target, uid: plan.user.uid, gid: plan.user.gid)
    }

    /// `U`: everything in the source belongs to the container's user afterwards.
    ///
    /// - Parameter isMapped: it is mounted with the ids that are seen inside; else it shows the host's.
    private func changeOwner(of path: String, _ plan: ContainerPlan, isMapped: Bool) throws(EngineError) {
        if host.isRootless, plan.hasUserNamespace {
            let user = try helperIDs(plan)
            try runInUserNamespace(["change-owner", path, "\(user.uid)", "\(user.gid)"])
            return
        }
        let uid = isMapped ? plan.user.uid : onHost(plan.user.uid, plan.users)
        let gid = isMapped ? plan.user.gid : onHost(plan.user.gid, plan.groups)
        try VolumeContent.changeOwner(path, uid: uid, gid: gid)
    }

    /// The container's user as our second self in the user namespace sees it: with `keep-id` the two do not have the same ids.
    private func helperIDs(_ plan: ContainerPlan) throws(EngineError) -> (uid: UInt32, gid: UInt32) {
        let own = try UserNamespacePlan.rootless(uid: host.uid, gid: host.gid)
        func inside(_ id: UInt32, _ mappings: [LinuxIDMapping]) -> UInt32 {
            for mapping in mappings where id >= mapping.hostID && id - mapping.hostID < mapping.size {
                return mapping.containerID &+ (id - mapping.hostID)
            }
            return id
        }
        return (inside(onHost(plan.user.uid, plan.users), own.users), inside(onHost(plan.user.gid, plan.groups), own.groups))
    }

    /// The host's number of an id inside; without a user namespace the same.
    private func onHost(_ id: UInt32, _ mappings: [LinuxIDMapping]) -> UInt32 {
        for mapping in mappings where id >= mapping.containerID && id - mapping.containerID < mapping.size {
            return mapping.hostID &+ (id - mapping.containerID)
        }
        return id
    }
}

/// Work on the content of volumes, by descriptors only.
public enum VolumeContent {
    /// Whether there is anything in a volume.
    ///
    /// - Parameter answer: for a directory we may not read, which then belongs to a user of containers; nil: an error.
    static func isFilled(_ path: String, unreadableIs answer: Bool?) throws(EngineError) -> Bool {
        do throws(SystemError) {
            let directory = try FD.cwd.open(path, [.readOnly, .directory, .noFollow])
            return try !directoryEntries(directory.fd).isEmpty
        } catch {
            if let answer, error.errno == .accessDenied { return answer }
            throw EngineError("read volume", path, error)
        }
    }

    /// Copies what layers have at `target` into a directory, if that is empty. Where they have nothing, a directory that
    /// nobody was given yet is the user's.
    ///
    /// - Throws: `.system`; nothing is changed then.
    static func fill(_ path: String, from layers: [String], at target: String, uid: UInt32 = 0, gid: UInt32 = 0) throws(EngineError) {
        if try isFilled(path, unreadableIs: nil) { return }
        try during("copy image content to volume", path) { () throws(SystemError) in
            let tree = try LayeredTree(layers: layers, mounting: true)
            guard case .directory(let source)? = try tree.find(target) else {
                let directory = try FD.cwd.open(path, [.readOnly, .directory, .noFollow])
                guard uid != 0, try directory.fd.status().st_uid == 0 else { return }
                try check(cl_fchownat(directory.raw, "", uid, gid, 0x1000 /* AT_EMPTY_PATH */), "change owner", path)
                return
            }
            guard let slash = path.lastIndex(of: "/") else { return }
            let parent = try FD.cwd.open(String(path[..<slash]), [.readOnly, .directory])
            let staging = "_fill-" + hexadecimal(randomBytes(6))
            try parent.fd.makeDirectory(staging, mode: 0o700)
            do throws(SystemError) {
                let copy = try parent.fd.open(staging, [.readOnly, .directory, .noFollow])
                try tree.copy(source, to: copy.fd)
                try parent.fd.rename(staging, to: String(path[path.index(after: slash)...]))
            } catch {
                if let left = try? parent.fd.open(staging, [.readOnly, .directory, .noFollow]) {
                    _ = try? removeContents(left.fd)
                }
                try? parent.fd.removeDirectory(staging)
                // Somebody else filled it first: theirs counts.
                if error.errno == .notEmpty || error.errno == .exists { return }
                throw error
            }
        }
    }

    private static func removeContents(_ directory: FD) throws(SystemError) {
        for (name, type) in try directoryEntries(directory) {
            if type == 4, let child = try? directory.open(name, [.readOnly, .directory, .noFollow]) {
                try removeContents(child.fd)
                try directory.removeDirectory(name)
            } else {
                try directory.removeFile(name)
            }
        }
    }

    /// Gives a tree to a user; links are changed, not followed, and mounts are not entered.
    public static func changeOwner(_ path: String, uid: UInt32, gid: UInt32) throws(EngineError) {
        try during("change owner", path) { () throws(SystemError) in
            let root = SharedFD(try FD.cwd.open(path, [.readOnly, .directory]))
            let info = try root.fd.status()
            // The top is changed last: where it is right, all of it is, and a million files need no look.
            if info.st_uid == uid, info.st_gid == gid { return }
            let device = info.st_dev
            var pending = [root]
            while let directory = pending.popLast() {
                if directory !== root {
                    try check(cl_fchownat(directory.raw, "", uid, gid, 0x1000 /* AT_EMPTY_PATH */), "change owner", path)
                }
                for (name, _) in try directoryEntries(directory.fd) {
                    let info = try directory.fd.status(of: name)
                    if info.st_dev != device { continue }
                    if info.st_mode & S_IFMT == S_IFDIR {
                        pending.append(SharedFD(try directory.fd.open(name, [.readOnly, .directory, .noFollow])))
                    } else {
                        try check(cl_fchownat(directory.raw, name, uid, gid, AT_SYMLINK_NOFOLLOW), "change owner", name)
                    }
                }
            }
            try check(cl_fchownat(root.raw, "", uid, gid, 0x1000 /* AT_EMPTY_PATH */), "change owner", path)
        }
    }
}
