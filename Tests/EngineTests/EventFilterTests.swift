import Control
import Testing

@testable import Engine

/// Docker's rules, one row each.
@Suite struct EventFilterTests {
    let container = Event.container(
        "exec_start: sh -c true", id: "abc123", name: "web", image: "docker.io/x/busybox:1.36", labels: ["a": "1", "b": ""])
    let image = Event("image", "pull", actor: "busybox:latest", ["name": "busybox"])
    let network = Event("network", "connect", actor: "net1", ["name": "front", "container": "abc123"])
    let volume = Event("volume", "mount", actor: "data", ["container": "abc123"])

    func admitted(_ filters: String...) throws -> [String] {
        let pairs = filters.map { text -> (key: String, value: String) in
            let mark = text.firstIndex(of: "=") ?? text.endIndex
            return (String(text[..<mark]), String(text[mark...].dropFirst()))
        }
        let filter = try EventFilter(pairs)
        return [container, image, network, volume].filter(filter.admits).map(\.type)
    }

    @Test func everythingWithoutAFilter() throws { #expect(try admitted() == ["container", "image", "network", "volume"]) }

    @Test func types() throws {
        #expect(try admitted("type=image") == ["image"])
        #expect(try admitted("type=image", "type=volume") == ["image", "volume"])
        #expect(try admitted("type=image", "event=mount") == [])
    }

    @Test func actions() throws {
        #expect(try admitted("event=pull") == ["image"])
        #expect(try admitted("event=exec_start") == ["container"])
        #expect(try admitted("event=exec_start: sh -c true") == ["container"])
        #expect(try admitted("event=exec") == ["container"])
        #expect(try admitted("event=pul") == [])
        #expect(try admitted("event=died") == [])
    }

    @Test func podmansWords() throws {
        let filter = try EventFilter([("event", "died"), ("event", "remove")])
        #expect(filter.admits(Event("container", "die", actor: "c")))
        #expect(filter.admits(Event("container", "destroy", actor: "c")) && filter.admits(Event("image", "delete", actor: "i")))
        #expect(!filter.admits(Event("container", "stop", actor: "c")))
    }

    @Test func objects() throws {
        #expect(try admitted("container=web") == ["container"])
        #expect(try admitted("container=abc") == ["container"])
        #expect(try admitted("network=fro") == ["network"])
        #expect(try admitted("volume=data") == ["volume"])
        #expect(try admitted("container=other") == [])
    }

    @Test func images() throws {
        #expect(try admitted("image=busybox") == ["image"])
        #expect(try admitted("image=busybox:latest") == ["image"])
        #expect(try admitted("image=docker.io/x/busybox") == ["container"])
        #expect(try admitted("image=docker.io/x/busybox:1.36") == ["container"])
        #expect(try admitted("image=busy") == [])
    }

    @Test func labels() throws {
        #expect(try admitted("label=a") == ["container"])
        #expect(try admitted("label=a=1", "label=b") == ["container"])
        #expect(try admitted("label=a=2") == [])
        #expect(try admitted("label=a=1", "label=c") == [])
    }

    @Test func unknownKeys() {
        #expect(throws: EngineError.self) { try EventFilter([("colour", "red")]) }
    }
}
