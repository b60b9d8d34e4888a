/// Members of objects. `IfNotEmpty`, `IfTrue`, `IfNotZero` and `IfPresent` are Go's `omitempty`.
extension JSONWriter {
    public mutating func field(_ name: StaticString, _ value: String) {
        key(name)
        self.value(value)
    }

    public mutating func field(_ name: StaticString, _ value: Bool) {
        key(name)
        self.value(value)
    }

    @inlinable
    public mutating func field<T: FixedWidthInteger>(_ name: StaticString, _ value: T) {
        key(name)
        self.value(value)
    }

    public mutating func field(_ name: StaticString, _ value: Double) {
        key(name)
        self.value(value)
    }

    public mutating func field(_ name: StaticString, _ value: [String]) {
        key(name)
        self.value(value)
    }

    public mutating func field(_ name: StaticString, _ value: [String: String]) {
        key(name)
        self.value(value)
    }

    public mutating func field(_ name: StaticString, _ value: JSONValue) {
        key(name)
        self.value(value)
    }

    /// Writes a member that is JSON text already.
    public mutating func rawField(_ name: StaticString, _ text: [UInt8]) {
        key(name)
        raw(text)
    }

    public mutating func nullField(_ name: StaticString) {
        key(name)
        null()
    }

    public mutating func object(_ name: StaticString, _ body: (inout JSONWriter) -> Void) {
        key(name)
        object(body)
    }

    public mutating func array(_ name: StaticString, _ body: (inout JSONWriter) -> Void) {
        key(name)
        array(body)
    }

    @inlinable
    public mutating func array<T>(_ name: StaticString, _ elements: [T], _ body: (inout JSONWriter, T) -> Void) {
        key(name)
        array(elements, body)
    }

    // MARK: omitempty

    public mutating func fieldIfNotEmpty(_ name: StaticString, _ value: String) {
        if !value.isEmpty { field(name, value) }
    }

    public mutating func fieldIfNotEmpty(_ name: StaticString, _ value: [String]) {
        if !value.isEmpty { field(name, value) }
    }

    public mutating func fieldIfNotEmpty(_ name: StaticString, _ value: [String: String]) {
        if !value.isEmpty { field(name, value) }
    }

    public mutating func fieldIfTrue(_ name: StaticString, _ value: Bool) {
        if value { field(name, value) }
    }

    @inlinable
    public mutating func fieldIfNotZero<T: FixedWidthInteger>(_ name: StaticString, _ value: T) {
        if value != 0 { field(name, value) }
    }

    @inlinable
    public mutating func fieldIfPresent<T: FixedWidthInteger>(_ name: StaticString, _ value: T?) {
        if let value { field(name, value) }
    }

    public mutating func fieldIfPresent(_ name: StaticString, _ value: Bool?) {
        if let value { field(name, value) }
    }

    public mutating func fieldIfPresent(_ name: StaticString, _ value: String?) {
        if let value { field(name, value) }
    }

    public mutating func fieldIfPresent(_ name: StaticString, _ value: [String]?) {
        if let value { field(name, value) }
    }

    public mutating func fieldIfPresent(_ name: StaticString, _ value: Double?) {
        if let value { field(name, value) }
    }

    @inlinable
    public mutating func arrayIfNotEmpty<T>(
        _ name: StaticString, _ elements: [T], _ body: (inout JSONWriter, T) -> Void
    ) {
        if !elements.isEmpty { array(name, elements, body) }
    }

    /// Writes a member for an optional value; `body` writes the value itself.
    @inlinable
    public mutating func ifPresent<T>(_ name: StaticString, _ value: T?, _ body: (inout JSONWriter, T) -> Void) {
        guard let value else { return }
        key(name)
        body(&self, value)
    }

    /// Writes an object whose keys are data, sorted by their UTF-8 bytes; nothing when it is empty.
    @inlinable
    public mutating func dictionaryIfNotEmpty<T>(
        _ name: StaticString, _ members: [String: T], _ body: (inout JSONWriter, T) -> Void
    ) {
        if members.isEmpty { return }
        object(name) { writer in
            for member in members.sorted(by: { $0.key.utf8.lexicographicallyPrecedes($1.key.utf8) }) {
                writer.key(member.key)
                body(&writer, member.value)
            }
        }
    }
}
