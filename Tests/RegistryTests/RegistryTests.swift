import Testing

@testable import Registry

struct WebAddressTests {
    @Test func readsAddresses() throws {
        let address = try #require(WebAddress("HTTPS://Example.COM:8443/v2/a?x=%2F#part"))
        #expect(address.text == "https://example.com:8443/v2/a?x=%2F")
    }
}
