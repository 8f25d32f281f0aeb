import Foundation
import LockerKit
import TestSupport
import Testing

@testable import HTTPUplink

@Suite struct UplinkSettingsTests {
    private func settings(_ json: String) throws -> UplinkSettings {
        try UplinkSettings(Options(json: json))
    }

    @Test func `only the url is needed`() throws {
        let settings = try settings(#"{"url":"https://monitor.example/"}"#)
        #expect(settings == UplinkSettings(endpoint: try Endpoint("https://monitor.example/")))
        #expect(settings.connectTimeout == .seconds(5))
        #expect(settings.timeout == .seconds(10))
    }

    @Test func `every key is read`() throws {
        let settings = try settings(
            #"""
            {"url":"http://monitor.example/","allow_plain_http":true,"token_file":"/etc/t","ca_file":"/etc/c",
             "connect_timeout_ms":100,"timeout_ms":20000}
            """#)
        #expect(
            settings
                == UplinkSettings(
                    endpoint: try Endpoint("http://monitor.example/", allowsPlainHTTP: true),
                    tokenFile: "/etc/t", caFile: "/etc/c", connectTimeout: .milliseconds(100),
                    timeout: .seconds(20)))
    }

    @Test(arguments: [
        ("{}", "url"), (#"{"url":7}"#, "url"), (#"{"url":"http://a/"}"#, "allow_plain_http"),
        (#"{"url":"https://a/","token_file":"t"}"#, "token_file"),
        (#"{"url":"https://a/","ca_file":"../c"}"#, "ca_file"),
        (#"{"url":"https://a/","timeout_ms":99}"#, "timeout_ms"),
        (#"{"url":"https://a/","timeout_ms":20001}"#, "timeout_ms"),
        (#"{"url":"https://a/","connect_timeout_ms":0}"#, "connect_timeout_ms"),
        (#"{"url":"https://a/","allow_plain_http":"yes"}"#, "allow_plain_http"),
    ])
    func `a bad key is named`(json: String, key: String) {
        let error = #expect(throws: LockerError.self) { try settings(json) }
        #expect(error?.code == .invalidRequest)
        #expect(error?.message.contains(key) == true, "\(error?.message ?? "")")
    }

    @Test func `the manifest and the page describe these keys and no others`() throws {
        let keys = [
            "url", "token_file", "ca_file", "connect_timeout_ms", "timeout_ms", "allow_plain_http",
        ]
        let folder = "\(Checkout.root)/Plugins/HTTPUplink"
        let manifest = try String(contentsOfFile: "\(folder)/module.toml", encoding: .utf8)
        let page = try String(contentsOfFile: "\(folder)/README.md", encoding: .utf8)
        let described = manifest.matches(of: /\[options\.uplink\.(\w+)\]/).map { String($0.1) }
        #expect(described == keys)
        #expect(page.matches(of: /\| `(\w+)` \|/).map { String($0.1) } == keys)
        #expect(manifest.contains("name = \"\(HTTPUplink.name)\"\n"))
        #expect(page.contains("lockerd-http/\(HTTPUplink.version)"))
    }
}
