import Foundation
import LockerKit
import TestSupport
import Testing

@testable import HTTPUplink

@Suite struct EndpointTests {
    @Test(arguments: [
        (
            "https://monitor.example/v1/beats", "https://monitor.example/v1/beats",
            "monitor.example:443"
        ),
        ("HTTPS://Monitor.Example", "https://monitor.example/", "monitor.example:443"),
        (
            "https://monitor.example:8443/a?b=c/d", "https://monitor.example:8443/a?b=c/d",
            "monitor.example:8443"
        ),
        (
            "https://monitor.example?site=1", "https://monitor.example/?site=1",
            "monitor.example:443"
        ),
        ("https://10.0.0.7/x", "https://10.0.0.7/x", "10.0.0.7:443"),
        ("https://[2001:DB8::1]:444/x", "https://[2001:db8::1]:444/x", "[2001:db8::1]:444"),
        ("http://localhost:8080/x", "http://localhost:8080/x", "localhost:8080"),
        ("http://127.0.0.1/x", "http://127.0.0.1/x", "127.0.0.1:80"),
        ("http://127.9.8.7/x", "http://127.9.8.7/x", "127.9.8.7:80"),
        ("http://[::1]:99", "http://[::1]:99/", "[::1]:99"),
    ])
    func `a URL is taken apart and put together`(text: String, url: String, name: String) throws {
        let endpoint = try Endpoint(text)
        #expect(endpoint.url == url)
        #expect(endpoint.name == name)
    }

    @Test(arguments: [
        "http://monitor.example/x", "http://10.0.0.7/", "http://localhost.example/",
        "http://127.0.0.1.example/", "http://127.0.0/", "http://127.0.0.256/", "http://127.1/",
        "http://[::2]/", "http://localhosts/",
    ])
    func `plain http to another machine needs a word`(text: String) throws {
        let error = #expect(throws: LockerError.self) { try Endpoint(text) }
        #expect(error?.code == .invalidRequest)
        #expect(error?.message.contains("allow_plain_http = true") == true)
        #expect(try Endpoint(text, allowsPlainHTTP: true).isEncrypted == false)
    }

    @Test(arguments: [
        ("", "does not begin"), ("ftp://a/", "does not begin"),
        ("monitor.example", "does not begin"),
        ("https:/monitor.example", "does not begin"), ("https://", "host name"),
        ("https:///x", "host name"), ("https://:443/", "host name"),
        ("https://user:secret@monitor.example/", "token_file"),
        ("http://127.0.0.1@evil.example/", "token_file"), ("https://a/#b", "fragment"),
        ("https://a:0/", "port"), ("https://a:65536/", "port"), ("https://a:/", "port"),
        ("https://a:+80/", "port"), ("https://a:8 0/", "space"), ("https://a\\b/", "percent"),
        ("https://a/\r\nX: y", "percent"), ("https://bücher.example/", "percent"),
        ("https://a%2fb/", "host name"), ("https://[::1/", "]"), ("https://[::1]x/", "]"),
        ("https://[localhost]/", "IPv6"), ("https://a\"b/", "host name"),
    ])
    func `an unusable URL is refused with the reason`(text: String, word: String) {
        let error = #expect(throws: LockerError.self) { try Endpoint(text) }
        #expect(error?.code == .invalidRequest)
        #expect(error?.message.hasPrefix("url ") == true)
        #expect(error?.message.contains(word) == true, "\(error?.message ?? "")")
        #expect(error?.message.contains("secret") == false)
    }

    @Test func `a URL may have 2048 bytes and no more`() throws {
        let longest = "https://a/" + String(repeating: "x", count: 2038)
        #expect(try Endpoint(longest).url == longest)
        #expect(throws: LockerError.self) { try Endpoint(longest + "x") }
    }

    @Test func `what is accepted is understood the same way by the client`() throws {
        var random = SeededGenerator(seed: 4)
        let pieces = [
            "http://", "https://", "localhost", "127.0.0.1", "[::1]", "a.example", "@", ":", "/",
            "?",
            "#", "%41", "\\", "..", "[", "]", "80", "443", "99999", "x", " ", "é", "\u{0}", "//",
            "-", "_",
        ]
        var accepted = 0
        for _ in 0..<20_000 {
            let count = Int.random(in: 0...7, using: &random)
            let text =
                (Bool.random(using: &random) ? "https://" : "")
                + (0..<count).map { _ in pieces.randomElement(using: &random) ?? "" }.joined()
            guard let endpoint = try? Endpoint(text) else { continue }
            accepted += 1
            let again = try Endpoint(endpoint.url)
            #expect(again == endpoint)
            let url = try #require(URL(string: endpoint.url), "\(endpoint.url)")
            #expect(url.host() == endpoint.host, "\(endpoint.url)")
            #expect(url.port == endpoint.port)
            #expect(url.user() == nil)
        }
        #expect(accepted > 500)
    }
}
