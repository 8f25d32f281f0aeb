import ArgumentParser
import ControlClient
import Glibc
import JSONLines

struct ProbeVerb: Verb {
    static let configuration = CommandConfiguration(
        commandName: "probe",
        abstract:
            "Fire one locker under somebody's eyes, to see whether its board profile is true.",
        discussion: """
            Looks at the door, fires once, looks again, and asks what only a person can see: which door opened, whether the lock let go by
            itself, whether the sensor follows the door. Stand in front of the locker; it should be empty.
            """)

    @OptionGroup var global: GlobalOptions

    @Argument(
        help: "Address such as wall/3, or site-wide number.", completion: Completions.lockers)
    var locker: String

    @Flag(help: "Do not ask anything; what only a person can see stays open.")
    var yes = false

    @Option(help: ArgumentHelp("How long to wait for the door to be closed again.", valueName: "s"))
    var closeWithin = 60

    func validate() throws {
        guard 0...3600 ~= closeWithin else { throw ValidationError("--close-within: want 0-3600") }
    }

    func execute() async throws {
        let canAsk = isatty(STDIN_FILENO) == 1 && Output.isErrorTerminal
        guard yes || canAsk else {
            throw Failure(
                .usage, "probe wants --yes where there is no terminal to ask on; nothing was fired")
        }
        let session = try await Session.start(global)
        let before = try await status(session)
        var report = ProbeReport(locker: before.address)
        guard before.door != .open else {
            throw Failure(.failed, "\(before.address) is open; close it first, nothing was fired")
        }
        let hasSensor = before.quality != .none
        guard yes || ask("Fire \(before.address) once, now?") else {
            throw Failure(.failed, "nothing was fired")
        }
        let selector = LockerSelector(locker)
        let result = try await session.attempt { client throws(ControlError) in
            try await client.open(OpenCommand(selector, terms: OpenTerms(reason: "probe")))
        }
        try report.note(result, hasSensor: hasSensor)
        if !yes {
            report.add(
                "one door opened, and it was this one", ask("Did this door open, and no other?"))
            report.add("the lock let go by itself", ask("Is the lock quiet now, without a hum?"))
        }
        if hasSensor { try await watchItClose(session, &report) }
        if !global.json { report.claims.forEach { Output.line($0.text) } }
        if global.json { Output.line(report.json.text) }
        guard report.isTrue else {
            throw Failure(.failed, "\(before.address) does not do what its profile says")
        }
    }

    @MainActor
    private func status(_ session: Session) async throws(Failure) -> LockerStatus {
        let scope = StatusScope(lockers: [LockerSelector(locker)])
        let status = try await session.attempt { client throws(ControlError) in
            try await client.status(scope)
        }
        guard let found = status.lockers.first else {
            throw Failure(.failed, "no locker \(locker)")
        }
        return found
    }

    /// A sensor that says open for ever would have passed until here.
    @MainActor
    private func watchItClose(_ session: Session, _ report: inout ProbeReport) async throws(Failure)
    {
        if !yes { Output.error("Close the door of \(report.locker) now.") }
        let end = ContinuousClock.now + .seconds(closeWithin)
        var isClosed = false
        while !isClosed {
            isClosed = try await status(session).door == .closed
            guard !isClosed, ContinuousClock.now < end else { break }
            try? await Task.sleep(for: .milliseconds(200))
        }
        report.add("the sensor shows the door closed again", isClosed)
    }

    @MainActor
    private func ask(_ question: String) -> Bool {
        Output.errorText("\(question) [y/N] ")
        let answer = readLine(strippingNewline: true)?.lowercased()
        return answer == "y" || answer == "yes"
    }
}
