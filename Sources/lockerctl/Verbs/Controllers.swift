import ArgumentParser
import ControlClient

struct ControllersVerb: Verb {
    static let configuration = CommandConfiguration(
        commandName: "controllers",
        abstract: "Show the controllers with the state of their links, and the uplinks.")

    @OptionGroup var global: GlobalOptions

    func execute() async throws {
        let session = try await Session.start(global)
        let (list, uplinks, json) = try await session.attempt { client throws(ControlError) in
            try await client.controllers()
        }
        if global.json { return Output.line(json) }
        let lines = StatusView.controllers(list, at: nil).lines(coloured: Terminal.hasColour)
        if lines.isEmpty { Output.line("no controller is configured") }
        for line in lines { Output.text(line + "\n") }
        let more = StatusView.uplinks(uplinks, at: nil).lines(coloured: Terminal.hasColour)
        for line in more.isEmpty ? [] : [""] + more { Output.text(line + "\n") }
    }
}
