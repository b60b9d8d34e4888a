/// Go's durations, for flags whose values may be something else as well.
public enum DurationText {
    /// Nanoseconds of `1h30m`; nil where it is none.
    public static func nanoseconds(_ text: String) -> Int64? { try? GoSyntax.duration(text) }

    /// Go's sentence about what is none; nil where it is one.
    public static func refusal(_ text: String) -> String? {
        do throws(InvalidValue) {
            _ = try GoSyntax.duration(text)
            return nil
        } catch {
            return error.sentence
        }
    }
}
