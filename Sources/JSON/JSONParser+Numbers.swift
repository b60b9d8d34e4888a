/// A number token.
struct JSONNumberSpan {
    var start: Int
    var end: Int
    /// Whether it has neither fraction nor exponent.
    var isPlainInteger: Bool
}

/// An integer of any sign that fits 64 bits.
@usableFromInline
struct JSONInteger {
    @usableFromInline var isNegative: Bool
    @usableFromInline var magnitude: UInt64

    /// The value in `T`, or nil when it does not fit.
    @inlinable
    func value<T: FixedWidthInteger>(_ type: T.Type) -> T? {
        guard isNegative, magnitude > 0 else { return T(exactly: magnitude) }
        // -2⁶³ has no positive counterpart: step through -(magnitude - 1) - 1.
        guard magnitude <= UInt64(Int64.max) + 1 else { return nil }
        return T(exactly: -Int64(magnitude - 1) - 1)
    }
}

extension JSONParser {
    /// Reads an integer into any integer type.
    ///
    /// `1.0` and `1e3` are integers too; `1.5` is not.
    /// - Throws: `.outOfRange` when it does not fit; `.typeMismatch` when it is no number or has a fraction.
    @inlinable
    public mutating func int<T: FixedWidthInteger>(_ type: T.Type = T.self) throws(JSONError) -> T {
        let integer = try integer()
        guard let value = integer.value(type) else { throw numberOutOfRange() }
        return value
    }

    /// Reads a number as a double.
    ///
    /// - Throws: `.outOfRange` when it would be infinite (`1e400`); `.typeMismatch` when it is no number.
    public mutating func double() throws(JSONError) -> Double {
        let span = try scanNumber()
        return try double(span)
    }

    @usableFromInline
    func numberOutOfRange() -> JSONError { failure(.outOfRange, "number out of range") }

    @usableFromInline
    mutating func integer() throws(JSONError) -> JSONInteger {
        let span = try scanNumber()
        return try integer(span)
    }

    func double(_ span: JSONNumberSpan) throws(JSONError) -> Double {
        // SAFETY: the span was just read from these bytes, all of it ASCII.
        let text = String(decoding: UnsafeRawBufferPointer(rebasing: bytes[span.start..<span.end]), as: UTF8.self)
        guard let value = Double(text), value.isFinite else { throw numberOutOfRange() }
        return value
    }

    func integer(_ span: JSONNumberSpan) throws(JSONError) -> JSONInteger {
        guard span.isPlainInteger else { return try scaledInteger(span) }
        var index = span.start
        let isNegative = bytes[index] == UInt8(ascii: "-")
        if isNegative { index += 1 }
        var magnitude: UInt64 = 0
        while index < span.end {
            guard append(bytes[index], to: &magnitude) else { throw numberOutOfRange() }
            index += 1
        }
        return JSONInteger(isNegative: isNegative, magnitude: magnitude)
    }

    /// Consumes a number token: `-?(0|[1-9][0-9]*)(\.[0-9]+)?([eE][+-]?[0-9]+)?`.
    mutating func scanNumber() throws(JSONError) -> JSONNumberSpan {
        let first = try peek()
        let start = position
        if first == UInt8(ascii: "-") { position += 1 }
        let digits = position
        skipDigits()
        guard position > digits else {
            if position > start { throw failure(.syntax, "a number without digits") }
            throw mismatch("a number", first)
        }
        guard bytes[digits] != UInt8(ascii: "0") || position == digits + 1 else {
            throw failure(.syntax, "a number with a leading zero")
        }
        var isPlain = true
        if position < bytes.count, bytes[position] == UInt8(ascii: ".") {
            isPlain = false
            position += 1
            try requireDigits()
        }
        if position < bytes.count, bytes[position] | 0x20 == UInt8(ascii: "e") {
            isPlain = false
            position += 1
            if position < bytes.count, bytes[position] == UInt8(ascii: "+") || bytes[position] == UInt8(ascii: "-") {
                position += 1
            }
            try requireDigits()
        }
        return JSONNumberSpan(start: start, end: position, isPlainInteger: isPlain)
    }

    private mutating func requireDigits() throws(JSONError) {
        let start = position
        skipDigits()
        guard position > start else { throw failure(.syntax, "a number without digits") }
    }

    @inline(__always)
    private mutating func skipDigits() {
        while position < bytes.count, bytes[position] >= UInt8(ascii: "0"), bytes[position] <= UInt8(ascii: "9") {
            position += 1
        }
    }

    @inline(__always)
    private func append(_ digit: UInt8, to magnitude: inout UInt64) -> Bool {
        let (product, overflowed) = magnitude.multipliedReportingOverflow(by: 10)
        let (sum, carried) = product.addingReportingOverflow(UInt64(digit - UInt8(ascii: "0")))
        magnitude = sum
        return !overflowed && !carried
    }

    /// The integer that a token with a fraction or an exponent stands for, in exact decimal arithmetic.
    private func scaledInteger(_ span: JSONNumberSpan) throws(JSONError) -> JSONInteger {
        var index = span.start
        let isNegative = bytes[index] == UInt8(ascii: "-")
        if isNegative { index += 1 }
        var magnitude: UInt64 = 0
        // Zeros at the end are held back: they belong to the scale, so that 1.000 and 10e-1 stay integral.
        var heldZeros = 0
        var scale = 0
        var inFraction = false
        while index < span.end, bytes[index] | 0x20 != UInt8(ascii: "e") {
            let byte = bytes[index]
            index += 1
            if byte == UInt8(ascii: ".") {
                inFraction = true
                continue
            }
            if inFraction { scale -= 1 }
            if byte == UInt8(ascii: "0") {
                if magnitude > 0 { heldZeros += 1 }
                continue
            }
            guard multiply(&magnitude, byPowerOfTen: heldZeros), append(byte, to: &magnitude) else {
                throw numberOutOfRange()
            }
            heldZeros = 0
        }
        guard magnitude > 0 else { return JSONInteger(isNegative: isNegative, magnitude: 0) }
        scale += heldZeros + exponent(from: index, to: span.end)
        guard scale >= 0 else { throw failure(.typeMismatch, "expected an integer, found a fraction") }
        guard multiply(&magnitude, byPowerOfTen: scale) else { throw numberOutOfRange() }
        return JSONInteger(isNegative: isNegative, magnitude: magnitude)
    }

    private func multiply(_ magnitude: inout UInt64, byPowerOfTen power: Int) -> Bool {
        if power == 0 || magnitude == 0 { return true }
        guard power < 20 else { return false }
        for _ in 0..<power {
            let (product, overflowed) = magnitude.multipliedReportingOverflow(by: 10)
            if overflowed { return false }
            magnitude = product
        }
        return true
    }

    /// The exponent that starts with an `e` at `start`, 0 without one. Held within ±2⁴⁰, far outside of what can matter.
    private func exponent(from start: Int, to end: Int) -> Int {
        var index = start + 1
        guard index < end else { return 0 }
        let isNegative = bytes[index] == UInt8(ascii: "-")
        if isNegative || bytes[index] == UInt8(ascii: "+") { index += 1 }
        var value = 0
        while index < end {
            value = min(value * 10 + Int(bytes[index] - UInt8(ascii: "0")), 1 << 40)
            index += 1
        }
        return isNegative ? -value : value
    }
}
