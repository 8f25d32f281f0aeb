import ArgumentParser
import JSONLines
import SiteConfig

/// What scan and assign-unit have in common: where the line is and how it is set.
struct LineOptions: ParsableArguments {
    @Option(help: "The serial port, best by its name under /dev/serial/by-id.", completion: .file())
    var device: String?

    @Option(help: "The address of a network board or gateway, in place of --device.")
    var host: String?

    @Option(help: "The TCP port of --host.")
    var port = 502

    @Option(
        help: ArgumentHelp(
            "The folder with the site's own board profiles.", valueName: "dir"),
        completion: .directory)
    var config = "/etc/lockerd"

    @Option(
        help: ArgumentHelp(
            "How long each unit may think, 20-1000 ms; otherwise 100, over TCP 300.",
            valueName: "ms"))
    var patienceMs: Int?

    /// Throws where the line is not named.
    func check() throws {
        guard (device == nil) != (host == nil) else {
            throw ValidationError("give --device or --host")
        }
    }

    var request: JSONObject {
        var request: JSONObject = [:]
        if let device {
            request["device"] = .string(device)
        } else if let host {
            request["host"] = .string(host)
            request["port"] = .int(Int64(port))
        }
        if let patienceMs { request["patienceMs"] = .int(Int64(patienceMs)) }
        return request
    }
}

struct ScanVerb: Verb {
    static let configuration = CommandConfiguration(
        commandName: "scan",
        abstract: "Look for boards on a line, without moving anything.",
        discussion: """
            modbus: asks every unit at every rate and parity with functions that only read, until somebody answers, and prints a link file
            to start from. Stop lockerd first, or remove its link: a line has one master.
            gpio: shows the GPIO chips of this computer with who uses their lines, and prints a link file to start from. Nothing is
            requested and nothing driven.
            ble: listens for towers with Bluetooth that are in range, and prints a link file to start from. Nothing is connected to. It
            takes the right to listen (root, CAP_NET_ADMIN or CAP_NET_RAW), which the daemon does not need.
            """)

    @OptionGroup var global: GlobalOptions

    @Argument(help: "What is looked for: modbus, gpio or ble.")
    var driver: String

    @OptionGroup var line: LineOptions

    @Option(help: ArgumentHelp("Rates to try, with commas between them.", valueName: "bauds"))
    var baud: String?

    @Option(help: ArgumentHelp("Parities to try: none,even,odd.", valueName: "parities"))
    var parity: String?

    @Option(help: ArgumentHelp("Units to ask, as 1-32.", valueName: "range"))
    var units: String?

    @Option(
        help: ArgumentHelp("ble: how long to listen, 1-60.", valueName: "s"))
    var seconds = 5

    @Option(help: ArgumentHelp("ble: the adapter to listen with, as hci0.", valueName: "name"))
    var adapter: String?

    @Flag(help: "Go on with other rates when somebody has answered.")
    var all = false

    func validate() throws {
        guard ["modbus", "gpio", "ble"].contains(driver) else {
            throw ValidationError("there is no scan for \(driver); there are modbus, gpio and ble")
        }
        guard 1...60 ~= seconds else { throw ValidationError("--seconds: want 1 to 60") }
        if driver == "modbus" { try line.check() }
        _ = try request()
    }

    func execute() async throws {
        if driver == "gpio" { return try await scanChips() }
        if driver == "ble" { return try await scanTowers() }
        let tool = try Tool("scan", of: driver, config: line.config)
        for problem in tool.shelf.problems { Output.error("profile left out: \(problem)") }
        var found: [FoundBoard] = []
        let isShown = Output.isErrorTerminal && !global.json
        try await tool.run(try request()) { event in
            if global.json, event["event"] != "progress" { Output.line(event.text) }
            switch event["event"]?.stringValue {
            case "progress" where isShown: ScanProgress.show(event)
            case "remark" where !global.json:
                if isShown { ProgressBar.erase() }
                Output.error(event["text"]?.stringValue ?? "")
            case "found": if let board = FoundBoard(event) { found.append(board) }
            default: break
            }
            return nil
        }
        if isShown { ProgressBar.erase() }
        guard !found.isEmpty else {
            throw Failure(
                .failed,
                "nobody answered. Check the supply, A and B (swapped?), the address switches, and that no other program talks on the line"
            )
        }
        if !global.json { Output.text(LinkDraft(line: line, boards: found).text) }
        guard let shared = found.first(where: \.isShared) else { return }
        throw Failure(
            .failed,
            "several boards answer as unit \(shared.unit): one open would open several doors. Connect one at a time and use lockerctl assign-unit"
        )
    }

