import SiteModel
import TestSupport
import Testing

@testable import SiteConfig

@Suite struct `The form of a string` {
    @Test(arguments: [
        "board", "board-3.site.example", "a_b.example.", "10.0.0.1", "::1", "fe80::1%eth0",
        "2001:db8::7",
        "3com.example", String(repeating: "a", count: 63),
    ])
    func `takes the names and addresses of hosts`(text: String) {
        #expect(Rule.Form.host.objection(to: text) == nil)
    }

    @Test(arguments: [
        "", " ", "a b", "10.0.0.1:502", "10.0.0.256", "10.0.0", "300", ".", "a..b", "-a", "[::1]",
        ":", "::g",
        "http://a", "a/b", "bücher.example", "fe80::1%", String(repeating: "a", count: 64),
        Array(repeating: "abcdefg", count: 32).joined(separator: "."),
    ])
    func `refuses what no connection can be made to`(text: String) {
        #expect(Rule.Form.host.objection(to: text) != nil)
    }

    @Test(arguments: [
        "https://monitor.example/v1/beats?site=1", "http://127.0.0.1:15080", "HTTPS://A.example",
        "http://[::1]:9/", "https://a?b",
    ])
    func `takes URLs of http and https`(text: String) {
        #expect(Rule.Form.httpURL.objection(to: text) == nil)
    }

    @Test(arguments: [
        ("", "does not begin with"), ("not a url", "holds a space"),
        ("http://x y", "holds a space"),
        ("ftp://secret/", "does not begin with"), ("monitor.example/secret", "does not begin with"),
        ("https://", "no usable host"), ("https:///x", "no usable host"),
        ("https://a:secret@b/", "user name or password"), ("https://a:0/", "port"),
        ("https://a:65536/secret", "port"), ("https://a:/", "port"),
        ("https://a/#secret", "fragment"),
        ("http://[::1", "no ]"), ("http://[x]/", "IPv6"), ("http://[::1]secret", "neither a port"),
        ("https://a\\secret", "percent-encoded"),
    ])
    func `names what is wrong with a URL and repeats nothing of it`(text: String, reason: String) {
        let said = Rule.Form.httpURL.objection(to: text)
        #expect(said?.hasPrefix("a URL that ") == true)
        #expect(said?.contains(reason) == true, "\(said ?? "")")
        #expect(said?.contains("secret") == false)
    }

    @Test func `is asked for by manifests, the length too`() async throws {
        let relay = TestSite.relay.replacing(
            "required = true\nendpoint = true",
            with:
                "required = true\nendpoint = true\nform = \"host\"\nmin_length = 2\nmax_length = 9")
        func problems(_ host: String) async throws -> [String] {
            try await TestSite.with([
                "links.d/a.toml": TestSite.link.replacing("10.0.0.1", with: host)
            ]) { site in
                try write(relay, to: "\(site.modules)/relay/module.toml")
                return site.load().texts
            }
        }
        let wanted = "want a host name or an IP address of 2-9 bytes"
        for good in ["ab", "10.0.0.10"] { #expect(try await problems(good) == []) }
        #expect(
            try await problems("") == ["links.d/a.toml:3: link.host is 0 bytes long; \(wanted)"])
        #expect(
            try await problems("10.0.0.100") == [
                "links.d/a.toml:3: link.host is 10 bytes long; \(wanted)"
            ])
        #expect(
            try await problems("a b") == ["links.d/a.toml:3: link.host is \"a b\"; \(wanted)"])
    }

    @Test(arguments: [
        Mistake(
            "form = \"url\"", "11: options.link.host.form is \"url\"; want \"name\", \"text\", "),
        Mistake(
            "min_length = 5\nmax_length = 4", "11: options.link.host.min_length is above max_length"
        ),
        Mistake(
            "[options.link.n]\ntype = \"integer\"\nmax_length = 4",
            "13: options.link.n.max_length is for strings only"),
        Mistake(
            "form = \"host\"\ndefault = \"a b\"",
            "12: options.link.host.default is \"a b\"; want a host name or an IP address"),
    ])
    func `in a manifest is checked itself`(mistake: Mistake) async throws {
        let relay = TestSite.relay.replacing(
            "required = true\nendpoint = true",
            with: "required = true\nendpoint = true\n\(mistake.text)")
        let texts = try await TestSite.with { site in
            try write(relay, to: "\(site.modules)/relay/module.toml")
            return site.load().texts
        }
        #expect(texts.contains { $0.contains("relay/module.toml:\(mistake.problem)") }, "\(texts)")
    }
}

/// What `--check` says and a daemon's own start does not: a module that was mended meanwhile must run again.
@Suite struct `A module that would be refused` {
    @Test
    func `is told at the line that names it, as a problem of its link or advice of its uplink`()
        async throws
    {
        let uplink = "[[uplink]]\nmodule = \"post\"\nurl = \"u\""
        try await TestSite.with(["lockerd.toml": "\(TestSite.lockerd)\n\(uplink)"]) { site in
            let result = SiteLoader(
                directory: site.directory, moduleDirectories: [site.modules],
                accounts: TestSite.accounts, vetting: { "\($0.executable) has mode 0777" }
            ).load()
            #expect(
                result.texts == [
                    "lockerd.toml:6: uplink.module is \"post\", which will not be run: post-module has mode 0777",
                    "links.d/a.toml:1: driver is \"relay\", which will not be run: relay-module has mode 0777",
                ])
            #expect(result.problems.map(\.isAdvice) == [true, false])
            #expect(site.load().texts == [])
        }
    }
}
