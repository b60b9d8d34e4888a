/// The OCI `linux.cgroupsPath`, taken apart.
///
/// Spec: OCI runtime-spec config-linux.md "Cgroups Path". The three-part form is the one runc and crun give to systemd.
public enum CgroupsPath: Equatable, Sendable {
    /// From the root of every hierarchy.
    case absolute([String])
    /// From a place this program chooses: see ``Cgroup/create(host:cgroupsPath:id:resources:controllers:rootless:parent:)``.
    case relative([String])
    /// `slice:prefix:name`; the slice may be empty (the caller's default slice).
    case systemd(slice: String, prefix: String, name: String)

    /// Parses a path as a configuration gives it.
    ///
    /// - Parameters:
    ///   - text: empty means: relative, named by `id`.
    ///   - id: the container's id; one path component.
    /// - Throws: `.invalid` for `..`, NUL bytes, line ends, or a path without any component.
    public static func parse(_ text: String, id: String) throws(CgroupError) -> CgroupsPath {
        func refuse(_ cause: String) -> CgroupError { CgroupError(.invalid, "use cgroups path", "\"\(text)\"", cause) }
        let source = text.isEmpty ? id : text
        // Line ends would forge lines of the record in the state file; NUL would cut the path short in the kernel.
        if source.utf8.contains(where: { $0 == 0 || $0 == 10 }) { throw refuse("it contains a control character") }
        if text.isEmpty, id.isEmpty || id.utf8.contains(UInt8(ascii: "/")) { throw refuse("there is no usable id") }
        let parts = source.split(separator: ":", omittingEmptySubsequences: false)
        if !text.isEmpty, parts.count == 3, text.utf8.first != UInt8(ascii: "/") {
            if parts[2].isEmpty || text.utf8.contains(UInt8(ascii: "/")) {
                throw refuse("expected slice:prefix:name for systemd")
            }
            return .systemd(slice: String(parts[0]), prefix: String(parts[1]), name: String(parts[2]))
        }
        let components = source.split(separator: "/").filter { $0 != "." }.map(String.init)
        if components.contains("..") { throw refuse("\"..\" is not allowed") }
        if components.isEmpty { throw refuse("it names the root cgroup") }
        return source.utf8.first == UInt8(ascii: "/") ? .absolute(components) : .relative(components)
    }
}
