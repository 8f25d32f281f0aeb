import ArgumentParser
import ControlClient
import Glibc

/// Options that `open` and `open-all` share.
struct TermsOptions: ParsableArguments {
    @Option(help: "Why, for the audit.")
    var reason: String?

    @Option(
        help: "Idempotency key: repeating a command with its key fires nothing a second time.")
    var key: String?

    @Option(
        help: ArgumentHelp(
            "Refuse the command if the lock cannot fire within this time.", valueName: "ms"))
    var deadlineMs: Int?

    @Option(
        help: ArgumentHelp(
            "Wait no longer for the outcome; the operation goes on without us.", valueName: "ms"))
    var waitMs: Int?

    func validate() throws {
        for (name, value) in [("--deadline-ms", deadlineMs), ("--wait-ms", waitMs)] {
            if let value, value < 0 {
                throw ValidationError("\(name) is \(value); want 0 or more milliseconds")
            }
        }
    }

    var terms: OpenTerms {
        OpenTerms(key: key, deadlineMs: deadlineMs, waitMs: waitMs, reason: reason)
    }
}

struct OpenVerb: Verb {
    static let configuration = CommandConfiguration(
        commandName: "open",
        abstract: "Open one locker and tell what became of its door.")

    @OptionGroup var global: GlobalOptions

    @Argument(
        help: "Address such as wall/3, or site-wide number.", completion: Completions.lockers)
    var locker: String

    @OptionGroup var options: TermsOptions

    @Flag(help: "Open it also when it is out of service; needs the right \"maintenance\".")
    var maintenance = false

    @Option(
        help: ArgumentHelp(
            "File with the token for a lock that checks one: {\"payload\":…,\"payloadAuth\":…}.",
            valueName: "path"),
        completion: .file())
    var tokenFile: String?

    @Flag(
        help:
            "Open the locker that its controller opened last once more, as a tower allows without a new token."
    )
    var again = false

    func validate() throws {
        guard !again || tokenFile == nil else {
            throw ValidationError("give --again or --token-file")
        }
    }

    func execute() async throws {
        var command = OpenCommand(
            LockerSelector(locker), terms: options.terms, isMaintenance: maintenance,
            token: try tokenFile.map(TokenFile.read))
        command.isAgain = again
        let wanted = command
        let session = try await Session.start(global)
        let locker = locker
        let signals = Signals { number in
            Output.error(
                "lockerctl: \(locker): no longer waited for, but lockerd goes on with it; look at the door, "
                    + "or at \"lockerctl status \(locker)\"")
            _exit(128 + number)
        }
        defer { withExtendedLifetime(signals) {} }
        let result: OperationResult
        do throws(ControlError) {
            result = try await session.client.open(wanted)
        } catch {
            throw explain(error, session)
        }
        try report(result)
    }

    private func report(_ result: OperationResult) throws(Failure) {
        if global.json { Output.line(result.json) }
        guard !result.isPending else {
            if !global.json { Output.line(Pending.sentence(result, about: locker)) }
            return
        }
        guard let locker = result.results.first else {
            throw Failure(.failed, "\(locker): \(Pending.untold(result))")
        }
        guard locker.isOpened else { throw Failure(.failed, Sentences.result(locker)) }
        if !global.json {
            Output.message(Sentences.result(locker) + (result.isReplayed ? Pending.replayed : ""))
        }
    }

    /// Says whether the lock fired, as far as that can be known.
    private func explain(_ error: ControlError, _ session: Session) -> Failure {
        switch error {
        case .refused(let fault) where !fault.isUnknownMethod && fault.code != "NOT_PERMITTED":
            session.show(fault)
            return Failure(.failed, Sentences.failed(locker, fault))
        case .connectionLost(_, let reason):
            return Failure(
                .failed,
                "\(locker): unknown whether the lock fired: the connection to lockerd was lost before "
                    + "the answer came (\(reason)); look at the door, or at \"lockerctl status "
                    + "\(locker)\", before you try again")
        default:
            return session.explain(error)
        }
    }
}

/// Sentences about operations that have not ended here.
enum Pending {
    static let replayed = " (answered before; nothing was fired again)"

    /// Of an operation that has ended and of which nothing else is known.
    static func untold(_ result: OperationResult) -> String {
        "lockerd does not say how \(result.operation) ended; look at the door before you try again"
    }

    static func sentence(_ result: OperationResult, about locker: String? = nil) -> String {
        let subject = locker.map { "\($0): " } ?? ""
        return
            "\(subject)still under way; \"lockerctl operation \(result.operation)\" shows the outcome"
    }
}
