import ArgumentParser
import ControlClient

struct RestartVerb: Verb {
    static let configuration = CommandConfiguration(
        commandName: "restart",
        abstract: "Start the module of a controller or an uplink anew, also out of quarantine.")

    @OptionGroup var global: GlobalOptions

    @Argument(
        help: "The controller's id, or the uplink's name with --uplink.",
        completion: Completions.controllers)
    var name: String

    @Flag(help: "The name is that of an uplink.")
    var uplink = false

    func execute() async throws {
        let (name, uplink) = (name, uplink)
        let session = try await Session.start(global)
        let json = try await session.attempt { client throws(ControlError) in
            uplink
                ? try await client.restart(uplink: name)
                : try await client.restart(controller: name)
        }
        Output.line(
            global.json
                ? json : "\(name): restarting; \"lockerctl controllers\" shows how it comes up")
    }
}
