import ArgumentParser
import ControlClient

struct StatusVerb: Verb {
    static let configuration = CommandConfiguration(
        commandName: "status",
        abstract: "Show the site's health, its controllers and its lockers.")

    @OptionGroup var global: GlobalOptions

    @Argument(
        help: "Addresses such as wall/3, or site-wide numbers; all when none is given.",
        completion: Completions.lockers)
    var lockers: [String] = []

    @Option(help: "Only this controller and its lockers.", completion: Completions.controllers)
    var controller: String?

    @Option(help: "Only this bank's lockers.", completion: Completions.banks)
    var bank: String?

    @Flag(help: "Go on showing it until Ctrl-C; without a terminal, a line for every change.")
    var watch = false

    func execute() async throws {
        let scope = StatusScope(
            lockers: lockers.map(LockerSelector.init), controller: controller, bank: bank)
        let session = try await Session.start(global)
        if watch { return try await Watch(session: session, scope: scope).run() }
        let status = try await session.attempt { client throws(ControlError) in
            try await client.status(scope)
        }
        if global.json { return Output.line(status.json) }
        let view = StatusView(status: status, isColoured: Terminal.hasColour)
        Output.text(view.lines.map { $0 + "\n" }.joined())
    }
}
