import Testing

@testable import RegistryServer

struct RegistryServerTests {
    @Test func builds() {}
}
