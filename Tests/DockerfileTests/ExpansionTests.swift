import Testing

@testable import Dockerfile

@Suite struct ExpansionTests {
    private let variables = BuildEnvironment(list: ["v=value", "path=/usr/local/bin", "empty=", "a=1", "ü=2", "f=a.tar.gz", "q=x y"])

    private func expand(_ word: String) throws -> String { try WordExpander().expand(word, in: variables).text }

    private func refusal(_ word: String) -> String? {
        do throws(ExpansionError) {
            _ = try WordExpander().expand(word, in: variables)
            return nil
        } catch { return error.message }
    }

    @Test(arguments: [
        ("$v", "value"), ("${v}", "value"), ("x${v}y", "xvaluey"), ("$v.$v", "value.value"), ("$vx", ""), ("${none}", ""), ("$", "$"),
        ("a$", "a$"), ("$/", "$/"), ("$1a", "a"), ("$$v", "v"), ("${ü}", "2"), ("$ü", "2"), ("$v-$a", "value-1"),
    ])
    func plain(word: String, result: String) throws { #expect(try expand(word) == result) }

    @Test(arguments: [
        ("${v:-w}", "value"), ("${empty:-w}", "w"), ("${none:-w}", "w"), ("${v-w}", "value"), ("${empty-w}", ""), ("${none-w}", "w"),
        ("${none:-}", ""), ("${none:-${v}}", "value"), ("${none:-${other:-$a}}", "1"), ("${none:-a b}", "a b"), ("${none:-'}'}", "}"),
    ])
    func defaults(word: String, result: String) throws { #expect(try expand(word) == result) }

    @Test(arguments: [
        ("${v:+w}", "w"), ("${empty:+w}", ""), ("${none:+w}", ""), ("${v+w}", "w"), ("${empty+w}", "w"), ("${none+w}", ""),
        ("${v:+$v/}x", "value/x"),
    ])
    func alternatives(word: String, result: String) throws { #expect(try expand(word) == result) }

    @Test(arguments: [
        ("${v:?no}", nil), ("${empty:?no}", "empty: no"), ("${none:?no}", "none: no"), ("${empty?no}", nil), ("${none?no}", "none: no"),
        ("${none?}", "none: is not allowed to be unset"), ("${empty:?}", "empty: is not allowed to be empty"),
        ("${none:?$v}", "none: value"),
    ])
    func errors(word: String, message: String?) {
        #expect(refusal(word) == message.map { "failed to process \"\(word)\": \($0)" })
    }

    @Test(arguments: [
        ("${path#/*}", "usr/local/bin"), ("${path##*/}", "bin"), ("${path%/*}", "/usr/local"), ("${path%%/*}", ""), ("${f%.*}", "a.tar"),
        ("${f%%.*}", "a"), ("${f#*.}", "tar.gz"), ("${f##*.}", "gz"), ("${f#x}", "a.tar.gz"), ("${f#?.}", "tar.gz"), ("${f%.g?}", "a.tar"),
        ("${f#a\\*}", "a.tar.gz"), ("${none#x}", ""), ("${f#}", "a.tar.gz"), ("${f%z}", "a.tar.g"), ("${v#$v}", ""), ("${v##*}", ""),
    ])
    func trimming(word: String, result: String) throws { #expect(try expand(word) == result) }

    @Test(arguments: [
        ("${f/a/b}", "b.tar.gz"), ("${f//a/b}", "b.tbr.gz"), ("${f/./-}", "a-tar.gz"), ("${f//./-}", "a-tar-gz"), ("${f/.*/}", "a"),
        ("${path//\\//-}", "-usr-local-bin"), ("${f/x/y}", "a.tar.gz"), ("${none/x/y}", ""), ("${v/?/X}", "Xalue"), ("${v//?/X}", "XXXXX"),
        ("${v/$v/w}", "w"), ("${v//[ae]/X}", "value"), ("${f//*/x}", "x"), ("${a///-}", "-1-"),
    ])
    func replacing(word: String, result: String) throws { #expect(try expand(word) == result) }

    @Test(arguments: [
        ("'$v'", "$v"), ("\"$v\"", "value"), ("\\$v", "$v"), ("\"\\$v\"", "$v"), ("\"a\\b\"", "a\\b"), ("\"a\\\"b\"", "a\"b"),
        ("a\\b", "ab"),
        ("\"'$v'\"", "'value'"), ("'\"$v\"'", "\"$v\""), ("a\\", "a"), ("'a'\"b\"c", "abc"), ("\\\\$v", "\\value"),
        ("\"\\\\$v\"", "\\value"),
    ])
    func quotesAndEscapes(word: String, result: String) throws { #expect(try expand(word) == result) }

    @Test func theBacktickEscapesWhereItIsTheEscape() throws {
        let expander = WordExpander(escape: "`")
        #expect(try expander.expand("C:\\$v `$v", in: variables).text == "C:\\value $v")
        #expect(try expander.expand("\"`\"\\\"", in: variables).text == "\"\\")
    }

    @Test(arguments: [
        ("${", "syntax error: missing '}'"), ("${v", "syntax error: missing '}'"), ("${}", "syntax error: bad substitution"),
        ("${:x}", "syntax error: bad substitution"), ("${{v}}", "syntax error: bad substitution"), ("${v:-x", "syntax error: missing '}'"),
        ("${v:=x}", "unsupported modifier (:=) in substitution"), ("${v!x}", "unsupported modifier (!) in substitution"),
        ("${v:#x}", "unsupported modifier (:#) in substitution"), ("${v/a}", "syntax error: missing '/' in ${}"),
        ("${v/a/b", "syntax error: missing '}'"), ("'x", "unexpected end of statement while looking for matching single-quote"),
        ("\"x", "unexpected end of statement while looking for matching double-quote"),
        ("${v#\\x}", "invalid pattern (\\x) in substitution: invalid escape '\\x'"),
    ])
    func syntaxErrors(word: String, message: String) throws {
        #expect(try #require(refusal(word)).hasSuffix(": " + message))
    }

    @Test func wordsAreCutAtBlanksThatAreNotQuoted() throws {
        #expect(try WordExpander().split("a $q 'b c' \"$q\" d\\ e${none}", in: variables) == ["a", "x", "y", "b c", "x y", "d e"])
        #expect(try WordExpander().split("  ", in: variables).isEmpty)
        #expect(try WordExpander().split("x${none:-cd}", in: variables) == ["xcd"])
    }

    @Test func whatWasLookedUpIsTold() throws {
        let expansion = try WordExpander().expand("$v ${none:-$a} $v ${empty} $gone '$path'", in: variables)
        #expect(expansion.used == ["v", "a", "empty"])
        #expect(expansion.unset == ["none", "gone"])
    }

    @Test func whatIsNotSetCanStay() throws {
        var expander = WordExpander()
        expander.keepsUnset = true
        #expect(
            try expander.expand("$v $n ${n} ${n:-$v} ${n#a} ${n//a/b}", in: variables).text == "value $n ${n} ${n:-value} ${n#a} ${n//a/b}")
    }

    @Test func hostileWordsEnd() throws {
        let deep = String(repeating: "${n:-", count: 5000) + String(repeating: "}", count: 5000)
        #expect(try #require(refusal(deep)).hasSuffix("substitutions are nested more than 32 deep"))
        // A variable that is twice the one before it, 40 times.
        var environment = BuildEnvironment(list: ["x=aaaaaaaa"])
        #expect(throws: ExpansionError.self) {
            for _ in 0..<40 { environment.set("x", try WordExpander().expand("$x$x", in: environment).text) }
        }
        let long = BuildEnvironment(list: ["x=" + String(repeating: "a", count: 20_000)])
        let stars = String(repeating: "*a", count: 200) + "b"
        do throws(ExpansionError) {
            _ = try WordExpander().expand("${x//\(stars)/y}", in: long)
            Issue.record("a pattern may take as long as it likes")
        } catch { #expect(error.message.hasSuffix("the pattern in a substitution takes too long")) }
    }
}
