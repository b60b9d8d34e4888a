import Testing

@testable import Engine

/// Words that systemd and the shell would take for something else.
struct ServiceUnitTests {
    private func unit(_ manager: ServiceUnit.Manager, root: String) -> ServiceUnit {
        ServiceUnit(manager: manager, owner: .caller, isRoot: true, command: ["/usr/bin/berth", "--root", root])
    }

    @Test func systemdQuotes() {
        let text = unit(.systemd, root: #"/srv/a b"\%h$X"#).text
        #expect(text.includes(##"ExecStart=/usr/bin/berth --root "/srv/a b\"\\%%h$$X" system boot"##), "\(text)")
        #expect(unit(.systemd, root: "/srv/plain").text.includes("ExecStop=/usr/bin/berth --root /srv/plain system shutdown\n"))
    }

    @Test func shellQuotes() {
        let text = unit(.rc, root: "/srv/it's $HOME `x`").text
        #expect(text.includes(#"/usr/bin/berth --root '/srv/it'\''s $HOME `x`' "$@""#), "\(text)")
    }
}
