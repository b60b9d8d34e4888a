import Control

/// `--filter` of `events`, by Docker's rules: several values of a key are alternatives, except of labels; all keys have to hold.
public struct EventFilter: Sendable {
    private var values: [String: [String]] = [:]

    /// Keys that compare an object's id or name, each for the events of its own type.
    private static let objects = [
        "container", "daemon", "network", "node", "plugin", "pod", "secret", "service", "volume", "config", "artifact",
    ]
    private static let keys = Set(objects + ["event", "image", "label", "scope", "type"])
    /// Actions with something after a colon: they match by their beginning.
    private static let prefixes: Set<String> = ["health_status", "exec_create", "exec_start"]
    /// Podman's words for Docker's actions.
    private static let actions: [String: [String]] = [
        "died": ["die"], "exec_died": ["exec_die"], "exec": ["exec_start"], "remove": ["destroy", "delete"],
    ]

    public init() {}

    /// - Throws: `.invalid` for a key that does not exist.
    public init(_ pairs: [(key: String, value: String)]) throws(EngineError) {
        for (key, value) in pairs {
            guard EventFilter.keys.contains(key) else { throw .invalid("invalid filter '\(key)'") }
            values[key, default: []].append(value)
        }
        for value in values["event"] ?? [] { values["event"]? += EventFilter.actions[value] ?? [] }
    }

    public func admits(_ event: Event) -> Bool {
        if values.isEmpty { return true }
        return admits(action: event.action) && isOne(of: "type", event.type) && isOne(of: "scope", "local")
            && EventFilter.objects.allSatisfy { names($0, event) } && admitsImage(event)
            && (values["label"] ?? []).allSatisfy { EventFilter.has($0, event.attributes) }
    }

    private func isOne(of key: String, _ text: String) -> Bool { values[key]?.contains(text) ?? true }

    private func admits(action: String) -> Bool {
        guard let wanted = values["event"] else { return true }
        if wanted.contains(action) { return true }
        // As soon as one of these is asked for, all are compared so (moby 25798).
        return wanted.contains(where: EventFilter.prefixes.contains) && wanted.contains { action.hasPrefix($0) }
    }

    /// Docker compares with the object's id and with the attribute `name`, by their beginning, whatever the event's type is; that of
    /// a network is no container's.
    private func names(_ key: String, _ event: Event) -> Bool {
        guard let wanted = values[key] else { return true }
        return wanted.contains { event.actor.hasPrefix($0) || (event.attributes["name"] ?? "").hasPrefix($0) }
    }

    /// Events of an image, and of containers made from it; with or without the tag.
    private func admitsImage(_ event: Event) -> Bool {
        guard let wanted = values["image"] else { return true }
        let name = event.attributes[event.type == "image" ? "name" : "image"] ?? ""
        return [event.actor, name, EventFilter.withoutTag(event.actor), EventFilter.withoutTag(name)].contains(where: wanted.contains)
    }

    private static func withoutTag(_ name: String) -> String {
        guard let colon = name.lastIndex(of: ":"), !name[colon...].contains("/") else { return name }
        return String(name[..<colon])
    }

    private static func has(_ label: String, _ attributes: [String: String]) -> Bool {
        guard let mark = label.firstIndex(of: "=") else { return attributes[label] != nil }
        return attributes[String(label[..<mark])] == String(label[label.index(after: mark)...])
    }
}
