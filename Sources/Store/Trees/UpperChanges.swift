import CLinux
import Glibc
import Linux

/// A path that differs from the image.
public struct TreeChange: Sendable, Hashable {
    public enum Kind: Sendable, Hashable {
        case changed, added, deleted
    }

    public var kind: Kind
    /// Absolute.
    public var path: [UInt8]
}

/// Finds what a container has changed, from its writable layer alone: nothing below a directory that it did not touch is read.
public final class UpperChanges {
    private final class Level {
        let upper: SharedFD
        /// The same directory of the image; nil where it has none.
        let lower: SharedFD?
        /// With a final slash.
        let path: [UInt8]
        var names: [[UInt8]]
        /// Its own change, which stands when it differs itself or anything in it does.
        let change: Int?
        let isForced: Bool
        /// It was made for a mount, or for directories that were, as far as is known.
        var isScaffold: Bool

        init(
            _ upper: SharedFD, _ lower: SharedFD?, _ path: [UInt8], _ names: [[UInt8]], change: Int?, isForced: Bool, isScaffold: Bool
        ) {
            (self.upper, self.lower, self.path, self.names) = (upper, lower, path, names)
            (self.change, self.isForced, self.isScaffold) = (change, isForced, isScaffold)
        }
    }

    private let marks: OverlayMarks
    private let ids: IDTranslation
    private let mountPoints: Set<[UInt8]>
    private var changes: [(change: TreeChange, isShown: Bool)] = []

    /// - Parameter mountPoints: absolute paths at which the engine mounts: what it made there is no change.
    public init(marks: OverlayMarks, ids: IDTranslation, mountPoints: Set<[UInt8]>) {
        (self.marks, self.ids, self.mountPoints) = (marks, ids, mountPoints)
    }

    /// - Parameters:
    ///   - upper: the writable layer.
    ///   - lower: the root of all below it, mounted; nil: nothing.
    /// - Returns: by path; directories before what is in them.
    public func find(upper: SharedFD, lower: SharedFD?) throws(StoreError) -> [TreeChange] {
        var stack = [try level(upper, lower, [UInt8(ascii: "/")], change: nil, isForced: false, isNew: false)]
        while let current = stack.last {
            guard let name = current.names.popLast() else {
                stack.removeLast()
                finish(current, in: stack.last)
                continue
            }
            if let next = try visit(name, current) { stack.append(next) }
        }
        return changes.filter(\.isShown).map(\.change)
    }

    private func finish(_ level: Level, in parent: Level?) {
        if !level.isScaffold { parent?.isScaffold = false }
        guard let index = level.change else { return }
        let isTouched = changes[(index + 1)...].contains(where: \.isShown)
        changes[index].isShown = !level.isScaffold && (level.isForced || isTouched)
    }

    private func visit(_ name: [UInt8], _ level: Level) throws(StoreError) -> Level? {
        let path = level.path + name.dropLast()
        guard let info = try status(level.upper, name) else {
            // Below an opaque directory: of the image, and not here. Else it went away since it was listed.
            guard let lower = level.lower, try status(lower, name) != nil else { return nil }
            level.isScaffold = false
            add(.deleted, path)
            return nil
        }
        let below = try level.lower.flatMap { (lower) throws(StoreError) in try status(lower, name) }
        if info.st_mode & S_IFMT == S_IFDIR {
            do throws(StoreError) { return try enter(name, info, below, level, path) } catch {
                // It was removed since it was listed.
                if error.systemError == .noEntry { return nil }
                throw error
            }
        }
        if info.st_mode & S_IFMT == S_IFCHR, info.st_rdev == 0 {
            level.isScaffold = false
            if below != nil { add(.deleted, path) }
            return nil
        }
        let isMountPoint = below == nil && info.st_size == 0 && mountPoints.contains(path)
        if isMountPoint { return nil }
        level.isScaffold = false
        add(below == nil ? .added : .changed, path)
        return nil
    }

    private func enter(
        _ name: [UInt8], _ info: stat, _ below: stat?, _ parent: Level, _ path: [UInt8]
    ) throws(StoreError) -> Level {
        let upper = try open(parent.upper, name)
        var lower: SharedFD?
        if let below, below.st_mode & S_IFMT == S_IFDIR, let directory = parent.lower { lower = try open(directory, name) }
        var isForced = true
        if let below, lower != nil {
            isForced =
                info.st_mode != below.st_mode || ids.userInside(info.st_uid) != below.st_uid
                || ids.groupInside(info.st_gid) != below.st_gid
        }
        changes.append((TreeChange(kind: below == nil ? .added : .changed, path: path), false))
        let level = try level(upper, lower, path + [UInt8(ascii: "/")], change: changes.count - 1, isForced: isForced, isNew: below == nil)
        // Somebody's own: empty, and not at a mount's place; or of other metadata than the image's.
        if below == nil ? level.names.isEmpty && !mountPoints.contains(path) : isForced { level.isScaffold = false }
        return level
    }

    private func level(
        _ upper: SharedFD, _ lower: SharedFD?, _ path: [UInt8], change: Int?, isForced: Bool, isNew: Bool
    ) throws(StoreError) -> Level {
        let opened = try system { () throws(SystemError) in SharedFD(try upper.fd.open(".", [.readOnly, .directory])) }
        var names = try listing(opened)
        if lower != nil, try marks.isOpaque(opened.fd.extendedAttributes(), path), let lower {
            let own = Set(names)
            names += try listing(SharedFD(try system { () throws(SystemError) in try lower.fd.open(".", [.readOnly, .directory]) }))
                .filter { !own.contains($0) }
        }
        return Level(
            opened, lower, path, names.sorted { $1.lexicographicallyPrecedes($0) }, change: change, isForced: isForced, isScaffold: true)
    }

    private func listing(_ directory: SharedFD) throws(StoreError) -> [[UInt8]] {
        try system { () throws(SystemError) in
            let stream = DirectoryStream(directory)
            var names: [[UInt8]] = []
            while let name = try stream.next() { names.append(name) }
            return names
        }
    }

    private func add(_ kind: TreeChange.Kind, _ path: [UInt8]) { changes.append((TreeChange(kind: kind, path: path), true)) }

    private func status(_ directory: SharedFD, _ name: [UInt8]) throws(StoreError) -> stat? {
        do throws(SystemError) { return try directory.fd.status(named: name) } catch {
            if error.errno == .noEntry { return nil }
            throw StoreError(error)
        }
    }

    private func open(_ directory: SharedFD, _ name: [UInt8]) throws(StoreError) -> SharedFD {
        try system { () throws(SystemError) in SharedFD(try directory.fd.open(named: name, [.path, .directory, .noFollow])) }
    }
}
