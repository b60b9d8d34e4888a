import Linux
import OCI

/// The cgroups of one container: the same path in every hierarchy that is needed, behind one set of verbs.
///
/// Not thread-safe: use one object per thread. Directories are opened at first use and stay open, so the object keeps
/// meaning the cgroup it found even if another of the same name is made later.
///
/// Life of a container: ``create(host:cgroupsPath:id:resources:controllers:rootless:parent:)`` →
/// ``apply(_:)`` → ``entry()`` (clone3 into it; the child joins the v1 part itself) → … → ``remove(timeoutMilliseconds:)``.
public final class Cgroup {
    /// Where the cgroups are. It grows when ``update(_:)`` needs a v1 hierarchy that `create` left out: store it again.
    public internal(set) var record: CgroupRecord

    var directories: [CgroupDirectory?]
    /// Which entries this object made itself: a fresh v1 devices cgroup has its parent's rules, an old one its own.
    var fresh: [Bool]
    /// What the v2 directory offers, read once.
    var unifiedControllers: Controllers?
    /// Keeps a scope of systemd alive until the container's first process is in it.
    var anchor: Anchor?

    /// Opens nothing yet: a cgroup that is gone is reported by the first verb that needs it.
    public init(record: CgroupRecord) {
        self.record = record
        directories = record.entries.map { _ in nil }
        fresh = record.entries.map { _ in false }
    }

    /// True when no cgroup could be made and none was needed (rootless without delegation): every verb is then a no-op
    /// or finds nothing.
    public var isEmpty: Bool { record.entries.isEmpty }

    /// Whether the cgroup directory still exists. False for an empty record.
    public var exists: Bool { record.entries.contains { FD.cwd.exists($0.path) } }

    // MARK: Which directory

    var unifiedIndex: Int? { record.entries.firstIndex { $0.isUnified } }

    func legacyIndex(_ controller: Controllers) -> Int? {
        record.entries.firstIndex { !$0.isUnified && Controllers(legacyList: $0.hierarchy).contains(controller) }
    }

    func directory(at index: Int) throws(CgroupError) -> CgroupDirectory {
        if let open = directories[index] { return open }
        let opened = try CgroupDirectory(path: record.entries[index].path)
        opened.onWrite = onWrite
        opened.journal = journal
        directories[index] = opened
        return opened
    }

    /// The v2 directory, nil when this container has none.
    func unifiedDirectory() throws(CgroupError) -> CgroupDirectory? {
        guard let index = unifiedIndex else { return nil }
        return try directory(at: index)
    }

    func legacyDirectory(_ controller: Controllers) throws(CgroupError) -> CgroupDirectory? {
        guard let index = legacyIndex(controller) else { return nil }
        return try directory(at: index)
    }

    /// A directory in which every process of the container is found: v2 where there is one.
    func membershipDirectory() throws(CgroupError) -> CgroupDirectory? {
        if let unified = try unifiedDirectory() { return unified }
        for controller: Controllers in [.freezer, .pids, .devices, .memory, .cpu] {
            if let directory = try legacyDirectory(controller) { return directory }
        }
        return record.entries.isEmpty ? nil : try directory(at: 0)
    }

    /// While a change is under way that is to be taken back where a part of it is refused.
    var journal: CgroupJournal? {
        didSet { for directory in directories { directory?.journal = journal } }
    }

    // MARK: For tests

    /// Told of every successful write, in order.
    package var onWrite: ((_ file: String, _ value: String) -> Void)? {
        didSet { for directory in directories { directory?.onWrite = onWrite } }
    }
}
