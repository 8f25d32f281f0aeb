import ArgumentParser
import ControlClient
import ControlWire
import JSONLines

struct RawVerb: Verb {
    static let configuration = CommandConfiguration(
        commandName: "raw",
        abstract: "Send one JSON-RPC request as it is and print what comes back.",
        discussion: """
            Example: lockerctl raw '{"jsonrpc":"2.0","id":1,"method":"version"}'
            The exit status is 1 when the answer, or one answer of a batch, is an error. A notification gets no answer.
            """)

    /// How long a notification is given to arrive before the connection is closed.
    private static let grace = Duration.milliseconds(250)

    @OptionGroup var global: GlobalOptions

    @Argument(help: "A request, a notification or a batch, on one line.")
    var request: String

    func validate() throws {
        // The daemon passes over an empty line, and takes what follows a line feed for another request.
        if request.allSatisfy(\.isWhitespace) {
            throw ValidationError("the request is blank; want one line of JSON")
        }
        if request.utf8.contains(UInt8(ascii: "\n")) {
            throw ValidationError("the request holds a line feed; want one line of JSON")
        }
    }

    func execute() async throws {
        let client: ControlClient
        do throws(ControlError) {
            client = try await ControlClient.connect(to: global.socketPath)
        } catch {
            throw Advice.failure(error, path: global.socketPath)
        }
        let lines = client.raw(request)
        let wantsReply = Self.wantsReply(request)
        if !wantsReply {
            Task {
                try await Task.sleep(for: Self.grace)
                await client.close()
            }
        }
        for await reply in lines {
            Output.line(reply)
            let message = try? JSONReader.parse(reply)
            if message?["method"] == nil { return try judge(message) }
        }
        if wantsReply {
            throw Failure(.failed, "the connection to lockerd was lost before an answer came")
        }
    }

    /// False for a valid notification and a batch of nothing else; whatever is invalid will be answered.
    private static func wantsReply(_ line: String) -> Bool {
        let read = Array(line.utf8).withUnsafeBytes { RequestLine($0) }
        switch read {
        case .single(let element): return wantsReply(element)
        case .batch(let elements): return elements.contains(where: wantsReply)
        case .fault: return true
        }
    }

    private static func wantsReply(_ element: RequestLine.Element) -> Bool {
        switch element {
        case .request(let request): request.id != nil
        case .invalid: true
        }
    }

    private func judge(_ message: JSON?) throws(Failure) {
        let answers = message?.arrayValue ?? [message ?? .null]
        let faults = answers.compactMap { $0["error"].map(DaemonFault.init) }
        guard !faults.isEmpty else { return }
        let isForbidden = faults.allSatisfy { $0.code == "NOT_PERMITTED" }
        throw Failure(isForbidden ? .notPermitted : .failed)
    }
}
