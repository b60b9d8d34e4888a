import Glibc
import Linux

/// What the environment variable BERTH_FUZZ_TARGET names, and a place for files.
// SAFETY: set once by LLVMFuzzerInitialize, before the first input; libFuzzer calls from one thread.
nonisolated(unsafe) private var target = FuzzTarget.tar
nonisolated(unsafe) private var place: FuzzPlace?

@_cdecl("LLVMFuzzerInitialize")
public func initialize(_ count: UnsafeMutablePointer<CInt>, _ words: UnsafeMutableRawPointer) -> CInt {
    let names = FuzzTarget.allCases.map(\.rawValue).joined(separator: " ")
    guard let name = environmentVariable("BERTH_FUZZ_TARGET"), let found = FuzzTarget(rawValue: name) else {
        fatalError("BERTH_FUZZ_TARGET is one of: \(names)")
    }
    target = found
    place = try? FuzzPlace()
    atexit { place?.remove() }
    return 0
}

@_cdecl("LLVMFuzzerTestOneInput")
public func testOneInput(_ start: UnsafeRawPointer?, _ count: Int) -> CInt {
    guard let place else { fatalError("no place in /tmp") }
    do throws(FuzzFailure) {
        try target.run(Array(UnsafeRawBufferPointer(start: start, count: count)), in: place)
    } catch { fatalError("\(target.rawValue): \(error)") }
    return 0
}

@_silgen_name("LLVMFuzzerRunDriver")
private func runDriver(
    _ count: UnsafeMutablePointer<CInt>, _ words: UnsafeMutablePointer<UnsafeMutableRawPointer?>,
    _ body: @convention(c) (UnsafeRawPointer?, Int) -> CInt
) -> CInt

/// What SwiftPM has the linker call `main`; libFuzzer's own would be left out for it.
@_cdecl("Fuzz_main")
public func main(_ count: CInt, _ words: UnsafeMutableRawPointer) -> CInt {
    var count = count
    var words: UnsafeMutableRawPointer? = words
    return runDriver(&count, &words, testOneInput)
}
