/// A place in a source text.
public struct SourcePosition: Sendable, Hashable, Comparable {
    /// From 1.
    public var line: Int
    /// From 1, in bytes of UTF-8.
    public var column: Int

    public init(line: Int, column: Int) {
        self.line = line
        self.column = column
    }

    public static func < (one: SourcePosition, other: SourcePosition) -> Bool {
        (one.line, one.column) < (other.line, other.column)
    }
}

/// What stands from one place up to another; `end` is the place behind the last byte.
public struct SourceRange: Sendable, Hashable {
    public var start: SourcePosition
    public var end: SourcePosition

    public init(_ start: SourcePosition, _ end: SourcePosition) {
        self.start = start
        self.end = max(start, end)
    }

    /// The lines that the range touches.
    public var lines: ClosedRange<Int> { start.line...max(start.line, end.line) }

    /// The smallest range with both in it.
    public func joined(_ other: SourceRange) -> SourceRange {
        SourceRange(min(start, other.start), max(end, other.end))
    }
}

/// A piece of text and where it stands.
public struct Word: Sendable, Hashable, CustomStringConvertible {
    /// What is meant: without continuations, and where it says so without quotes.
    public var text: String
    public var range: SourceRange

    public init(_ text: String, _ range: SourceRange) {
        self.text = text
        self.range = range
    }

    /// Another text at the same place, such as this one with its variables replaced.
    public func with(_ text: String) -> Word { Word(text, range) }

    public var description: String { text }
}

/// The bytes of a Dockerfile and their lines.
public struct SourceText: Sendable, Hashable {
    /// As messages call it: `Dockerfile`.
    public var name: String
    /// Without a byte order mark.
    public let bytes: [UInt8]
    /// Where each line begins; the last one may be empty, as behind a final newline.
    let starts: [Int]

    /// - Parameter bytes: as they stand in the file; a byte order mark is dropped.
    public init(name: String = "Dockerfile", bytes: [UInt8]) {
        self.name = name
        self.bytes = bytes.starts(with: [0xEF, 0xBB, 0xBF]) ? Array(bytes.dropFirst(3)) : bytes
        var starts = [0]
        starts.reserveCapacity(self.bytes.count / 24 + 1)
        for (index, byte) in self.bytes.enumerated() where byte == Byte.newline { starts.append(index + 1) }
        self.starts = starts
    }

    public init(name: String = "Dockerfile", _ text: String) { self.init(name: name, bytes: Array(text.utf8)) }

    /// How many lines there are, with the empty one behind a final newline.
    public var lineCount: Int { starts.count }

    /// The bytes of a line without its newline, but with a carriage return before it.
    /// - Parameter number: from 1; nothing for others.
    func line(_ number: Int) -> ArraySlice<UInt8> {
        guard number >= 1, number <= starts.count else { return [] }
        let end = number < starts.count ? starts[number] - 1 : bytes.count
        return bytes[starts[number - 1]..<end]
    }

    /// The same with the newline.
    func lineWithEnd(_ number: Int) -> ArraySlice<UInt8> {
        guard number >= 1, number <= starts.count else { return [] }
        return bytes[starts[number - 1]..<(number < starts.count ? starts[number] : bytes.count)]
    }

    /// How many lines hold bytes: the empty one behind the last newline does not.
    var writtenLines: Int { starts.last == bytes.count ? starts.count - 1 : starts.count }

    /// The whole of some lines.
    public func range(ofLines lines: ClosedRange<Int>) -> SourceRange {
        SourceRange(
            SourcePosition(line: lines.lowerBound, column: 1),
            SourcePosition(line: lines.upperBound, column: line(lines.upperBound).count + 1))
    }
}
