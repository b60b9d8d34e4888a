/// Where a parser stands in an object.
public struct JSONObjectCursor {
    var finished: Bool
    var started = false
    let firstKey: Int
    /// All key hashes, once there are too many for a linear search.
    var seen: Set<UInt64>?
}

/// Where a parser stands in an array.
public struct JSONArrayCursor {
    var finished: Bool
    var started = false
}

extension JSONParser {
    /// Enters the object that comes next; a `null` counts as an empty one.
    ///
    /// The members are read with `nextKey`, each followed by exactly one value, until it returns nil.
    /// - Throws: `.typeMismatch`, `.tooDeep`.
    public mutating func beginObject() throws(JSONError) -> JSONObjectCursor {
        let byte = try peek()
        if byte == UInt8(ascii: "{") {
            try descend()
            return JSONObjectCursor(finished: false, firstKey: keyHashes.count)
        }
        if try isNull() { return JSONObjectCursor(finished: true, firstKey: keyHashes.count) }
        throw mismatch("an object", byte)
    }

    /// The key of the next member that is not `null`, or nil after the last one.
    ///
    /// - Throws: `.syntax`, `.truncated`, `.duplicateKey`, `.invalidString`.
    public mutating func nextKey(_ object: inout JSONObjectCursor) throws(JSONError) -> JSONKey? {
        while let key = try nextMember(&object) {
            if try isNull() { continue }
            return key
        }
        return nil
    }

    /// The key of the next member, whose value may be `null`, or nil after the last one.
    ///
    /// - Throws: `.syntax`, `.truncated`, `.duplicateKey`, `.invalidString`.
    public mutating func nextMember(_ object: inout JSONObjectCursor) throws(JSONError) -> JSONKey? {
        if object.finished { return nil }
        var byte = try peek()
        if byte == UInt8(ascii: "}") {
            position += 1
            depth -= 1
            object.finished = true
            keyHashes.removeLast(keyHashes.count - object.firstKey)
            return nil
        }
        if object.started {
            guard byte == UInt8(ascii: ",") else { throw failure(.syntax, "expected a comma or the end of the object") }
            position += 1
            byte = try peek()
        }
        guard byte == UInt8(ascii: "\"") else { throw failure(.syntax, "expected a key") }
        object.started = true
        let span = try scanString()
        lastKey = span.start..<span.end
        let key = try key(span)
        try admit(key, &object)
        guard try peek() == UInt8(ascii: ":") else { throw failure(.syntax, "expected a colon") }
        position += 1
        return key
    }

    /// Enters the array that comes next; a `null` counts as an empty one.
    ///
    /// - Throws: `.typeMismatch`, `.tooDeep`.
    public mutating func beginArray() throws(JSONError) -> JSONArrayCursor {
        let byte = try peek()
        if byte == UInt8(ascii: "[") {
            try descend()
            return JSONArrayCursor(finished: false)
        }
        if try isNull() { return JSONArrayCursor(finished: true) }
        throw mismatch("an array", byte)
    }

    /// Whether one more element follows, which the caller must then read.
    ///
    /// - Throws: `.syntax`, `.truncated`.
    public mutating func nextElement(_ array: inout JSONArrayCursor) throws(JSONError) -> Bool {
        if array.finished { return false }
        let byte = try peek()
        if byte == UInt8(ascii: "]") {
            position += 1
            depth -= 1
            array.finished = true
            return false
        }
        if array.started {
            guard byte == UInt8(ascii: ",") else { throw failure(.syntax, "expected a comma or the end of the array") }
            position += 1
        }
        array.started = true
        return true
    }

    /// Reads an object, calling `member` for each member that is not `null`; it must read or skip the value.
    ///
    /// - Throws: what `member` throws and what `nextKey` throws.
    public mutating func object(
        _ member: (inout JSONParser, JSONKey) throws(JSONError) -> Void
    ) throws(JSONError) {
        var object = try beginObject()
        while let key = try nextKey(&object) { try member(&self, key) }
    }

    /// Reads an array with one call of `element` for each element.
    ///
    /// - Throws: what `element` throws and what `nextElement` throws.
    @inlinable
    public mutating func array<T>(
        _ element: (inout JSONParser) throws(JSONError) -> T
    ) throws(JSONError) -> [T] {
        var array = try beginArray()
        var elements: [T] = []
        while try nextElement(&array) { elements.append(try element(&self)) }
        return elements
    }

