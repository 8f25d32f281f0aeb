import ArgumentParser
import ControlClient
import Glibc

struct EventsVerb: Verb {
    static let configuration = CommandConfiguration(
        commandName: "events",
        abstract: "Print what happens on the site, one line an event, until Ctrl-C.")

    @OptionGroup var global: GlobalOptions

    @Option(
        help: ArgumentHelp(
            "Begin after this event instead of now; 0 begins with the oldest one kept.",
            valueName: "seq"))
    var since: Int?

    @Option(
        help: ArgumentHelp(
            "Only these types, separated by commas, such as door.opened,door.closed.",
            valueName: "list"))
    var types: String?

    func validate() throws {
        if let since, since < 0 { throw ValidationError("--since is \(since); want 0 or more") }
    }

    func execute() async throws {
        let signals = Signals { _ in Glibc.exit(ExitStatus.success.rawValue) }
        defer { withExtendedLifetime(signals) {} }
        let wanted = types?.split(separator: ",").map(String.init) ?? []
        let since = since
        let session = try await Session.start(global)
        let events = try await session.attempt { client throws(ControlError) in
            try await client.events(since: since, types: wanted)
        }
        do {
            for try await event in events {
                Output.line(global.json ? event.json : EventLine.text(event))
                if Output.isClosed { return }
            }
        } catch let error as ControlError {
            throw session.explain(error)
        }
    }
}
