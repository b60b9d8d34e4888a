import CSQLite

/// A value bound to a statement.
package enum Value: Sendable {
    case text(String)
    case optionalText(String?)
    case blob([UInt8])
    case optionalBlob([UInt8]?)
    case integer(Int64)
}

/// One row of a result; valid inside the closure it is given to.
package struct Row {
    let statement: OpaquePointer

    package func text(_ column: Int32) -> String {
        guard let bytes = sqlite3_column_text(statement, column) else { return "" }
        let count = Int(sqlite3_column_bytes(statement, column))
        return String(decoding: UnsafeBufferPointer(start: bytes, count: count), as: UTF8.self)
    }

    package func optionalText(_ column: Int32) -> String? {
        sqlite3_column_type(statement, column) == SQLITE_NULL ? nil : text(column)
    }

    package func integer(_ column: Int32) -> Int64 { sqlite3_column_int64(statement, column) }

    package func optionalBlob(_ column: Int32) -> [UInt8]? {
        sqlite3_column_type(statement, column) == SQLITE_NULL ? nil : blob(column)
    }

    package func blob(_ column: Int32) -> [UInt8] {
        guard let bytes = sqlite3_column_blob(statement, column) else { return [] }
        return Array(UnsafeRawBufferPointer(start: bytes, count: Int(sqlite3_column_bytes(statement, column))))
    }
}

extension Database {
    /// Runs a statement and gives each of its rows to `row`.
    ///
    /// Statements are prepared once per connection. Inside `row`, the same statement may not be run again.
    package func query(
        _ sql: StaticString, _ values: [Value] = [], _ row: (Row) throws(StoreError) -> Void
    ) throws(StoreError) {
        let statement = try prepared(sql)
        // Resetting ends the read transaction and frees the bound values.
        defer {
            sqlite3_reset(statement)
            sqlite3_clear_bindings(statement)
        }
        try bind(values, to: statement)
        while true {
            switch sqlite3_step(statement) {
            case SQLITE_ROW: try row(Row(statement: statement))
            case SQLITE_DONE: return
            default: throw failure("query database")
            }
        }
    }

    /// Runs a statement without result; gives the number of rows changed.
    @discardableResult
    package func run(_ sql: StaticString, _ values: [Value] = []) throws(StoreError) -> Int {
        try query(sql, values) { _ in }
        return Int(sqlite3_changes(handle))
    }

    /// The first row's first value as text; nil without rows or for NULL.
    package func firstText(_ sql: StaticString, _ values: [Value] = []) throws(StoreError) -> String? {
        var result: String?
        try query(sql, values) { row in if result == nil { result = row.optionalText(0) } }
        return result
    }

    package func firstInteger(_ sql: StaticString, _ values: [Value] = []) throws(StoreError) -> Int64? {
        var result: Int64?
        try query(sql, values) { row in if result == nil { result = row.integer(0) } }
        return result
    }

    package func texts(_ sql: StaticString, _ values: [Value] = []) throws(StoreError) -> [String] {
        var result: [String] = []
        try query(sql, values) { row in result.append(row.text(0)) }
        return result
    }

    private func prepared(_ sql: StaticString) throws(StoreError) -> OpaquePointer {
        // A literal has one address for the life of the program.
        if let statement = statements[sql.utf8Start] { return statement }
        var statement: OpaquePointer?
        // SAFETY: utf8Start is valid for utf8CodeUnitCount bytes, and SQLite copies the text.
        let result = sqlite3_prepare_v3(
            handle, UnsafeRawPointer(sql.utf8Start).assumingMemoryBound(to: CChar.self), Int32(sql.utf8CodeUnitCount),
            UInt32(SQLITE_PREPARE_PERSISTENT), &statement, nil)
        guard result == SQLITE_OK, let statement else { throw failure("prepare statement") }
        statements[sql.utf8Start] = statement
        return statement
    }

    private func bind(_ values: [Value], to statement: OpaquePointer) throws(StoreError) {
        // SAFETY: SQLITE_TRANSIENT (-1) makes SQLite copy the bytes before the call returns.
        let transient = unsafeBitCast(-1, to: sqlite3_destructor_type.self)
        var index: Int32 = 0
        for value in values {
            index += 1
            let result: Int32
            switch value {
            case .integer(let number): result = sqlite3_bind_int64(statement, index, number)
            case .text(let text), .optionalText(.some(let text)):
                var copy = text
                result = copy.withUTF8 { bytes in
                    bytes.withMemoryRebound(to: CChar.self) { characters in
                        sqlite3_bind_text(statement, index, characters.baseAddress ?? emptyText, Int32(bytes.count), transient)
                    }
                }
            case .optionalText(.none), .optionalBlob(.none): result = sqlite3_bind_null(statement, index)
            case .blob(let bytes), .optionalBlob(.some(let bytes)):
                result = bytes.withUnsafeBytes { buffer in
                    buffer.isEmpty
                        ? sqlite3_bind_zeroblob(statement, index, 0)
                        : sqlite3_bind_blob64(statement, index, buffer.baseAddress, UInt64(buffer.count), transient)
                }
            }
            guard result == SQLITE_OK else { throw failure("bind value") }
        }
    }
}

/// A null pointer would bind NULL instead of an empty text.
// SAFETY: a literal's memory is never freed or changed.
private nonisolated(unsafe) let emptyText = UnsafeRawPointer(("" as StaticString).utf8Start).assumingMemoryBound(
    to: CChar.self)
