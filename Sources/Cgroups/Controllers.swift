/// A set of cgroup controllers, under the names both versions share.
///
/// `io` is called `blkio` in cgroup v1; `cpuacct`, `devices`, `freezer`, `net_cls`, `net_prio` and `perf_event` are
/// controllers in v1 only. `named` stands for v1 hierarchies without a controller, such as `name=systemd`.
public struct Controllers: OptionSet, Hashable, Sendable {
    public let rawValue: UInt32
    public init(rawValue: UInt32) { self.rawValue = rawValue }

    public static let cpu = Controllers(rawValue: 1 << 0)
    public static let cpuacct = Controllers(rawValue: 1 << 1)
    public static let cpuset = Controllers(rawValue: 1 << 2)
    public static let memory = Controllers(rawValue: 1 << 3)
    public static let io = Controllers(rawValue: 1 << 4)
    public static let pids = Controllers(rawValue: 1 << 5)
    public static let hugetlb = Controllers(rawValue: 1 << 6)
    public static let rdma = Controllers(rawValue: 1 << 7)
    public static let misc = Controllers(rawValue: 1 << 8)
    public static let devices = Controllers(rawValue: 1 << 9)
    public static let freezer = Controllers(rawValue: 1 << 10)
    public static let netCls = Controllers(rawValue: 1 << 11)
    public static let netPrio = Controllers(rawValue: 1 << 12)
    public static let perfEvent = Controllers(rawValue: 1 << 13)
    public static let named = Controllers(rawValue: 1 << 14)

    /// Everything the host mounts: what runc creates. Costs two system calls and a join per v1 hierarchy.
    public static let all = Controllers(rawValue: (1 << 15) - 1)
    /// What statistics, pausing and killing need; limits add their own controllers.
    public static let accounting: Controllers = [.cpu, .cpuacct, .memory, .io, .pids]

    /// The controllers cgroup v2 knows; the rest is part of its core or of BPF.
    static let unifiedOnes: Controllers = [.cpu, .cpuset, .memory, .io, .pids, .hugetlb, .rdma, .misc]

    static let names: [(controller: Controllers, legacy: String, unified: String)] = [
        (.cpu, "cpu", "cpu"), (.cpuacct, "cpuacct", ""), (.cpuset, "cpuset", "cpuset"), (.memory, "memory", "memory"),
        (.io, "blkio", "io"), (.pids, "pids", "pids"), (.hugetlb, "hugetlb", "hugetlb"), (.rdma, "rdma", "rdma"),
        (.misc, "misc", "misc"), (.devices, "devices", ""), (.freezer, "freezer", ""), (.netCls, "net_cls", ""),
        (.netPrio, "net_prio", ""), (.perfEvent, "perf_event", ""),
    ]

    /// From a v1 list as `/proc/self/cgroup` prints it: `cpu,cpuacct` or `name=systemd`. Unknown names are left out.
    init(legacyList list: some StringProtocol) {
        var set: Controllers = []
        for name in list.split(separator: ",") {
            if name.hasPrefix("name=") { set.insert(.named) }
            if let entry = Controllers.names.first(where: { $0.legacy == name }) { set.insert(entry.controller) }
        }
        self = set
    }

    /// From the text of `cgroup.controllers` or `cgroup.subtree_control`.
    init(unifiedList bytes: [UInt8]) {
        var set: Controllers = []
        for name in bytes.split(whereSeparator: { $0 == 32 || $0 == 10 }) {
            for entry in Controllers.names where !entry.unified.isEmpty && name.elementsEqual(entry.unified.utf8) {
                set.insert(entry.controller)
            }
        }
        self = set
    }

    /// The v2 names, in a fixed order.
    var unifiedNames: [String] { Controllers.names.filter { contains($0.controller) && !$0.unified.isEmpty }.map(\.unified) }

    /// The names a person knows, for messages: `memory, pids`.
    var listed: String {
        Controllers.names.filter { contains($0.controller) }
            .map { $0.unified.isEmpty ? $0.legacy : $0.unified }.joined(separator: ", ")
    }
}
