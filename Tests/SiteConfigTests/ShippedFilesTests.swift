import Foundation
import JSONLines
import SiteModel
import TestSupport
import Testing

@testable import SiteConfig

/// Loads shipped config folders against the shipped manifests. The executables are not needed: loading starts nothing.
@Suite struct `The shipped files` {
    private static let folders = [
        "simulator": "Simulator", "modbus": "Modbus", "serial-board": "SerialBoard",
        "gpio-expander": "GPIOExpander", "ble-tower": "BLETower",
        "http": "HTTPUplink",
    ]
    static let files = FileManager.default

    private func stage(_ root: String) throws -> String {
        for (name, folder) in Self.folders {
            let (from, to) = ("\(Checkout.root)/Plugins/\(folder)", "\(root)/modules/\(name)")
            try Self.files.createDirectory(atPath: to, withIntermediateDirectories: true)
            try Self.files.copyItem(atPath: "\(from)/module.toml", toPath: "\(to)/module.toml")
            if Self.files.fileExists(atPath: "\(from)/boards") {
                try Self.files.copyItem(atPath: "\(from)/boards", toPath: "\(to)/boards")
            }
        }
        return "\(root)/modules"
    }

    private func load(_ directory: String, _ modules: String) -> LoadResult {
        SiteLoader(directory: directory, moduleDirectories: [modules]).load()
    }

    @Test func `of the demo site are what the demo promises`() async throws {
        try await withTemporaryDirectory { root in
            let modules = try stage(root)
            // Only this folder is copied: it must not lean on its neighbours.
            try Self.files.copyItem(atPath: "\(Checkout.root)/etc/demo", toPath: "\(root)/demo")
            let result = load("\(root)/demo", modules)
            #expect(result.problems.map(\.description) == [])
            let plan = try #require(result.plan)
            #expect(plan.site == "demo")
            #expect(plan.supplyGroups == ["main": SupplyGroup(atOnce: 2, gap: .milliseconds(250))])
            #expect(plan.links.map(\.name) == ["board", "sim"])
            let (board, sim) = (plan.links[0], plan.links[1])
            #expect(sim.driver == "simulator" && sim.controllers.map(\.id) == ["sim"])
            #expect(sim.controllers[0].lockers.map(\.id) == Array(101...124))
            #expect(sim.controllers[0].lockers.allSatisfy { $0.hasSensor })
            #expect(board.driver == "modbus" && board.controllers.map(\.id) == ["board"])
            #expect(board.options["host"] == "127.0.0.1" && board.options["port"] == 15020)
            #expect(board.controllers[0].lockers.map(\.id) == Array(201...208))
            #expect(board.controllers[0].options["unit"] == 1)
            for controller in [board.controllers[0], sim.controllers[0]] {
                #expect(controller.bank == "main" && controller.supplyGroup == "main")
            }
            #expect(plan.heartbeat.every <= .seconds(5))
            #expect(plan.uplinks.map(\.name) == ["http"])
            #expect(plan.uplinks[0].options["url"] == "http://127.0.0.1:15080/v1/heartbeats")
            let token = try #require(plan.uplinks[0].options["token_file"]?.stringValue)
            #expect(token == "\(root)/demo/heartbeat.token")
            #expect(try String(contentsOfFile: token, encoding: .utf8).contains("demo"))
        }
    }

