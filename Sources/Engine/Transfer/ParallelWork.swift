import Archive

/// Items that a few threads take from one queue, in order.
///
/// The first failure is kept; items whose work has not begun are dropped then, and those that run are asked to stop.
final class ParallelWork<Item> {
    private let monitor = Monitor()
    private var next = 0
    private var failure: EngineError?
    private let items: [Item]
    private let cancellation: Cancellation
    private let body: (Item) throws(EngineError) -> Void

    private init(
        _ items: [Item], _ cancellation: Cancellation, _ body: @escaping (Item) throws(EngineError) -> Void
    ) {
        self.items = items
        self.cancellation = cancellation
        self.body = body
    }

    /// Works on all items and returns when nothing runs any more.
    ///
    /// - Parameters:
    ///   - cancellation: what the work looks at; requested at the first failure.
    ///   - body: called for several items at once.
    static func run(
        _ items: [Item], threads: Int, _ cancellation: Cancellation, _ body: @escaping (Item) throws(EngineError) -> Void
    ) throws(EngineError) {
        let work = ParallelWork(items, cancellation, body)
        var workers: [Worker] = []
        for _ in 0..<max(0, min(threads, items.count) - 1) {
            // With fewer threads it only takes longer.
            guard let worker = try? Worker({ work.drain() }) else { break }
            workers.append(worker)
        }
        work.drain()
        for worker in workers { worker.join() }
        if let failure = work.failure { throw failure }
    }

    private func drain() {
        while let item = take() {
            do throws(EngineError) {
                try body(item)
            } catch {
                monitor.lock()
                // What others say after that is only that they were stopped.
                if failure == nil { failure = error }
                monitor.unlock()
                cancellation.cancel()
            }
        }
    }

    private func take() -> Item? {
        monitor.lock()
        defer { monitor.unlock() }
        guard failure == nil, next < items.count else { return nil }
        next += 1
        return items[next - 1]
    }
}
