import AsyncHTTPClient
import NIOCore
import NIOHTTP1
import NIOSSL
public func registryProbe(_ url: String) -> String {
    let client = HTTPClient(eventLoopGroupProvider: .singleton)
    defer { try? client.syncShutdown() }
    return (try? client.get(url: url).wait()).map { "\($0.status)" } ?? "failed"
}
