import Linux

/// Ids and names for new containers.
public enum ContainerNames {
    /// 64 random hexadecimal digits, never all decimal (an id must not look like a number to tools).
    public static func identifier() -> String {
        while true {
            let id = hexadecimal(randomBytes(32))
            if id.utf8.prefix(12).contains(where: { $0 > 0x39 }) { return id }
        }
    }

    /// `adjective_surname`; from the second try on with a number, so that it always finds a free one.
    public static func generate(attempt: Int = 0) -> String {
        let random = randomBytes(5)
        let adjective = adjectives[(Int(random[0]) << 8 | Int(random[1])) % adjectives.count]
        let surname = surnames[(Int(random[2]) << 8 | Int(random[3])) % surnames.count]
        let name = "\(adjective)_\(surname)"
        return attempt == 0 ? name : "\(name)\(attempt > 3 ? Int(random[4]) * 1000 + attempt : Int(random[4] % 10))"
    }

    /// - Throws: Docker's sentence for a name that breaks the grammar.
    public static func check(_ name: String) throws(EngineError) {
        if ObjectName.isValid(name) { return }
        throw .invalid("Invalid container name (\(name)), only [a-zA-Z0-9][a-zA-Z0-9_.-] are allowed")
    }

    /// Words of the sea and of harbours, as a berth has them about it.
    static let adjectives = [
        "abeam", "able", "afloat", "agile", "amber", "anchored", "ardent", "aware", "azure", "balmy", "bold", "brave",
        "breezy", "briny", "brisk", "buoyant", "calm", "candid", "careful", "cheerful", "civil", "clear", "coastal",
        "copper",
        "coral", "crisp", "curious", "daring", "deep", "deft", "drifting", "eager", "early", "earnest", "easy", "even",
        "faithful", "fair", "fearless", "fluent", "fond", "frank", "free", "fresh", "gentle", "gliding", "golden",
        "grand",
        "hardy", "hearty", "honest", "humble", "idle", "jaunty", "jolly", "keen", "kind", "leeward", "level", "light",
        "limber", "lively", "loyal", "lucid", "lunar", "marine", "mellow", "merry", "mild", "mindful", "misty",
        "modest",
        "moored", "nautical", "nimble", "noble", "northern", "open", "patient", "pearly", "placid", "plucky", "polite",
        "prompt", "proud", "quick", "quiet", "rapid", "ready", "rested", "rolling", "salty", "sandy", "seaworthy",
        "serene",
        "sharp", "silver", "sincere", "snug", "sober", "solid", "sound", "southern", "spry", "stable", "steady",
        "still",
        "stout", "sturdy", "sunny", "swift", "tender", "tidal", "tidy", "tranquil", "trim", "trusty", "upbeat",
        "valiant",
        "vivid", "warm", "watchful", "western", "windward", "wise", "witty", "zesty",
    ]

    /// People of navigation, computing, mathematics and the sciences.
    static let surnames = [
        "abel", "agnesi", "alhazen", "amundsen", "anning", "apgar", "arago", "babbage", "banks", "barents", "bartik",
        "beaufort", "bell", "bernoulli", "boole", "borg", "boyle", "brahe", "bromwich", "burnell", "cannon", "carson",
        "cartwright", "cauchy", "celsius", "clarke", "colossus", "conway", "cook", "cousteau", "curie", "dalton",
        "davy",
        "deacon", "descartes", "dijkstra", "dirac", "earhart", "earle", "easley", "engelbart", "erdos", "euclid",
        "euler",
        "faraday", "fermat", "fermi", "feynman", "fisher", "flemming", "floyd", "foucault", "fourier", "franklin",
        "galileo",
        "galois", "gama", "gauss", "germain", "godel", "goeppert", "halley", "hamilton", "harrison", "heezen", "henson",
        "herschel", "hilbert", "hoare", "hodgkin", "hooke", "hopper", "hubble", "hudson", "humboldt", "huygens",
        "hypatia",
        "jansky", "johnson", "joule", "kelvin", "kepler", "kowalevski", "lagrange", "lamarr", "lamport", "laplace",
        "leavitt", "leibniz", "liskov", "lovelace", "magellan", "maury", "maxwell", "mccarthy", "mcnulty", "meitner",
        "mendel", "mercator", "mirzakhani", "nansen", "napier", "newton", "nightingale", "noether", "noyce", "ohm",
        "pascal", "pasteur", "payne", "perlman", "picard", "poincare", "ptolemy", "ramanujan", "ritchie", "robinson",
        "rubin", "sagan", "shackleton", "shannon", "sinoussi", "slocum", "snyder", "somerville", "sutherland",
        "tereshkova",
        "tesla", "tharp", "thompson", "torvalds", "turing", "vaughan", "volta", "wallace", "wilkes", "wing", "wright",
        "yonath", "zuse",
    ]
}
