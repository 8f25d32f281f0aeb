import ArgumentParser
import ControlClient

struct OperationVerb: Verb {
    static let configuration = CommandConfiguration(
        commandName: "operation",
        abstract: "Show how far an operation has come, or how it ended.",
        discussion:
            "The exit status is the operation's own: 1 when a locker is not open that should be.")

    @OptionGroup var global: GlobalOptions

    @Argument(help: "The operation's id, such as op-7.")
    var operation: String

    func execute() async throws {
        let operation = operation
        let session = try await Session.start(global)
        let result = try await session.attempt { client throws(ControlError) in
            try await client.operation(operation)
        }
        if global.json { Output.line(result.json) }
        if result.isPending, !global.json, !result.results.isEmpty {
            for locker in result.results { Output.message(Sentences.result(locker)) }
        }
        try OpenAllReport(result: result).print(quiet: global.json)
    }
}
