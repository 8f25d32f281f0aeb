import Foundation
import SiteConfig
import SiteModel
import TestSupport
import Testing

/// A config folder with two module folders beside it, for one test.
struct TestSite {
    let directory: String
    let modules: String

    /// A small complete site; tests change one file of it.
    static let lockerd = """
        site = "test"
        [power.main]
        at_once = 2
        gap_ms = 250
        """

    static let link = """
        driver = "relay"
        [link]
        host = "10.0.0.1"
        [[controller]]
        id = "wall"
        lockers = 4
        first_id = 101
        unit = 1
        bank = "main"
        power = "main"
        """

    static let relay = """
        name = "relay"
        kind = "driver"
        protocol = 1
        executable = "relay-module"
        summary = "relays over TCP"
        maturity = "beta"
        [options.link.host]
        type = "string"
        required = true
        endpoint = true
        [options.link.port]
        type = "integer"
        min = 1
        max = 65535
        default = 502
        endpoint = true
        [options.link.speed]
        type = "string"
        one_of = ["slow", "fast"]
        default = "slow"
        [options.link.boost]
        type = "number"
        min = 0
        max = 1.5
        when = { speed = "fast" }
        [options.controller.unit]
        type = "integer"
        required = true
        min = 1
        max = 247
        unique = true
        [options.locker.delay_ms]
        type = "integer"
        min = 0
        max = 100
        default = 10
        [options.board.coil]
        type = "table"
        [options.board.coil.keys.first]
        type = "integer"
        default = 0
        [options.board.coil.keys.on]
        type = "string"
        one_of = ["ff00", "0000"]
        required = true
        """

    static let post = """
        name = "post"
        kind = "uplink"
        protocol = 1
        executable = "post-module"
        [options.uplink.url]
        type = "string"
        required = true
        [options.uplink.token_file]
        type = "string"
        """

    static let accounts = Accounts(
        uid: { ["kiosk": 1001, "service": 1002][$0] }, gid: { ["staff": 50][$0] })

    /// Writes the files (paths below the config folder) over the small complete site.
    static func with<Result>(
        _ files: [String: String] = [:], _ body: (TestSite) throws -> Result
    ) async throws -> Result {
        try await withTemporaryDirectory { root in
            let site = TestSite(directory: "\(root)/etc", modules: "\(root)/modules")
            try site.write(["lockerd.toml": lockerd, "links.d/a.toml": link])
            try TestSupport.write(relay, to: "\(site.modules)/relay/module.toml")
            try TestSupport.write(post, to: "\(site.modules)/post/module.toml")
            try site.write(files)
            return try body(site)
        }
    }

    /// Loads the small complete site with these files written over it.
    static func load(_ files: [String: String] = [:]) async throws -> LoadResult {
        try await with(files) { $0.load() }
    }

    func write(_ files: [String: String]) throws {
        for (name, text) in files { try TestSupport.write(text, to: "\(directory)/\(name)") }
    }

    func load(running: [LinkPlan] = []) -> LoadResult {
        SiteLoader(
            directory: directory, moduleDirectories: [modules], accounts: Self.accounts
        ).load(running: running)
    }
}

/// A file with something wrong in it, and how the message about it begins.
struct Mistake: Sendable, CustomTestStringConvertible {
    let text: String
    let problem: String

    init(_ text: String, _ problem: String) {
        self.text = text
        self.problem = problem
    }

    var testDescription: String { problem }
}

extension LoadResult {
    var texts: [String] { problems.map(\.description) }
}
