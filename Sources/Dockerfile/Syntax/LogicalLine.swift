/// An instruction's line with its continuations joined, and where each piece of it came from.
struct LogicalLine {
    private(set) var bytes: [UInt8] = []
    /// From which offset on which line and column hold; the offsets grow.
    private var segments: [(offset: Int, line: Int, column: Int)] = []
    /// The last line that belongs to it.
    var lastLine: Int

    init(firstLine: Int) { lastLine = firstLine }

    /// - Parameter column: of the first of the bytes, from 1.
    mutating func append(_ piece: ArraySlice<UInt8>, line: Int, column: Int) {
        segments.append((bytes.count, line, column))
        bytes.append(contentsOf: piece)
        lastLine = line
    }

    func position(_ offset: Int) -> SourcePosition {
        // Most instructions have one segment.
        var (low, high) = (0, segments.count)
        while low + 1 < high {
            let middle = (low + high) / 2
            if segments[middle].offset <= offset { low = middle } else { high = middle }
        }
        guard low < segments.count else { return SourcePosition(line: lastLine, column: 1) }
        let segment = segments[low]
        return SourcePosition(line: segment.line, column: segment.column + offset - segment.offset)
    }

    /// Where a piece stands. The end is that of its last byte: a piece that ends a line does not reach into the next.
    func range(_ piece: Range<Int>) -> SourceRange {
        let start = position(piece.lowerBound)
        guard !piece.isEmpty else { return SourceRange(start, start) }
        var end = position(piece.upperBound - 1)
        end.column += 1
        return SourceRange(start, end)
    }

    func word(_ piece: Range<Int>) -> Word { Word(bytes[piece].text, range(piece)) }
}
