import CYaml

/// One event of a YAML stream.
struct YAMLEvent {
    enum Kind {
        case documentStart, documentEnd, streamEnd
        case alias(String)
        /// - isPlain: without quotes and tag, so that its type is found from its text.
        case scalar(text: String, isPlain: Bool)
        case sequenceStart, sequenceEnd
        case mappingStart, mappingEnd
        /// The stream's start, and what a newer library may add.
        case other
    }

    var kind: Kind
    /// From 1.
    var line: Int
    var column: Int
    /// Empty for none.
    var anchor = ""
    var tag = ""
    /// A scalar in quotes, or a block of text.
    var isQuoted = false
}

/// The events of a text, by libyaml's parser, which recurses nowhere and keeps no tree.
struct YAMLEvents: ~Copyable {
    // SAFETY: allocated and initialized by `init`, deleted and deallocated by `deinit`, never handed out. It points into the bytes
    // that `init` was given, which outlive it: `YAMLComposer.documents` makes and drops it inside of `withUnsafeBufferPointer`.
    private let parser: UnsafeMutablePointer<yaml_parser_t>

    /// - Parameter bytes: not empty; they must stay where they are.
    /// - Throws: `.tooLarge` without memory.
    init(_ bytes: UnsafeBufferPointer<UInt8>) throws(YAMLError) {
        let parser = UnsafeMutablePointer<yaml_parser_t>.allocate(capacity: 1)
        guard yaml_parser_initialize(parser) == 1, let start = bytes.baseAddress else {
            parser.deallocate()
            throw YAMLError(.tooLarge, cause: "out of memory")
        }
        yaml_parser_set_input_string(parser, start, bytes.count)
        self.parser = parser
    }

    deinit {
        yaml_parser_delete(parser)
        parser.deallocate()
    }

    /// Reads the next event. After `streamEnd` there is none.
    ///
    /// - Throws: `.syntax` with libyaml's reason. C function: `yaml_parser_parse`.
    mutating func next() throws(YAMLError) -> YAMLEvent {
        var raw = yaml_event_t()
        guard yaml_parser_parse(parser, &raw) == 1 else { throw failure() }
        // SAFETY: texts are copied below, before the event and what it points to is given back.
        defer { yaml_event_delete(&raw) }
        var event = YAMLEvent(kind: .other, line: Self.counted(raw.start_mark.line), column: Self.counted(raw.start_mark.column))
        switch raw.type {
        case YAML_DOCUMENT_START_EVENT: event.kind = .documentStart
        case YAML_DOCUMENT_END_EVENT: event.kind = .documentEnd
        case YAML_STREAM_END_EVENT: event.kind = .streamEnd
        case YAML_ALIAS_EVENT: event.kind = .alias(Self.text(raw.data.alias.anchor))
        case YAML_SCALAR_EVENT:
            let scalar = raw.data.scalar
            let bytes = UnsafeBufferPointer(start: UnsafePointer(scalar.value), count: scalar.length)
            event.anchor = Self.text(scalar.anchor)
            event.tag = Self.text(scalar.tag)
            event.isQuoted = scalar.style != YAML_PLAIN_SCALAR_STYLE
            let isPlain = !event.isQuoted && scalar.plain_implicit != 0
            event.kind = .scalar(text: String(decoding: bytes, as: UTF8.self), isPlain: isPlain)
        case YAML_SEQUENCE_START_EVENT:
            event.anchor = Self.text(raw.data.sequence_start.anchor)
            event.tag = Self.text(raw.data.sequence_start.tag)
            event.kind = .sequenceStart
        case YAML_SEQUENCE_END_EVENT: event.kind = .sequenceEnd
        case YAML_MAPPING_START_EVENT:
            event.anchor = Self.text(raw.data.mapping_start.anchor)
            event.tag = Self.text(raw.data.mapping_start.tag)
            event.kind = .mappingStart
        case YAML_MAPPING_END_EVENT: event.kind = .mappingEnd
        default: break
        }
        return event
    }

    private func failure() -> YAMLError {
        let problem = parser.pointee.problem.map { String(cString: $0) } ?? "no YAML"
        switch parser.pointee.error {
        case YAML_MEMORY_ERROR: return YAMLError(.tooLarge, cause: "out of memory")
        case YAML_READER_ERROR:
            // Bytes that are no text: the mark is where the reader stood, the value what it found.
            return YAMLError(
                .syntax, cause: problem, line: Self.counted(parser.pointee.mark.line), column: Self.counted(parser.pointee.mark.column))
        default:
            let mark = parser.pointee.problem_mark
            return YAMLError(.syntax, cause: problem, line: Self.counted(mark.line), column: Self.counted(mark.column))
        }
    }

    /// libyaml counts from 0.
    private static func counted(_ place: Int) -> Int { place < Int.max ? place + 1 : place }

    private static func text(_ name: UnsafeMutablePointer<yaml_char_t>?) -> String {
        name.map { String(cString: $0) } ?? ""
    }
}