    @MainActor
    private func scanChips() async throws {
        let tool = try Tool("scan", of: "gpio-expander", config: line.config)
        for problem in tool.shelf.problems { Output.error("profile left out: \(problem)") }
        var chips: [FoundChip] = []
        try await tool.run([:]) { event in
            if global.json { Output.line(event.text) }
            switch event["event"]?.stringValue {
            case "remark" where !global.json: Output.error(event["text"]?.stringValue ?? "")
            case "chip": if let chip = FoundChip(event) { chips.append(chip) }
            default: break
            }
            return nil
        }
        guard !chips.isEmpty else {
            throw Failure(
                .failed,
                "no GPIO chip could be opened. Is the expander's driver loaded (dtoverlay, i2c address), and may you read /dev/gpiochip*?"
            )
        }
        if !global.json { Output.text(ChipDraft(chips: chips, profiles: tool.shelf.profiles).text) }
    }

    @MainActor
    private func scanTowers() async throws {
        let tool = try Tool("scan", of: "ble-tower", config: line.config)
        var request: JSONObject = ["seconds": .int(Int64(seconds))]
        request["adapter"] = adapter.map { .string($0) }
        var towers: [FoundTower] = []
        try await tool.run(request) { event in
            if global.json { Output.line(event.text) }
            switch event["event"]?.stringValue {
            case "remark" where !global.json: Output.error(event["text"]?.stringValue ?? "")
            case "tower":
                guard let tower = FoundTower(event) else { break }
                towers.removeAll { $0.address == tower.address }
                towers.append(tower)
            default: break
            }
            return nil
        }
        guard !towers.isEmpty else {
            throw Failure(
                .failed,
                "no tower was heard in \(Words.count(seconds, "second")). Is one in range (10 m), awake, and without a client?"
            )
        }
        if !global.json { Output.text(TowerDraft(towers: towers).text) }
    }

    private func request() throws -> JSONObject {
        var request = line.request
        if let baud {
            let rates = try baud.split(separator: ",").map { word in
                guard let rate = Int64(word) else {
                    throw ValidationError("--baud \(baud): want numbers with commas between them")
                }
                return JSON.int(rate)
            }
            request["bauds"] = .array(rates)
        }
        if let parity {
            request["parities"] = .array(parity.split(separator: ",").map { .string(String($0)) })
        }
        if let units {
            let ends = units.split(separator: "-").map { Int64($0) }
            guard 1...2 ~= ends.count, let first = ends[0], let last = ends.last ?? nil,
                1...247 ~= first, first...247 ~= last
            else { throw ValidationError("--units \(units): want a range within 1-247") }
            request["firstUnit"] = .int(first)
            request["lastUnit"] = .int(last)
        }
        request["thorough"] = .bool(all)
        return request
    }
}

/// The line that shows how far a scan is.
enum ScanProgress {
    @MainActor
    static func show(_ event: JSON) {
        let done = event["done"]?.intValue ?? 0
        let total = max(1, event["total"]?.intValue ?? 1)
        let filled = min(24, done * 24 / total)
        let bar = String(repeating: "#", count: filled) + String(repeating: ".", count: 24 - filled)
        let baud = event["baud"]?.intValue ?? 0
        let line = baud > 0 ? "\(baud) baud, parity \(event["parity"]?.stringValue ?? ""), " : ""
        let text = "[\(bar)]  \(line)unit \(event["unit"]?.intValue ?? 0)"
        Output.errorText(Terminal.eraseLine + text.prefix(max(Terminal.size.columns - 1, 0)))
    }
}
