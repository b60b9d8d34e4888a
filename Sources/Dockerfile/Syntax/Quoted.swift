import Flags

/// Text as Go's `%q` writes it, which most of BuildKit's sentences do.
enum Quoted {
    static func text(_ text: String) -> String { GoSyntax.quoted(text) }

    /// The same, cut short: a hostile word must not fill the screen.
    static func short(_ text: String) -> String {
        text.utf8.count <= 512 ? self.text(text) : self.text(text.utf8.prefix(512).text + "...")
    }
}