    @Test func `of the demo site work against another board`() async throws {
        try await withTemporaryDirectory { root in
            let modules = try stage(root)
            try Self.files.copyItem(atPath: "\(Checkout.root)/etc/demo", toPath: "\(root)/demo")
            let path = "\(root)/demo/links.d/board.toml"
            let text = try String(contentsOfFile: path, encoding: .utf8)
                .replacing("127.0.0.1", with: "192.168.7.9").replacing("15020", with: "502")
            try write(text, to: path)
            let plan = try #require(load("\(root)/demo", modules).plan)
            #expect(
                plan.links[0].options["host"] == "192.168.7.9"
                    && plan.links[0].options["port"] == 502)
            #expect(plan.links.allSatisfy { $0.problems.isEmpty })
        }
    }

    @Test func `for a new site load, every link example alone and all together`() async throws {
        try await withTemporaryDirectory { root in
            let modules = try stage(root)
            let examples = try Self.files.contentsOfDirectory(
                atPath: "\(Checkout.root)/etc/links.d"
            ).sorted()
            #expect(examples.allSatisfy { $0.hasSuffix(".toml.example") } && examples.count >= 3)
            for chosen in [[]] + examples.map({ [$0] }) + [examples] {
                let directory = "\(root)/etc"
                try? Self.files.removeItem(atPath: directory)
                try Self.files.copyItem(atPath: "\(Checkout.root)/etc", toPath: directory)
                for example in chosen {
                    try Self.files.moveItem(
                        atPath: "\(directory)/links.d/\(example)",
                        toPath: "\(directory)/links.d/\(example.replacing(".example", with: ""))")
                }
                let result = load(directory, modules)
                let expected = chosen.isEmpty ? 1 : 0
                #expect(result.problems.count { $0.isAdvice } == expected, "\(chosen)")
                #expect(result.problems.count == expected, "\(result.problems)")
                #expect(result.plan?.links.count == chosen.count)
            }
        }
    }

    @Test func `still load with every commented key switched on`() async throws {
        try await withTemporaryDirectory { root in
            let modules = try stage(root)
            let text = try String(
                contentsOfFile: "\(Checkout.root)/etc/lockerd.toml", encoding: .utf8)
            let lines = text.split(separator: "\n", omittingEmptySubsequences: false).map { line in
                let key = line.prefixMatch(of: /# (\[\[?[a-z_.]+\]\]?$|[a-z_]+ = )/)
                return key == nil ? String(line) : String(line.dropFirst(2))
            }
            #expect(
                lines.contains("max_clients = 256            # most connections at once, 1-4096"))
            let switchedOn = lines.joined(separator: "\n").replacing(
                "/usr/local/libexec/lockerd/modules", with: modules)
            #expect(switchedOn.contains(modules))
            try write("", to: "\(root)/etc/heartbeat.token")
            try write(switchedOn, to: "\(root)/etc/lockerd.toml")
            for example in ["yard", "simulator"] {
                try Self.files.createDirectory(
                    atPath: "\(root)/etc/links.d", withIntermediateDirectories: true)
                try Self.files.copyItem(
                    atPath: "\(Checkout.root)/etc/links.d/\(example).toml.example",
                    toPath: "\(root)/etc/links.d/\(example).toml")
            }
            let accounts = Accounts(uid: { _ in 1001 }, gid: { _ in 1001 })
            let result = SiteLoader(
                directory: "\(root)/etc", moduleDirectories: [], accounts: accounts
            ).load()
            #expect(result.problems.map(\.description) == [])
        }
    }

    @Test func `have every key described in the manual page`() throws {
        let page = try String(
            contentsOfFile: "\(Checkout.root)/docs/man/lockerd.toml.5", encoding: .utf8)
        let schemas = [
            CoreSchemas.site, CoreSchemas.uplink, CoreSchemas.link(nil), CoreSchemas.controller,
            CoreSchemas.locker, CoreSchemas.board,
        ]
        for key in schemas.flatMap(allKeys) {
            #expect(
                page.contains(".It Cm \(key) ") || page.contains("[\(key)")
                    || page.contains("[control.\(key)]") || page.contains("[controller.\(key)]"),
                "\(key)")
        }
    }

    private func allKeys(_ schema: Schema) -> [String] {
        schema.rules.flatMap { key, rule in [key] + allKeys(rule.contents) }
    }

    private func allKeys(_ contents: Rule.Contents) -> [String] {
        switch contents {
        case .free: []
        case .keys(let schema): allKeys(schema)
        case .each(let rule): allKeys(rule.contents)
        }
    }

    @Test func `of board profiles are all right, each with a driver that takes it`() async throws {
        try await withTemporaryDirectory { root in
            let modules = try stage(root)
            let boards = try Self.files.contentsOfDirectory(atPath: "\(modules)/modbus/boards")
                .sorted()
            #expect(
                boards.contains("generic-coil-8.toml") && boards.contains("waveshare-relay-8.toml"))
            for board in boards where board.hasSuffix(".toml") {
                try write("site = \"s\"", to: "\(root)/etc/lockerd.toml")
                try write(
                    """
                    driver = "modbus"
                    [link]
                    transport = "tcp"
                    host = "h"
                    [[controller]]
                    id = "c"
                    unit = 1
                    first_id = 1
                    board = "\(board.dropLast(5))"
                    """, to: "\(root)/etc/links.d/l.toml")
                #expect(load("\(root)/etc", modules).problems.map(\.description) == [], "\(board)")
            }
        }
    }
}
