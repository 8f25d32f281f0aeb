import ArgumentParser
import Glibc
import JSONLines
import SiteConfig

struct AssignUnitVerb: Verb {
    static let configuration = CommandConfiguration(
        commandName: "assign-unit",
        abstract: "Give the only board on a line another unit number.",
        discussion: """
            New boards all have the same unit. Connect one board alone: this verb scans the line, and writes only where exactly one board
            answers and you say yes; then it looks who answers. Stop lockerd first.
            """)

    @OptionGroup var global: GlobalOptions

    @OptionGroup var line: LineOptions

    @Argument(help: "The new unit, 1-247.")
    var unit: Int

    @Option(
        help: ArgumentHelp(
            "The board profile, which knows where the number is written.", valueName: "profile"))
    var board: String

    @Option(help: "The line's rate.")
    var baud = 9600

    @Option(help: "The line's parity: none, even or odd.")
    var parity = "none"

    @Flag(help: "Do not ask.")
    var yes = false

    func validate() throws {
        guard 1...247 ~= unit else { throw ValidationError("unit \(unit): want 1-247") }
        try line.check()
    }

    func execute() async throws {
        let canAsk = isatty(STDIN_FILENO) == 1 && Output.isErrorTerminal
        guard yes || canAsk else {
            throw Failure(
                .usage,
                "assign-unit wants --yes where there is no terminal to ask on; nothing was written")
        }
        let tool = try Tool("assign", of: "modbus", config: line.config)
        guard let profile = tool.shelf.profiles[board] else {
            throw Failure(.usage, "no board profile \(board)")
        }
        guard let register = profile["unit"]?["register"]?.intValue else {
            throw Failure(
                .failed,
                "profile \(board) does not know where the board's unit is written (unit.register); set it as its maker says"
            )
        }
        var request = line.request
        request["bauds"] = [.int(Int64(baud))]
        request["parities"] = [.string(parity)]
        request["to"] = .int(Int64(unit))
        request["register"] = .int(Int64(register))
        let isShown = Output.isErrorTerminal && !global.json
        var isWritten = false
        try await tool.run(request) { event in
            switch event["event"]?.stringValue {
            case "progress" where isShown: ScanProgress.show(event)
            case "consent":
                if isShown { ProgressBar.erase() }
                isWritten = yes || consents(from: event["unit"]?.intValue ?? 0)
                return isWritten ? "yes" : "no"
            default: break
            }
            return nil
        }
        if isShown { ProgressBar.erase() }
        Output.line(
            isWritten
                ? "the board has unit \(unit) now; write it on the board"
                : "the board has unit \(unit) already")
    }

    @MainActor
    private func consents(from old: Int) -> Bool {
        Output.errorText(
            "One board answers, as unit \(old). Is it the only one connected, and shall it have unit \(unit)? [y/N] "
        )
        let answer = readLine(strippingNewline: true)?.lowercased()
        return answer == "y" || answer == "yes"
    }
}
