extension StringProtocol {
    /// Whether another text stands somewhere in this one, byte for byte.
    ///
    /// The standard library's `contains(_:)` for texts comes from the module of regular expressions, which is not linked.
    public func includes(_ part: String) -> Bool {
        let whole = Array(utf8)
        let wanted = Array(part.utf8)
        guard wanted.count <= whole.count else { return false }
        return (0...(whole.count - wanted.count)).contains { whole[$0..<($0 + wanted.count)].elementsEqual(wanted) }
    }
}
