import ArgumentParser
import ControlClient

struct CancelVerb: Verb {
    static let configuration = CommandConfiguration(
        commandName: "cancel",
        abstract: "Stop an operation before its next lock; tell what was fired.")

    @OptionGroup var global: GlobalOptions

    @Argument(help: "The operation's id, such as op-7.")
    var operation: String

    func execute() async throws {
        let operation = operation
        let session = try await Session.start(global)
        let result = try await session.attempt { client throws(ControlError) in
            try await client.cancel(operation)
        }
        Output.line(global.json ? result.json : OpenAllReport.sentence(result))
    }
}