    /// Reads an object whose keys are data, with one call of `value` for each member; a `null` member is left out.
    ///
    /// - Throws: what `value` throws and what `nextKey` throws.
    @inlinable
    public mutating func dictionary<T>(
        _ value: (inout JSONParser) throws(JSONError) -> T
    ) throws(JSONError) -> [String: T] {
        var object = try beginObject()
        var members: [String: T] = [:]
        while let key = try nextKey(&object) { members[key.string] = try value(&self) }
        return members
    }

    /// Reads an array of strings.
    public mutating func strings() throws(JSONError) -> [String] {
        var array = try beginArray()
        var elements: [String] = []
        while try nextElement(&array) { elements.append(try string()) }
        return elements
    }

    /// Reads an object of strings; a `null` member is an empty string, as in Go.
    public mutating func stringDictionary() throws(JSONError) -> [String: String] {
        var object = try beginObject()
        var members: [String: String] = [:]
        while let key = try nextMember(&object) { members[key.string] = try isNull() ? "" : string() }
        return members
    }

    /// Reads the keys of an object used as a set, in their order; the values are passed over.
    public mutating func keys() throws(JSONError) -> [String] {
        var object = try beginObject()
        var keys: [String] = []
        while let key = try nextMember(&object) {
            keys.append(key.string)
            try skip()
        }
        return keys
    }

    /// Passes over the next value, checking that it is well-formed.
    ///
    /// Duplicate keys are not looked for in what is passed over: nobody reads it.
    /// - Throws: what reading it would throw.
    public mutating func skip() throws(JSONError) {
        switch try kind() {
        case .string: _ = try scanString()
        case .number: _ = try scanNumber()
        case .bool: _ = try bool()
        case .null: _ = try isNull()
        case .array:
            var array = try beginArray()
            while try nextElement(&array) { try skip() }
        case .object: try skipObject()
        }
    }

    /// The offsets of the next value, which is checked and consumed, so that its exact bytes can be kept.
    ///
    /// - Throws: what `skip` throws.
    public mutating func rawRange() throws(JSONError) -> Range<Int> {
        _ = try peek()
        let start = position
        try skip()
        return start..<position
    }

    /// The exact bytes of the next value, which is checked and consumed.
    ///
    /// - Throws: what `skip` throws.
    public mutating func rawValue() throws(JSONError) -> [UInt8] {
        let range = try rawRange()
        // SAFETY: the range was just read from these bytes.
        return [UInt8](bytes[range])
    }

    // MARK: Steps

    private mutating func skipObject() throws(JSONError) {
        try descend()
        if try peek() == UInt8(ascii: "}") {
            position += 1
            depth -= 1
            return
        }
        while true {
            guard try peek() == UInt8(ascii: "\"") else { throw failure(.syntax, "expected a key") }
            _ = try scanString()
            guard try peek() == UInt8(ascii: ":") else { throw failure(.syntax, "expected a colon") }
            position += 1
            try skip()
            let byte = try peek()
            guard byte == UInt8(ascii: ",") || byte == UInt8(ascii: "}") else {
                throw failure(.syntax, "expected a comma or the end of the object")
            }
            position += 1
            if byte == UInt8(ascii: "}") { break }
        }
        depth -= 1
    }

    /// Consumes an opening bracket. The cap bounds the recursion of every reader above.
    private mutating func descend() throws(JSONError) {
        guard depth < limits.depth else {
            throw failure(.tooDeep, "objects and arrays are nested deeper than \(limits.depth)")
        }
        depth += 1
        position += 1
    }

    /// Remembers the key, or refuses it if the object has it already.
    ///
    /// Two keys with one 64-bit hash are taken for the same key: by chance that does not happen, and a document built
    /// to do it deserves the refusal.
    private mutating func admit(_ key: JSONKey, _ object: inout JSONObjectCursor) throws(JSONError) {
        let hash = key.hash
        // Linear search is the fastest for the objects there are; the set keeps a hostile one from costing n².
        if keyHashes.count - object.firstKey < 32 {
            for index in object.firstKey..<keyHashes.count where keyHashes[index] == hash {
                throw failure(.duplicateKey, "duplicate key")
            }
            keyHashes.append(hash)
            return
        }
        if object.seen == nil { object.seen = Set(keyHashes[object.firstKey...]) }
        guard object.seen?.insert(hash).inserted == true else { throw failure(.duplicateKey, "duplicate key") }
    }
}
