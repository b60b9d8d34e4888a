/// What a token is asked for: `repository:library/alpine:pull,push`.
///
/// Spec: distribution's token scope documentation.
struct Scope: Sendable, Hashable {
    var resource: String
    var actions: [String]

    static func repository(_ path: String, _ actions: [String]) -> Scope {
        Scope(resource: "repository:" + path, actions: actions)
    }

    init(resource: String, actions: [String]) {
        self.resource = resource
        self.actions = actions
    }

    /// Reads the scopes of a challenge: words of `type:name:actions`.
    static func parse(_ text: String) -> [Scope] {
        text.split(separator: " ").prefix(8).compactMap { word in
            guard let colon = word.lastIndex(of: ":"), colon != word.startIndex else { return nil }
            let actions = word[word.index(after: colon)...].split(separator: ",").map(String.init)
            return Scope(resource: String(word[..<colon]), actions: actions)
        }
    }

    /// Both lists, with one scope for each resource.
    static func union(_ left: [Scope], _ right: [Scope]) -> [Scope] {
        var out = left
        for scope in right {
            if let index = out.firstIndex(where: { $0.resource == scope.resource }) {
                for action in scope.actions where !out[index].actions.contains(action) { out[index].actions.append(action) }
            } else {
                out.append(scope)
            }
        }
        return out
    }

    var text: String { resource + ":" + actions.joined(separator: ",") }
}
